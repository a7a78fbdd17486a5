"""Five training steps against stored losses: no number moves unless somebody says so.

`pytest tests/test_golden.py --regenerate-golden` writes the files anew; the commit says why.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys

from metacli.algorithms import ALGORITHMS
from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.data.draws import stream, uniforms
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import make_pool
from metacli.engine.events import StepDone
from metacli.engine.training import loop
from metacli.nn.problem import Problem
from metacli.schema.blocks import Train
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")
FOLDER = Path(__file__).parent / "golden"
STEPS = 5
CASES = {
    "maml-pictures": ("maml", {"inner_lr": 0.1, "inner_steps": 2}),
    "fomaml-pictures": ("fomaml", {"inner_lr": 0.1, "inner_steps": 2}),
    "protonet-pictures": ("protonet", {}),
    "maml-sinusoids": ("maml", {"inner_lr": 0.01, "inner_steps": 3}),
}


def drawn_pictures() -> ClassEpisodes:
    """Eight classes of eight pictures of two blocks of ink, from words whose stream is fixed."""
    words = stream("golden").random_raw(8 * 2 * 2)
    store = np.full((64, 1, 16, 16), 255, np.uint8)
    corners = (words % np.uint64(10)).astype(int).reshape(8, 2, 2)
    shifts = (
        (stream("golden", "hands").random_raw(64 * 2) % np.uint64(3)).astype(int).reshape(64, 2)
    )
    for row in range(64):
        for top, left in corners[row // 8] + shifts[row]:
            store[row, 0, top : top + 4, left : left + 3] = 20 + 3 * (row % 8)
    pool = make_pool(
        name="golden",
        split="train",
        scheme=None,
        classes=[f"c{index}" for index in range(8)],
        rows=list(np.arange(64).reshape(8, 8)),
        store=store,
        contents=hashlib.sha256(store.tobytes()).hexdigest(),
    )
    return ClassEpisodes(pool=pool, way=3, shot=2, query=2, seed=("train", 0), meta_batch=2)


def drawn_weights(problem: Problem) -> Params:
    """θ in float64 from a fixed stream: torch's own is in float32 and rounds by the processor."""
    params = problem.init(0, torch.float64)
    for name, value in params.items():
        if value.dim() < 2:
            params[name] = torch.full_like(value, float(name.endswith(("norm.weight", "norm.var"))))
        elif name in problem.trainable:
            numbers = torch.from_numpy(uniforms(stream("golden", name).random_raw(value.numel())))
            params[name] = (2 * numbers - 1).view_as(value) / value[0].numel() ** 0.5
    return params


def setting(name: str) -> tuple[Any, Problem, Any]:
    """Learner, problem and source of a case."""
    algorithm, fields = CASES[name]
    entry = ALGORITHMS[algorithm]
    learner = entry.load()(**entry.preset, **fields)
    if name.endswith("sinusoids"):
        return learner, toys.wave_problem((40, 40), chunk=4), Sinusoids(10, 10, meta_batch=4)
    return learner, toys.conv_problem(learner.head_size(3), norm="batch"), drawn_pictures()


def trace(name: str) -> dict[str, list[float]]:
    """Metrics of the first steps, in float64."""
    learner, problem, source = setting(name)

    def batch_at(step: int) -> Any:
        episodes = source.meta_batch_at(step)
        return toys.each_tensor(lambda v: v.double() if v.is_floating_point() else v, episodes)

    events: list[StepDone] = []
    params = drawn_weights(problem)
    loop.train(
        learner,
        problem,
        batch_at,
        Train(steps=STEPS, lr=0.01, clip=10.0, schedule="cosine"),
        loop.Snapshot(0, params, {}, {}),
        learned=problem.trainable,
        seed=0,
        every=STEPS,
        visit=lambda snapshot: None,
        stop=lambda: False,
        report=events.append,  # type: ignore[arg-type]
    )
    assert len(events) == STEPS
    return {key: [event.metrics[key] for event in events] for key in sorted(events[0].metrics)}


@pytest.mark.parametrize("name", list(CASES))
def test_losses_of_the_first_steps_are_the_stored_ones(
    name: str, pytestconfig: pytest.Config
) -> None:
    found, path = trace(name), FOLDER / f"{name}.json"
    if pytestconfig.getoption("--regenerate-golden"):
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        pytest.skip("written anew, not compared")
    wanted = json.loads(path.read_text(encoding="utf-8"))
    assert set(found) == set(wanted)
    for key, values in wanted.items():
        assert found[key] == pytest.approx(values, rel=1e-9)
    assert len(set(found["query_loss"])) == STEPS


def test_every_stored_trace_has_a_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} - {"defaults"} == set(CASES)
