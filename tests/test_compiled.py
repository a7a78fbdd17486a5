"""Gradients written out as one graph, and compiled, against the loop over tasks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from torch import nn

from metacli import compiled
from metacli.algorithms.meta.cavia import CAVIA
from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.maml_plus_plus import MAMLPlusPlus
from metacli.algorithms.meta.meta_sgd import MetaSGD
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.algorithms.meta.r2d2 import R2D2
from metacli.algorithms.meta.reptile import Reptile
from metacli.errors import EnvironmentProblem
from metacli.nn.layers.inputs import PixelInput
from metacli.nn.layers.norms import BatchStatNorm
from metacli.nn.problem import Problem, make_module
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")

ONE_STEP = MAML(inner_lr=0.1, inner_steps=1)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Graphs run as they are; the number of values of each graph that was made."""
    made: list[int] = []

    def graph_itself(graph: Any, values: list[Any]) -> Any:
        made.append(len(values))
        return graph

    monkeypatch.setattr(compiled, "to_cpp", graph_itself)
    return made


def direction(learner: Any, problem: Problem, params: Params, tasks: int = 5) -> Params:
    _, state = learner.init(problem, params)
    update = learner.direction(problem, params, toys.pictures(tasks), state, toys.rng(0))
    return {**update.direction, **update.metrics}


def two_layers(chunk: int) -> Problem:
    """A network that is written out in a second or two."""
    layers = (nn.Conv2d(1, 4, 3, 2, 1), BatchStatNorm(4), nn.ReLU(), nn.Conv2d(4, 2, 3, 1, 1))
    return Problem(
        module=make_module(PixelInput(1, invert=True), nn.Sequential(*layers, nn.Flatten())),
        features=2 * 8 * 8,
        kind="classification",
        head=3,
        statistics="support",
        chunk=chunk,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learner", "norm", "downsample"),
    [
        (ONE_STEP, "batch", "stride"),
        (MetaSGD(inner_lr=0.1, first_order=True), "group", "pool"),
        (MAML(inner_steps=2, adapts=("head.",)), "batch", "pool"),
        (MAML(inner_steps=1, adapts=("backbone.",), first_order=True), "batch", "stride"),
        (ProtoNet(), "batch", "stride"),
        (ProtoNet(distance="cosine"), "layer", "pool"),
        (R2D2(), "batch", "pool"),
        (CAVIA(inner_steps=2), "batch", "stride"),
        (MAMLPlusPlus(inner_steps=2), "batch", "stride"),
        (Reptile(inner_steps=3, inner_batch=4), "batch", "stride"),
        (Reptile(inner_steps=2, head="proto"), "layer", "pool"),
    ],
)
def test_a_graph_gives_the_gradient_of_the_loop(
    learner: Any, norm: str, downsample: str, uncompiled: list[int]
) -> None:
    problem = toys.conv_problem(3, norm=norm, width=4, downsample=downsample)
    params = toys.shaken(problem)
    params |= {n: v + 0.01 for n, v in learner.init(problem, params)[0].items()}
    wanted = direction(learner, problem, params, 3)
    inside = dataclasses.replace(problem, chunk=2, compiled=True)
    found = direction(learner, inside, params, 3)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)
    assert len(uncompiled) == 2  # two tasks, and the last one


def test_a_program_holds_no_numbers_of_the_step_it_was_made_in(uncompiled: list[int]) -> None:
    problem = two_layers(2)
    inside = dataclasses.replace(problem, compiled=True)
    first, then = toys.shaken(problem, 0), toys.shaken(problem, 1)
    then["input.scale"] = 2 * then["input.scale"]  # not trained, and a part of θ
    direction(ONE_STEP, inside, first, 2)
    wanted, found = direction(ONE_STEP, problem, then, 2), direction(ONE_STEP, inside, then, 2)
    assert len(uncompiled) == 1
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)


def test_where_there_is_no_compiler_the_next_step_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EnvironmentProblem, match="no-such-compiler was not found") as caught:
        compiled.require_compiler()
    assert caught.value.exit_code == 4
    assert "train.execution=vmap" in str(caught.value.hint)


@pytest.mark.slow
def test_a_compiled_program_gives_the_gradient_of_the_loop() -> None:
    problem = toys.conv_problem(3, norm="batch", width=4, downsample="stride")
    params = toys.shaken(problem)
    wanted = direction(ONE_STEP, problem, params, 4)
    found = direction(ONE_STEP, dataclasses.replace(problem, chunk=2, compiled=True), params, 4)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_a_program_takes_what_the_step_before_it_left() -> None:
    learner, problem = Reptile(inner_steps=2, inner_batch=3), two_layers(1)
    inside = dataclasses.replace(problem, compiled=True)
    found = []
    for each in (problem, inside):
        params = toys.shaken(problem)
        own, state = learner.init(problem, params)
        params |= own
        for step in range(2):
            update = learner.direction(each, params, toys.pictures(2), state, toys.rng(step))
            left = {name: params[name] - value for name, value in update.direction.items()}
            params, state = {**params, **left, **update.replace}, update.state
        found.append(params)
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_a_program_is_kept_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again with nothing in this process, as by the next run, torch finds it on the disk."""
    from torch._dynamo.utils import counters

    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    compiled.keep_programs(tmp_path)
    problem = two_layers(2)
    params, found = toys.shaken(problem), []
    for _ in range(2):
        counters.clear()
        found.append(direction(ONE_STEP, dataclasses.replace(problem, compiled=True), params, 2))
    assert counters["inductor"]["fxgraph_cache_hit"] == 1
    assert any(tmp_path.iterdir())
    for name, value in found[0].items():
        assert torch.equal(found[1][name], value)
