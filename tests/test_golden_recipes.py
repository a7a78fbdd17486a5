"""The first steps of a recipe of every family against stored values, in float64: what is rebuilt
around the algorithms moves no number.

`pytest tests/test_golden_recipes.py --regenerate-golden` writes `fixtures/recipes.json` again; the
commit says why values move. Parameters begin as numbers of a fixed stream, as torch's own begin in
float32 and round by the processor.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import toys
from torch import Tensor

from metacli.algorithms import ALGORITHMS
from metacli.data.draws import stream, uniforms
from metacli.engine.events import StepDone, ignore
from metacli.engine.training import loop, runs
from metacli.engine.training.kinds import make_run
from metacli.schema.load import load
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")
STORED = Path(__file__).parent / "fixtures" / "recipes.json"
# How far apart two processors were after eighteen steps in float64 (2e-9), with room; a changed
# formula moves the first steps by more.
OF_PROCESSORS = 1e-7
DATA = Path(__file__).parent / "fixtures" / "data"
WAVES = """version: 1
kind: meta
data: {source: sinusoid}
episodes: {way: 1, shot: 5, query: 5}
backbone: {name: mlp, hidden: [6]}
algorithm: {name: NAME}
train: {steps: 5, meta_batch: 2, lr: 0.01, clip: 10.0, schedule: cosine}
"""
IMAGES = """version: 1
kind: meta
data: {source: glyphs}
episodes: {way: 3, shot: 2, query: 2}
backbone: {name: conv4, width: 4, norm: group}
algorithm: {name: NAME}
train: {steps: 5, meta_batch: 2, lr: 0.01}
"""
TEXTS = """version: 1
kind: meta
data: {source: data/topics.csv, features: 64, way: 2}
episodes: {way: 2, shot: 2, query: 2}
backbone: {name: text, width: 8}
algorithm: {name: NAME}
train: {steps: 5, meta_batch: 2, lr: 0.01}
"""
TABLE = """version: 1
kind: meta
data: {source: data/towns, target: price}
episodes: {way: 1, shot: 3, query: 2}
backbone: {name: mlp, hidden: [6]}
algorithm: {name: NAME}
train: {steps: 5, meta_batch: 2, lr: 0.01}
"""
FAMILIES = """version: 1
kind: multitask
data: {source: task-families, groups: 1, tasks: 2, unrelated: 1, size: 48}
backbone: {name: BACKBONE}
sharing: {name: NAME}
weighting: {name: equal}
train: {steps: 5, lr: 0.01}
"""
PUPILS = FAMILIES.replace(
    "{source: task-families, groups: 1, tasks: 2, unrelated: 1, size: 48}",
    "{source: data/pupils.csv, task: school, target: score}",
)
LEVELS = PUPILS.replace("pupils.csv", "levels.csv").replace("target: score", "target: level")
MINES = PUPILS.replace("pupils.csv, task: school", "mines.csv, task: field").replace(
    "target: score", "target: mine"
)
REGRESSION = (
    *("maml", "fomaml", "anil", "boil", "reptile", "imaml"),
    *("meta_sgd", "maml_plus_plus", "cavia", "joint"),
)
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{f"sinusoid {name}": (WAVES, (name,)) for name in REGRESSION},
    **{
        f"images {name}": (IMAGES, (name,))
        for name in ("protonet", "matchingnet", "r2d2", "pretrain")
    },
    "images maml": (IMAGES, ("maml", "algorithm.inner_steps=2", "backbone.norm=batch")),
    "texts r2d2": (TEXTS, ("r2d2",)),
    "texts maml": (TEXTS, ("maml",)),
    "table maml": (TABLE, ("maml",)),
    "table joint": (TABLE, ("joint",)),
    **{
        f"families {name}": (FAMILIES, (name, "backbone.hidden=[4]"))
        for name in ("hard", "soft-l2", "soft-pairwise", "cross-stitch", "mmoe")
    },
    "levels hard": (LEVELS, ("hard", "backbone.hidden=[4]")),
    "pupils mean-ridge": (PUPILS, ("mean-ridge", "sharing.folds=2")),
    "pupils mixed-effects": (PUPILS, ("mixed-effects", "sharing.features=8")),
    "pupils coupled": (PUPILS, ("coupled", "sharing.folds=2", "sharing.rounds=2")),
    "mines mean-logistic": (MINES, ("mean-logistic", "sharing.folds=2")),
    **{
        f"families {name}": (FAMILIES, ("hard", "backbone.hidden=[4]", f"weighting.name={name}"))
        for name in ("log", "uncertainty", "rlw", "gradnorm", "famo")
    },
    "families fixed": (
        FAMILIES,
        ("hard", "backbone.hidden=[4]", "weighting.name=fixed", "weighting.weights=[1,2,3]"),
    ),
    "families dwa": (
        FAMILIES,
        ("hard", "backbone.hidden=[4]", "weighting.name=dwa", "weighting.window=1"),
    ),
    "families meta": (FAMILIES, ("auxiliary", "backbone.hidden=[4]", "weighting.name=meta")),
    **{
        f"families {name}": (FAMILIES, ("hard", "backbone.hidden=[4]", f"surgery.name={name}"))
        for name in ("mgda", "pcgrad", "cagrad", "imtl-g", "nash-mtl", "aligned-mtl", "upgrad")
    },
}
SOLVED = ("mean-ridge", "mixed-effects", "coupled", "mean-logistic")
TRANSFER: dict[str, dict[str, int]] = {
    "linear-probe": {},
    "fine-tune": {"steps": 3},
    "lp-ft": {"steps": 3},
    "l2-sp": {"steps": 3},
    "prototype": {},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(DATA, "data")
    lines = ["depth,echo,field,mine"]
    for at in range(60):
        depth, echo = at * 7 % 11, at * 5 % 13
        lines.append(f"{depth},{echo},f{at % 3},{'ny'[depth + echo + at % 3 > 12]}")
    Path("data/mines.csv").write_text("\n".join(lines) + "\n")


def drawn(params: Params, moved: frozenset[str]) -> Params:
    """The parameters that are learned as numbers of a fixed stream, in float64; the others, such as
    statistics of the data, and those that begin the same everywhere, as they are."""
    found = {}
    for name, value in params.items():
        same = value.numel() == 0 or bool((value == value.flatten()[0]).all())
        found[name] = value.double() if value.is_floating_point() else value
        if name in moved and not same:
            words = stream("golden", name).random_raw(value.numel())
            numbers = 2 * torch.from_numpy(uniforms(words)) - 1
            found[name] = numbers.view_as(value) / max(1, value[0].numel()) ** 0.5
    return found


def in_float64(value: Any) -> Any:
    """Every float tensor in tuples and dicts as float64."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: in_float64(item) for key, item in value.items()}
    if isinstance(value, tuple):
        parts = map(in_float64, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def fingerprint(params: Params) -> float:
    """One number that moves with any of the parameters."""
    total = 0.0
    for name, value in sorted(params.items()):
        weights = torch.from_numpy(uniforms(stream("mark", name).random_raw(value.numel())))
        total += float((weights * value.detach().double().flatten()).sum())
    return total


def settings(name: str) -> tuple[str, list[str]]:
    """A case as a recipe and overrides."""
    text, (first, *overrides) = CASES[name]
    linear = "linear}" if first in SOLVED else "mlp}"
    return text.replace("NAME", first).replace("BACKBONE}", linear), overrides


def trace(name: str) -> dict[str, list[float]]:
    """Metrics of the first steps, and a mark of the parameters after them."""
    text, overrides = settings(name)
    Path("golden.yaml").write_text(text)
    run = make_run(load("golden.yaml", overrides))
    start, events = run.start(), list[StepDone]()

    def in_double(
        method: Any, problem: Any, batch_at: Any, settings: Any, begin: loop.Snapshot, **rest: Any
    ) -> loop.Snapshot:
        """The loop that the run asks for, from drawn parameters and in float64."""
        added, _ = method.init(problem, begin.params)
        fresh = {key: value for key, value in begin.params.items() if key not in added}
        params = drawn(fresh, problem.trainable)
        own, state = method.init(problem, params)
        return loop.train(
            method,
            problem,
            lambda step: in_float64(batch_at(step)),
            settings,
            loop.Snapshot(0, {**params, **in_float64(own)}, state, {}),
            learned=problem.trainable | frozenset(own),
            seed=0,
            every=100,
            visit=lambda snapshot: None,
            stop=lambda: False,
            report=events.append,  # type: ignore[arg-type]
        )

    hooks = runs.Hooks(lambda snapshot: None, lambda: False, ignore)
    with patch.object(runs, "train", in_double):
        begin = loop.Snapshot(0, start.params, start.state, {})
        final = run.train(begin, start.learned, torch.device("cpu"), hooks)
    found = {key: [event.metrics[key] for event in events] for key in sorted(events[0].metrics)}
    return {**found, "parameters": [fingerprint(final.params)]}


def transferred(name: str) -> dict[str, list[float]]:
    """What a transfer method answers for the query of one task."""
    learner = ALGORITHMS[name].load()(**TRANSFER[name]).usual()
    found: dict[str, list[float]] = {}
    for kind, problem, episode in tasks_to_adapt_to():
        if kind not in learner.kinds:
            continue
        params = drawn(problem.init(0, torch.float64), problem.trainable)
        support, query = episode
        phi = learner.adapt(problem, params, support)
        found[kind] = learner.predict(problem, phi, query.x).flatten().tolist()
    return found


def tasks_to_adapt_to() -> Iterator[tuple[str, Any, Episode]]:
    """Made of integers of fixed streams alone."""

    def values(label: str, *shape: int) -> Tensor:
        words = stream("golden", label).random_raw(torch.Size(shape).numel())
        return torch.from_numpy(uniforms(words)).view(shape)

    y = torch.arange(3).repeat_interleave(2)
    images = [
        Batch((180 * values(half, 6, 1, 16, 16) + 35 * y.view(6, 1, 1, 1)).to(torch.uint8), y)
        for half in ("support", "query")
    ]
    yield "classification", toys.conv_problem(None, width=4), Episode(*images)
    x = [10 * values(half, 6, 1) - 5 for half in ("given", "asked")]
    problem = toys.wave_problem((6,))
    yield (
        "regression",
        problem.__class__(**{**vars(problem), "head": None}),
        Episode(*(Batch(one, one**2 / 5) for one in x)),
    )


EVERY = [*CASES, *(f"transfer {name}" for name in TRANSFER)]


def test_every_stored_trace_has_a_case() -> None:
    assert set(json.loads(STORED.read_text())) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.usefixtures("place")
def test_values_of_the_first_steps_are_the_stored_ones(
    name: str, pytestconfig: pytest.Config
) -> None:
    kind, _, method = name.partition(" ")
    found = transferred(method) if kind == "transfer" else trace(name)
    if pytestconfig.getoption("--regenerate-golden"):
        stored = json.loads(STORED.read_text()) if STORED.is_file() else {}
        every = {**stored, name: found}
        kept = {one: every[one] for one in EVERY if one in every}
        lines = [f" {json.dumps(one)}: {json.dumps(value)}" for one, value in kept.items()]
        STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        pytest.skip("written, not compared: run with -n 0")
    wanted = json.loads(STORED.read_text(encoding="utf-8"))[name]
    assert set(found) == set(wanted)
    for key, values in wanted.items():
        assert found[key] == pytest.approx(values, rel=OF_PROCESSORS, abs=1e-12), key
