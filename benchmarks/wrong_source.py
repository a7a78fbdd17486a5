"""Does `adapt` say that a source learned from other images than the user's, and no false alarm?

    python benchmarks/wrong_source.py RUN [PART]...  # writes results/wrong_source.json

RUN is a model of the recipe glyphs-5w1s-protonet, as `make demo` trains it; PART is wrong, fitting
or polarity, and all of them where none is named.

Protocol, written before the folders were looked at:

* 20 folders of 5 classes with 5 images each that are nothing like the 28 x 28 drawings, ink on
  paper, that the model learned from: photographs (flowers12 and CIFAR-FS test classes) in colour,
  in grey, at 28 x 28, and drawings of the wrong polarity (MNIST, Kannada-MNIST and Omniglot, light
  on dark). Each has to be warned of (`adapt.unlike_source`).
* 20 folders of drawings with ink on paper, of other sets, sizes and file formats (Omniglot, MNIST
  and Kannada-MNIST inverted, glyphs). None may be warned of.
* Beside it, how often `adapt` says that the default source is better (`adapt.better_source`), which
  depends on what 25 images can show.
* Polarity: 20 draws of 5 digits of MNIST, 5 examples each, 20 queries each: the accuracy of the
  model on ink on paper, on the same digits light on dark as they are in MNIST, and on these with
  `--fit-inputs`. Asked: with it within 2 points of ink on paper.

Folder i and draw i are functions of i alone.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from own_data import interval, shared
from PIL import Image, ImageOps

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Notice
from metacli.engine.sample import sample

RESULT = Path(__file__).parent / "results" / "wrong_source.json"
WAY, SHOT, QUERY, DRAWS = 5, 5, 20, 20
Change = Callable[[Image.Image], Image.Image]
Classes = Mapping[str, list[Image.Image]]


def archive(path: Path, inside: str) -> Classes:
    """Images of a zip by the folder that they are in."""
    found: dict[str, list[Image.Image]] = {}
    with zipfile.ZipFile(path) as file:
        for name in sorted(file.namelist()):
            if inside in name and name.endswith((".png", ".jpg")):
                label = "_".join(Path(name).parts[-3:-1])
                image = Image.open(io.BytesIO(file.read(name)))
                found.setdefault(label, []).append(
                    image.convert("L" if image.mode == "1" else image.mode)
                )
    return found


def digits(folder: str, *names: str) -> Classes:
    """An IDX test set, light strokes on dark ground."""
    pixels, labels = (gzip.decompress((shared(folder) / name).read_bytes()) for name in names)
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
    y = np.frombuffer(labels, np.uint8, offset=8)
    return {
        str(one): [Image.fromarray(images[at]) for at in np.flatnonzero(y == one)]
        for one in range(10)
    }


def as_is(image: Image.Image) -> Image.Image:
    return image


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def sized(side: int, then: Change = as_is) -> Change:
    return lambda image: then(image).resize((side, side), Image.Resampling.BICUBIC)


def inverted(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image.convert("L"))


@dataclass(frozen=True)
class Folder:
    """Five classes of a set, changed."""

    data: str
    number: int
    change: Change = field(default=as_is)
    suffix: str = ".png"


WRONG = (
    *(Folder("flowers12", n) for n in range(4)),
    *(Folder("flowers12", n, grey) for n in (4, 5)),
    *(Folder("flowers12", n, sized(28)) for n in (6, 7)),
    *(Folder("flowers12", n, sized(28, grey)) for n in (8, 9)),
    *(Folder("cifar_fs", n) for n in (0, 1, 2)),
    *(Folder("cifar_fs", n, grey) for n in (3, 4)),
    Folder("cifar_fs", 5, sized(28, grey)),
    *(Folder("mnist", n) for n in (0, 1)),
    Folder("kannada_mnist", 0),
    Folder("omniglot", 0, inverted),
)
FITTING = (
    *(Folder("omniglot", n) for n in range(1, 6)),
    *(Folder("omniglot", 6 + n, sized(side)) for n, side in enumerate((28, 64, 300))),
    Folder("omniglot", 9, as_is, ".jpg"),
    *(Folder("mnist", n, inverted) for n in (2, 3, 4)),
    *(Folder("mnist", 5 + n, sized(side, inverted)) for n, side in enumerate((56, 200))),
    *(Folder("kannada_mnist", n, inverted) for n in (1, 2)),
    Folder("kannada_mnist", 3, sized(112, inverted)),
    *(Folder("glyphs", n) for n in (0, 1)),
    Folder("glyphs", 2, sized(56)),
)


def write(classes: Classes, folder: Folder, to: Path, queries: int = 0) -> None:
    """Its classes and images, drawn by the folder's number; queries beside the support."""
    draw = np.random.default_rng([412, folder.number])
    names = sorted(classes)
    for at in sorted(draw.choice(len(names), WAY, replace=False)):
        images = classes[names[at]]
        for n, one in enumerate(draw.permutation(len(images))[: SHOT + queries]):
            part = to / ("support" if n < SHOT else "query") if queries else to
            path = part / names[at] / f"{n:02}{folder.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            folder.change(images[one]).save(path)


