"""Every reader, those of our own files included, with small files that are made here."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import random
import shutil
import wave
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
import variants
from campaign import Door
from PIL import Image
from workers import Worker

from metacli.data.cache.archives import read_zip
from metacli.data.cache.kept_files import read_index
from metacli.data.cache.store import read_stored, silent
from metacli.data.catalogue.entries import Archive
from metacli.data.images import ImageSpec, read_image
from metacli.data.sets.from_user import SetColumns, read_set
from metacli.data.tables import formats
from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.tables.reader import parse_table
from metacli.data.user.open import list_task, tasks_below
from metacli.engine.adapt import adapt
from metacli.engine.compare import compare
from metacli.engine.events import Reporter, ignore
from metacli.engine.inspect import inspect
from metacli.engine.models.folder import load as load_model
from metacli.engine.models.model import FewShotModel
from metacli.engine.predict import predict
from metacli.engine.reporting import content as page_content
from metacli.engine.reporting.blocks import Section
from metacli.engine.reporting.content import page_of
from metacli.engine.reporting.page import html_of
from metacli.engine.reporting.subject import open_subject
from metacli.engine.sets import folder as set_folder
from metacli.engine.sets.adapting import adapt_to_set
from metacli.engine.sets.model import SetModel
from metacli.engine.storage.serial import json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import MANIFEST, manifest_bytes
from metacli.engine.training import checkpoint, resume, run_file
from metacli.engine.training.history import History
from metacli.engine.training.resume import require_fits
from metacli.engine.training.runs import Start
from metacli.engine.tuning.study import reopened
from metacli.schema.load import load as load_recipe

STORED = Path(__file__).resolve().parents[1] / "fixtures"
GREY = ImageSpec(1, 8, 8)
LARGE = 2**20  # numbers of one input
CPU = torch.device("cpu")
Files = Mapping[str, bytes]
TABLE = (
    b"size,kind,built,price\n12.5,flat,2001-02-03,100\n30,house,2011-12-13,250\n"
    b",flat,1999-01-01,90\n41,house,2020-05-06,300\n22,flat,2015-07-08,170\n"
)
RECIPE = """# A tiny run.
version: 1
kind: meta
data: {source: glyphs}
episodes: {way: 3, shot: 2, query: 2}
backbone: {name: conv4, width: 8, norm: group}
algorithm: {name: maml, inner_lr: 0.1, inner_steps: 1}
train: {steps: 12, meta_batch: 2, lr: 1e-3}
evaluate: {every: 4, episodes: 3}
expect: null
"""
TASKS = """version: 1
kind: multitask
data: {source: task-families, groups: 1, tasks: 2, unrelated: 1, size: 48}
backbone: {name: mlp, hidden: [6]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 4, lr: 0.01}
evaluate: {every: 4}
"""


def doors(scratch: Path) -> dict[str, Callable[[], Door]]:
    """Reader by name; made when it is asked for, in a folder of its own."""

    def own(make: Callable[[Path], Door], name: str) -> Callable[[], Door]:
        def made() -> Door:
            folder = scratch / name
            folder.mkdir(parents=True, exist_ok=True)
            return make(folder)

        return made

    named: dict[str, Callable[[Path], Door]] = {
        "images": images,
        "recordings": recordings,
        "tables": tables,
        "parquet": parquet,
        "sets": sets,
        "recipes": recipes,
        "tasks": tasks,
        "archives": archives,
        "adapted models": adapted_models,
        "multi-task models": multi_task_models,
        "few-shot models": few_shot_models,
        "models of sets": set_models,
        "checkpoints": checkpoints,
        "run files": run_files,
        "score files": score_files,
        "records of runs": records,
        "searches": searches,
        "caches": caches,
    }
    return {name: own(make, name.replace(" ", "-")) for name, make in named.items()}


# What others made


def images(folder: Path) -> Door:
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    made = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, kind)
        made.append(buffer.getvalue())
    return Door(tuple(made), variants.mutated_bytes, _pixels)


def _pixels(content: bytes) -> None:
    found = read_image(content, GREY)
    assert (found.shape, found.dtype) == ((1, 8, 8), np.dtype(np.uint8))


def recordings(folder: Path) -> Door:
    made = []
    for width, rate in ((1, 8000), (2, 16000), (3, 8000), (4, 8000)):
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1 + width % 2)
            file.setsampwidth(width)
            file.setframerate(rate)
            file.writeframes(bytes(range(256)) * 4 * width)
        made.append(buffer.getvalue())
    return Door(tuple(made), variants.mutated_bytes, _pixels)


def tables(folder: Path) -> Door:
    rows = [line.split(b",") for line in TABLE.splitlines()]
    names, *cells = rows
    lines = b"\n".join(
        json.dumps({n.decode(): c.decode() for n, c in zip(names, row, strict=True)}).encode()
        for row in cells
    )
    seeds = [
        (TABLE, "csv"),
        (TABLE.replace(b",", b"\t"), "tsv"),
        (TABLE.replace(b",", b";").replace(b".5", b",5"), "csv"),
        (lines, "jsonl"),
    ]

    def mutate(seed: tuple[bytes, str], draw: random.Random) -> tuple[bytes, str]:
        content, ending = seed
        return variants.mutated_text(content, draw), ending

    return Door(tuple(seeds), mutate, lambda variant: _read_table(folder, variant))


def _read_table(folder: Path, variant: tuple[bytes, str]) -> None:
    place = folder / f"t.{variant[1]}"
    place.write_bytes(variant[0])
    table = parse_table(variant[0], variant[1], place.name)
    assert len(table) > 0
    list_task(place, skip_bad=True, choice=Choice("price"))


def parquet(folder: Path) -> Door:
    """What `metacli` starts a process for is read by one process here, until it ends itself."""
    worker = Worker()

    def read(content: bytes) -> None:
        with mock.patch.object(formats, "subprocess", SimpleNamespace(run=worker.run)):
            _read_table(folder, (content, "parquet"))

    return Door((_parquet(),), variants.mutated_bytes, read)


def _parquet() -> bytes:
    import polars as pl

    buffer = io.BytesIO()
    pl.DataFrame(
        {"size": [1.0, 2.0, None], "kind": ["a", "b", "a"], "price": [1, 2, 3]}
    ).write_parquet(buffer)
    return buffer.getvalue()


def sets(folder: Path) -> Door:
    text = b"x,sine,tanh\n" + b"".join(b"%d,%d.5,%d\n" % (m, m, 2 * m) for m in range(-4, 5))

    def read(content: bytes) -> None:
        (folder / "set.csv").write_bytes(content)
        read_set(folder / "set.csv", SetColumns(known=("sine", "tanh")))

    return Door((text,), variants.mutated_text, read)


def recipes(folder: Path) -> Door:
    def read(content: bytes) -> None:
        place = folder / "r.yaml"
        place.write_bytes(content)
        load_recipe(str(place))

    return Door((RECIPE.encode(), TASKS.encode()), variants.mutated_text, read)


def tasks(folder: Path) -> Door:
    place = folder / "task"
    for number, label in enumerate("ab"):
        (place / "support" / label).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 100 * number).save(place / "support" / label / "0.png")
    (place / "t.csv").write_bytes(TABLE)
    first = b"support: t.csv\ntarget: price\ninput: [size, kind]\ntype: regression\nunit: EUR\n"
    outside = folder.parent / f"{folder.name}-outside.csv"
    outside.write_bytes(TABLE)

    def read(content: bytes) -> None:
        (place / "task.yaml").write_bytes(content)
        found = list_task(place, skip_bad=True)
        for row in found.support if found.kind == "images" else ():
            assert Path(row.path).resolve().is_relative_to(place.resolve())
        tasks_below(folder, NOTHING_SAID)

    return Door((first, b"support: support\n"), variants.mutated_text, read)


def archives(folder: Path) -> Door:
    seeds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as made:
            for name in ("x/a/0.png", "x/b/1.png", "x/../../up.png"):
                made.writestr(name, b"p" * 40)
        seeds.append(buffer.getvalue())
    entry = Archive("x.zip", (), 400, "", "", 3, 200, ".png", 2, frozenset())

    def read(content: bytes) -> None:
        place = folder / "x.zip"
        place.write_bytes(content)
        found = read_zip(place, [entry], silent)
        assert sum(map(len, found.values())) <= 2_000_000
        assert sorted(one.name for one in folder.iterdir()) == ["x.zip"]

    return Door(tuple(seeds), variants.mutated_bytes, read)


# Our own, with their checksums made again


def sealed(place: Path, files: Files) -> Path:
    """The folder as `write_folder` makes it, without the disk being waited for."""
    place.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, MANIFEST: manifest_bytes(files)}.items():
        (place / name).write_bytes(content)
    return place


def files_of(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name != MANIFEST}


def mutated_folder(seed: tuple[str, Files], draw: random.Random) -> tuple[str, Files]:
    """A JSON file of it edited (three of four times), or its tensors."""
    name, files = seed
    plain = [one for one in files if one.endswith(".json")]
    packed = [one for one in files if one.endswith(".safetensors") and len(files[one]) > 8]
    made = dict(files)
    if draw.random() < 0.75 or not packed:
        one = variants.chosen(plain, draw)
        made[one] = variants.json_bytes_of(variants.mutated_json(json.loads(files[one]), draw))
    else:
        one = variants.chosen(packed, draw)
        made[one] = variants.mutated_tensors(files[one], draw)
    return name, made


def stored_models(names: Sequence[str]) -> tuple[tuple[str, Files], ...]:
    return tuple((name, files_of(STORED / "models" / name)) for name in names)


def inputs_of(name: str) -> Path:
    known = json.loads((STORED / "models" / f"{name}.json").read_text())
    return STORED / "data" / known["inputs"]


def adapted_models(folder: Path) -> Door:
    names = (
        "adapted-images",
        "adapted-table",
        "adapted-columns",
        "linear-probe-images",
        "adapted-texts",
    )
    return Door(stored_models(names), mutated_folder, lambda seed: _predict(folder, seed))


def multi_task_models(folder: Path) -> Door:
    names = ("hard-numbers", "hard-table", "guarded-numbers", "mean-ridge-table")
    return Door(stored_models(names), mutated_folder, lambda seed: _predict(folder, seed))


def _predict(folder: Path, seed: tuple[str, Files]) -> None:
    name, files = seed
    place = sealed(folder / "m", files)
    inspect(place)
    predict(place, inputs_of(name), device="cpu")


def few_shot_models(folder: Path) -> Door:
    names = ("protonet-images", "maml-images", "maml-table", "r2d2-texts")
    data = {"images": "shapes", "table": "town.csv", "texts": "mine.csv"}

    def read(seed: tuple[str, Files]) -> None:
        name, files = seed
        place = sealed(folder / "m", files)
        if math.prod(load_model(place).inputs.shape) > LARGE:
            return  # an image of that size is allowed, and takes its time
        task = STORED / "data" / data[name.partition("-")[2]]
        adapt(place, task, folds=2, compare=False, dry_run=True, device="cpu")

    return Door(stored_models(names), mutated_folder, read)


def set_models(folder: Path) -> Door:
    recipe = load_recipe(
        "functions-4t-mtnp",
        ["algorithm.width=8", "algorithm.heads=2", "algorithm.blocks=1", "algorithm.reads=1"],
    ).recipe
    known = ("sine", "tanh")
    made = SetModel(recipe, {}, {"step": 1}, known, 1)
    made = replace(made, params=made.weights())
    table = folder / "set.csv"
    table.write_text("x,sine,tanh\n" + "".join(f"{m},{m / 10},{m / 20}\n" for m in range(-6, 6)))
    adapted, _ = adapt_to_set(made, read_set(table, SetColumns(known=known)))
    seeds = []
    for name, one in (("source", made), ("adapted", adapted)):
        set_folder.save(one, folder / name, replace=True)
        seeds.append((name, files_of(folder / name)))

    def read(seed: tuple[str, Files]) -> None:
        name, files = seed
        place = sealed(folder / "m", files)
        inspect(place)
        if name == "adapted":
            predict(place, table, device="cpu")
        else:
            adapt(place, table, dry_run=True, device="cpu")

    return Door(tuple(seeds), mutated_folder, read)


def checkpoints(folder: Path) -> Door:
    params = {"head.weight": torch.ones(2, 3), "wide": torch.ones(4, dtype=torch.float64)}
    optimizer = {"head.weight/exp_avg": torch.ones(2, 3), "wide/step": torch.tensor(1.0)}
    history = History(
        step=4, seconds=1.5, validated=4, best_mean=0.5, best_step=4, best={"mean": 0.5, "n": 3}
    )
    meta = {"step": 4, "state": {"rng": [1, 2], "name": "x"}, "facts": history.as_dict()}
    files = {
        checkpoint.PARAMS: tensors_to_bytes(params),
        checkpoint.OPTIMIZER: tensors_to_bytes(optimizer),
        checkpoint.META: json_bytes(meta),
    }

    def read(seed: tuple[str, Files]) -> None:
        found = checkpoint.read(sealed(folder / "step-4", seed[1]))
        History.of(found.facts, found.path)
        start = Start(params, {"rng": [0, 0], "name": ""}, frozenset(params), frozenset(params))
        require_fits(found, start)

    return Door((("step-4", files),), mutated_folder, read)


def run_files(folder: Path) -> Door:
    seeds = tuple(_run_json(name) for name in ("waves", "tasks"))

    def mutate(seed: dict[str, Any], draw: random.Random) -> dict[str, Any]:
        return variants.mutated_json(seed, draw)

    def read(raw: Any) -> None:
        if isinstance(raw, dict):  # sealed again
            raw = {key: value for key, value in raw.items() if key != run_file.SEAL}
            with contextlib.suppress(ValueError, TypeError):
                raw[run_file.SEAL] = run_file.seal_of(raw)
        (folder / run_file.FILE).write_bytes(variants.json_bytes_of(raw))
        facts = run_file.read(folder)
        assert facts.planned_steps is None or facts.planned_steps > 0
        resume.facts_of(folder, "run")
        inspect(folder)

    return Door(seeds, mutate, read)


def _run_json(name: str) -> dict[str, Any]:
    return json.loads((STORED / "stopped" / name / run_file.FILE).read_text())


SCORES = {
    "model": "/x/m",
    "split": "test",
    "data_digest": "d" * 64,
    "query": 15,
    "way": 5,
    "shot": 1,
    "episodes": 4,
    "seed": 0,
    "metric": "accuracy",
    "unit": "episode",
    "units": "u" * 32,
    "mode": "inductive",
    "recipe": "r" * 32,
    "run_seed": 0,
    "values": [0.2, 0.5, None, 0.75],
    "result": {
        "metric": "accuracy",
        "mean": 0.5,
        "ci95": 0.1,
        "chance": 0.2,
        "way": 5,
        "shot": 1,
        "baselines": {"untrained": {"mean": 0.3, "ci95": 0.1}},
        "per_step": [{"step": 0, "mean": 0.2, "ci95": 0.1}, {"step": 1, "mean": 0.4, "ci95": 0.1}],
    },
}


def score_files(folder: Path) -> Door:
    second = {**SCORES, "model": "/x/n", "recipe": "s" * 32, "values": [0.1, 0.5, 0.25, 0.5]}

    def mutate(seed: bytes, draw: random.Random) -> bytes:
        plain = [json.loads(line) for line in seed.splitlines()]
        lines = [variants.mutated_json(one, draw) if draw.random() < 0.6 else one for one in plain]
        content = b"".join(variants.json_bytes_of(one) + b"\n" for one in lines)
        return variants.mutated_text(content, draw) if draw.random() < 0.2 else content

    def read(content: Any) -> None:
        place = folder / "scores.jsonl"
        place.write_bytes(content)
        compare([place])

    seeds = (b"".join(variants.json_bytes_of(one) + b"\n" for one in (SCORES, second)),)
    return Door(seeds, mutate, read)


def records(folder: Path) -> Door:
    """What `report` reads of a run beside its model: metrics, tasks, relatedness, scores."""
    seeds = []
    for name in ("protonet-images", "hard-table"):
        run = folder / name
        shutil.copytree(STORED / "models" / name, run / "model", dirs_exist_ok=True)
        seeds.append((name, _records_of(name)))

    plots: list[list[Section]] = []
    validation = page_content.validation

    def drawn(model: FewShotModel, report: Reporter) -> list[Section]:
        """Of the model's own episodes, which no variant changes: drawn once."""
        if not plots:
            plots.append(validation(model, report))
        return plots[0]

    def mutate(seed: tuple[str, Files], draw: random.Random) -> tuple[str, Files]:
        name, files = seed
        one = variants.chosen(sorted(files), draw)
        lines = [json.loads(line) for line in files[one].splitlines()]
        at = draw.randrange(len(lines))
        lines[at] = variants.mutated_json(lines[at], draw)
        return name, {**files, one: b"\n".join(map(variants.json_bytes_of, lines))}

    def read(seed: tuple[str, Files]) -> None:
        name, files = seed
        run = folder / name
        for one, content in files.items():
            if one == run_file.FILE:
                run_file.write(run, run_file.RunFacts.model_validate(json.loads(content)))
            else:
                (run / one).write_bytes(content)
        subject = open_subject(str(run), CPU, ignore)
        with mock.patch.object(page_content, "validation", drawn):
            html_of(page_of(subject, ignore))

    return Door(tuple(seeds), mutate, read)


