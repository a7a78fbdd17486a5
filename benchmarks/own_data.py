"""`adapt DATA` beside what a user would take instead, on test photographs and test intents.

    python benchmarks/own_data.py flowers12 DRAWS  # writes results/own-data-flowers12.json
    python benchmarks/own_data.py clinc150 DRAWS
    python benchmarks/own_data.py hwu64 DRAWS [WAY SHOT]

Draws that are in the file stay, so that a run that was stopped goes on where it was.

Protocol, written before any test example was read:

* A draw takes N classes and K examples of each as the support; every method gets the same ones and
  answers for the same queries. Draw i is a function of i alone.
* flowers12: support from `train`, all of `test` of these classes as queries. 5- and 12-way, 1 and 5
  examples.
* clinc150: classes of the test list of split 1, support from `train`, 20 queries a class from
  `test`. 10- and 50-way, 5 and 10 examples. hwu64: classes of the test list of split 1, support
  from `train`, at most 20 queries a class from `test`; 10-way, 5 and 10 examples.
* `adapt DATA` is called as a user calls it, with its default budget; nothing of it is changed for a
  data set.
* Comparators: logistic regression on features of length 1 of the same encoder (images: the
  penultimate layer; texts: wordllama), and for texts on word (1-2) and character (3-5) TF-IDF. C is
  chosen among 0.1, 1, 10, 100, 1000 by accuracy on min(5, K) stratified folds of the support; C is
  10 where K is 1.
* Reported: mean accuracy over draws with a 95 % interval (Student's t), and of each comparator the
  paired difference with its own interval.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import t as student
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import Normalizer
from torch import nn

from metacli.data.images import ImageSpec, fit
from metacli.data.tables.static_text import StaticText
from metacli.engine.adapt import adapt
from metacli.engine.encoders.feature_cache import FeatureCache
from metacli.engine.encoders.pretrained import pretrained
from metacli.engine.models.folder import load
from metacli.engine.models.model import AdaptedModel
from metacli.engine.predict import predict
from metacli.engine.storage.paths import cache_root
from metacli.nn.backbones.efficientnet_lite0 import Features, Network
from metacli.nn.problem import Problem, make_module

RESULTS = Path(__file__).parent / "results"
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SETTINGS = {
    "flowers12": ((5, 1), (5, 5), (12, 1), (12, 5)),
    "clinc150": ((10, 5), (10, 10), (50, 5), (50, 10)),
    "hwu64": ((10, 5), (10, 10)),
}
GRID = {"logisticregression__C": [0.1, 1.0, 10.0, 100.0, 1000.0]}
QUERIES = 20
Labelled = list[tuple[str, str]]
"""Texts, or names of files, with their labels."""


def shared(name: str) -> Path:
    """The folder of a data set: METACLI_MIRROR, or beside the repository."""
    return Path(os.environ.get("METACLI_MIRROR", SHARED)) / name


def tuned(features: Sequence[object], y: np.ndarray, shot: int, *first: object) -> object:
    """Logistic regression behind `first`, its C by cross-validation."""
    model = make_pipeline(*first, LogisticRegression(C=10.0, max_iter=5000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if shot == 1:
            return model.fit(features, y)
        folds = StratifiedKFold(min(5, shot), shuffle=True, random_state=0)
        return GridSearchCV(model, GRID, cv=folds).fit(features, y)


def ngrams() -> object:
    """Words and characters, weighed by how rare they are."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    return make_union(words, letters)


class Flowers:
    """Files by class and part, with the encoder's penultimate features of each."""

    def __init__(self) -> None:
        archive = zipfile.ZipFile(shared("flowers12") / "flowers12.zip")
        self.files = {
            name: archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")
        }
        self.classes = sorted({name.split("/")[1] for name in self.files})
        names = list(self.files)
        x = np.stack([self.pixels(name) for name in names])
        self.features = dict(zip(names, self.embedded(x, "h"), strict=True))
        self.joined = dict(zip(names, self.embedded(x, "joined"), strict=True))

    def pixels(self, name: str) -> np.ndarray:
        image = Image.open(io.BytesIO(self.files[name])).convert("RGB")
        return fit(np.asarray(image), ImageSpec(3, 224, 224, 256))

    def embedded(self, x: np.ndarray, which: Features) -> np.ndarray:
        network = Network(which).eval()
        network.load_state_dict(pretrained("efficientnet-lite0", cache_root()))

        @torch.no_grad()
        def compute(part: np.ndarray) -> np.ndarray:
            return network(torch.from_numpy(part).float() / 255).numpy()

        cache = FeatureCache(cache_root(), f"benchmark: efficientnet-lite0 {which}")
        width = {"h": 1280, "b6": 320, "joined": 1600}[which]
        return cache.features(x, width, compute, 8, lambda done, total: None)

    def answers(self, folder: Path, names: Sequence[str]) -> list[str]:
        """What the adapted model says, its head given features that were computed before."""
        model = load(folder)
        assert isinstance(model, AdaptedModel)
        assert model.classes is not None
        if model.recipe.backbone.name != "efficientnet-lite0":
            raise RuntimeError(f"{folder} was adapted from {model.recipe.backbone.name}")
        x = torch.from_numpy(np.stack([self.joined[name] for name in names]))
        bare = make_module(nn.Identity(), nn.Identity())
        problem = Problem(bare, features=x.shape[1], kind="classification", head=None)
        found = model.learner().predict(problem, model.params, x).argmax(1)
        return [model.classes[number] for number in found.tolist()]

    def of(self, part: str, label: str) -> list[str]:
        return [name for name in self.files if name.startswith(f"{part}/{label}/")]

    def sampled(self, number: int, way: int, shot: int) -> tuple[Labelled, Labelled]:
        """Names of the support and of the query of a draw."""
        rng = np.random.default_rng([12, number, way, shot])
        labels = [self.classes[i] for i in sorted(rng.choice(len(self.classes), way, False))]
        support = [
            (str(name), label)
            for label in labels
            for name in rng.permutation(self.of("train", label))[:shot]
        ]
        query = [(name, label) for label in labels for name in self.of("test", label)]
        return support, query

    def draw(self, number: int, way: int, shot: int, folder: Path) -> dict[str, float]:
        support, query = self.sampled(number, way, shot)
        for name, label in support:
            path = folder / "support" / label / Path(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.files[name])
        adapt(None, folder / "support", out=folder / "model", compare=False)
        said = self.answers(folder / "model", [name for name, _ in query])
        truth = np.array([label for _, label in query])
        x = np.stack([self.features[name] for name, _ in support])
        model = tuned(x, np.array([label for _, label in support]), shot, Normalizer())
        other = model.predict(np.stack([self.features[name] for name, _ in query]))
        return {
            "adapt": float(np.mean(np.array(said) == truth)),
            "logistic regression on the encoder": float(np.mean(other == truth)),
        }