def loaded() -> dict[str, Classes]:
    with tempfile.TemporaryDirectory() as place:
        sample("glyphs", place + "/g", way=20, shot=SHOT, query=0, split="test")
        glyphs = {
            one.name: [Image.open(path).copy() for path in sorted(one.glob("*.png"))]
            for one in sorted((Path(place) / "g" / "support").iterdir())
        }
    return {
        "flowers12": archive(shared("flowers12") / "flowers12.zip", "test/"),
        "cifar_fs": archive(shared("cifar_fs") / "cifar_fs_subset.zip", "test/"),
        "omniglot": archive(shared("omniglot") / "images_evaluation.zip", "images_evaluation/"),
        "mnist": digits("mnist", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        "kannada_mnist": digits(
            "kannada_mnist",
            "X_kannada_MNIST_test-idx3-ubyte.gz",
            "y_kannada_MNIST_test-idx1-ubyte.gz",
        ),
        "glyphs": glyphs,
    }


def warned(run: str, classes: Classes, folder: Folder) -> dict[str, object]:
    """What was said of a folder."""
    events: list[Event] = []
    with tempfile.TemporaryDirectory() as place:
        write(classes, folder, Path(place) / "task")
        found = adapt(run, Path(place) / "task", dry_run=True, report=events.append)
    said = {one.code: one.message for one in events if isinstance(one, Notice)}
    return {
        "data": folder.data,
        "number": folder.number,
        "unlike_source": said.get("adapt.unlike_source", "").partition("; ")[2].partition(": ")[0],
        "better_source": "adapt.better_source" in said,
        "accuracy": found.score.value,
    }


def polarity(run: str, classes: Classes) -> list[dict[str, float]]:
    rows = []
    for number in range(DRAWS):
        with tempfile.TemporaryDirectory() as place:
            base = Path(place)
            for name, change in (("ink", inverted), ("light", as_is)):
                write(classes, Folder("mnist", 100 + number, change), base / name, QUERY)
            found = {}
            for name, task, fit in (
                ("ink on paper", "ink", False),
                ("light on dark", "light", False),
                ("light on dark, --fit-inputs", "light", True),
            ):
                out = base / f"m{len(found)}"
                adapt(run, base / task / "support", out=out, compare=False, fit_inputs=fit)
                found[name] = float(evaluate(str(out), str(base / task / "query"))["mean"])
        print(number, found, flush=True)
        rows.append(found)
    return rows


def main(run: str, parts: list[str]) -> None:
    sets = loaded()
    result: dict[str, object] = {"run": "glyphs-5w1s-protonet"}
    if RESULT.exists():
        result = json.loads(RESULT.read_text())
    for what, folders in (("wrong", WRONG), ("fitting", FITTING)):
        if parts and what not in parts:
            continue
        rows = [warned(run, sets[one.data], one) for one in folders]
        result[what] = {
            "folders": len(rows),
            "warned": sum(bool(one["unlike_source"]) for one in rows),
            "better source named": sum(bool(one["better_source"]) for one in rows),
            "rows": rows,
        }
        print(what, result[what], flush=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    if parts and "polarity" not in parts:
        return
    draws = polarity(run, sets["mnist"])
    names = list(draws[0])
    result["polarity"] = {
        "accuracy": {name: interval([one[name] for one in draws]) for name in names},
        "fitted minus ink on paper": interval([one[names[2]] - one[names[0]] for one in draws]),
        "draws": draws,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(result["polarity"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