def _records_of(name: str) -> dict[str, bytes]:
    metrics = [
        {"step": 1, "train": {"loss": 1.5, "accuracy": 0.25}},
        {"step": 2, "train": {"loss": 1.25, "accuracy": 0.5}},
        {"step": 2, "val": {"accuracy": {"mean": 0.5, "ci95": 0.1, "n": 3}}, "best": True},
    ]
    scores = {**SCORES, "model": "/x/model"}
    tasks = {
        "metric": "explained_variance",
        "tasks": [
            {
                "name": n,
                "metric": "mse",
                "value": 1.5,
                "single_task": 2.5,
                "delta": 1.0,
                "delta_ci95": [0.5, 1.5],
            }
            for n in ("s0", "s1", "s2")
        ],
        "mean_delta": 1.0,
        "mean_delta_ci95": [0.5, 1.5],
        "baselines": {"mean": {"mean": 2.0, "ci95": 0.1, "n": 30}},
    }
    related = {
        "tasks": ["s0", "s1", "s2"],
        "matrix": [[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]],
    }
    lines = lambda values: b"\n".join(json.dumps(one).encode() for one in values)  # noqa: E731
    found = {"metrics.jsonl": lines(metrics), "scores.jsonl": lines([scores])}
    if name == "hard-table":
        found = {"tasks.json": lines([tasks]), "relatedness.json": lines([related]), **found}
    return found


def searches(folder: Path) -> Door:
    facts = {"recipe": "glyphs-5w1s-protonet", "settings": ["train.lr=1e-4..1e-2"], "seed": 0}

    def read(raw: Any) -> None:
        (folder / "tune.json").write_bytes(variants.json_bytes_of(raw))
        found = reopened(folder)
        assert found.space is not None

    return Door((facts,), variants.mutated_json, read)


def caches(folder: Path) -> Door:
    place = folder / "set"
    place.mkdir(exist_ok=True)
    np.save(place / "images.npy", np.zeros((4, 1, 3, 3), np.uint8))
    digest = hashlib.sha256((place / "images.npy").read_bytes()).hexdigest()
    stored = {"format": 1, "images": digest, "classes": [["a", 2], ["b", 2]], "contents": "c" * 64}
    kept = {"format": 1, "files": {"data.json": "d" * 64}}

    def read(raw: Any) -> None:
        (place / "index.json").write_bytes(variants.json_bytes_of(raw))
        if isinstance(raw, dict) and "files" in raw:
            read_index(place, "set")
        else:
            found = read_stored(place, "set")
            assert found is not None
            for group in found.groups:
                assert len(found.images[group.rows]) == group.count

    return Door((stored, kept), variants.mutated_json, read)