class Intents:
    """Texts by class and part."""

    def __init__(self, name: str) -> None:
        self.texts = clinc() if name == "clinc150" else hwu()
        lists = json.loads((shared(name) / "class_splits.json").read_text())
        self.classes = sorted(lists["01"]["test"])

    def sampled(self, number: int, way: int, shot: int) -> tuple[Labelled, Labelled]:
        """Support and query of a draw."""
        rng = np.random.default_rng([64, number, way, shot])
        labels = [self.classes[i] for i in sorted(rng.choice(len(self.classes), way, False))]
        support = [
            (str(text), label)
            for label in labels
            for text in rng.permutation(self.texts["train", label])[:shot]
        ]
        query = [(text, label) for label in labels for text in self.texts["test", label][:QUERIES]]
        return support, query

    def draw(self, number: int, way: int, shot: int, folder: Path) -> dict[str, float]:
        support, query = self.sampled(number, way, shot)
        table, asked = folder / "support.csv", folder / "asked.csv"
        for path, header, rows in (
            (table, ("text", "label"), support),
            (asked, ("text",), [(text,) for text, _ in query]),
        ):
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *rows])
        adapt(None, table, out=folder / "model", compare=False)
        said = [row["prediction"] for row in predict(str(folder / "model"), str(asked))["rows"]]
        truth = np.array([label for _, label in query])
        y, texts = np.array([label for _, label in support]), [text for text, _ in support]
        queries = [text for text, _ in query]
        encoder = StaticText()
        meaning = tuned(encoder.encode(texts), y, shot, Normalizer())
        spelling = tuned(texts, y, shot, ngrams())
        return {
            "adapt": float(np.mean(np.array(said) == truth)),
            "logistic regression on wordllama": float(
                np.mean(meaning.predict(encoder.encode(queries)) == truth)
            ),
            "logistic regression on TF-IDF": float(np.mean(spelling.predict(queries) == truth)),
        }


def clinc() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    whole = json.loads((shared("clinc150") / "data_full.json").read_text())
    for part in ("train", "test"):
        for text, label in whole[part]:
            found.setdefault((part, label), []).append(text)
    return found


def hwu() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    archive = zipfile.ZipFile(shared("hwu64") / "hwu64.zip")
    for part in ("train", "test"):
        texts = archive.read(f"HWU64/{part}/seq.in").decode().splitlines()
        labels = archive.read(f"HWU64/{part}/label").decode().splitlines()
        for text, label in zip(texts, labels, strict=True):
            found.setdefault((part, label), []).append(text)
    return found


def interval(values: Sequence[float]) -> dict[str, float]:
    mean, n = float(np.mean(values)), len(values)
    half = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else 0.0
    return {"mean": mean, "ci95": half, "n": n}


def main(name: str, draws: int, settings: Sequence[tuple[int, int]]) -> None:
    source = Flowers() if name == "flowers12" else Intents(name)
    path = RESULTS / f"own-data-{name}.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    for way, shot in settings:
        known = next((one for one in rows if (one["way"], one["shot"]) == (way, shot)), {})
        found: list[dict[str, float]] = known.get("draws", [])
        begin, first = time.process_time(), len(found)
        spent = known.get("seconds", 0.0) * first
        for number in range(first, draws):
            with tempfile.TemporaryDirectory() as folder:
                found.append(source.draw(number, way, shot, Path(folder)))
            print(name, way, shot, number, found[-1], flush=True)
            made = row(way, shot, found, (spent + time.process_time() - begin) / len(found))
            others = [one for one in rows if (one["way"], one["shot"]) != (way, shot)]
            rows = sorted([*others, {**known, **made}], key=lambda one: (one["way"], one["shot"]))
            path.write_text(json.dumps({"data": name, "rows": rows}, indent=1) + "\n")


def row(
    way: int, shot: int, found: Sequence[dict[str, float]], seconds: float
) -> dict[str, object]:
    """Means over draws, and paired differences."""
    others = [key for key in found[0] if key != "adapt"]
    return {
        "way": way,
        "shot": shot,
        "accuracy": {key: interval([one[key] for one in found]) for key in found[0]},
        "adapt minus": {
            key: interval([one["adapt"] - one[key] for one in found]) for key in others
        },
        "seconds": seconds,
        "draws": found,
    }


if __name__ == "__main__":
    words = sys.argv[1:]
    asked = ((int(words[2]), int(words[3])),) if len(words) > 2 else SETTINGS[words[0]]
    main(words[0], int(words[1]), asked)
