"""CAVIA: the paper's concatenated context by hand, FiLM of channels, and how little is adapted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.cavia import CAVIA, MAP
from metacli.errors import RecipeError
from metacli.nn.problem import Problem
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")


def start(learner: CAVIA, problem: Problem) -> Params:
    params = toys.shaken(problem)
    return {**params, **learner.init(problem, params)[0]}


def concatenated(params: Params, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """An MLP of [x, c]: its first weight is [W, A]."""
    wide = torch.cat([params["backbone.0.weight"], params[MAP + "backbone.0.bias"]], 1)
    rows = torch.cat([x, c.expand(len(x), -1)], 1)
    return reference.linear(params, reference.mlp({**params, "backbone.0.weight": wide}, rows))


def filmed(params: Params, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Conv4 whose third normalisation has the gain and bias of the task."""
    names = [f"backbone.2.norm.{kind}" for kind in ("weight", "bias")]
    task = {
        name: torch.stack(
            [b + (row * c).sum() for b, row in zip(params[name], params[MAP + name], strict=True)]
        )
        for name in names
    }
    return reference.linear(params, reference.ConvNet("batch")({**params, **task}, x))


def assert_equals_reference(
    learner: CAVIA, problem: Problem, network: Any, loss: Any, episodes: Any
) -> None:
    params = start(learner, problem)
    own = {name for name in params if name.startswith(MAP)}

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = (half[:2] for half in toys.task(episodes, index))
        c = torch.zeros(learner.context, dtype=torch.float64, requires_grad=True)
        for _ in range(learner.inner_steps):
            value = loss(network(theta, support[0], c), support[1])
            [g] = torch.autograd.grad(value, [c], create_graph=True)
            c = c - learner.inner_lr * (g.detach() if learner.first_order else g)
        return loss(network(theta, query[0], c), query[1])

    wanted, mean = reference.meta_gradient(
        task_loss, params, problem.trainable | own, len(episodes.query.y)
    )
    assert max(float(wanted[name].abs().max()) for name in own) > 1e-3
    for chunk in (1, 2):
        cut = dataclasses.replace(problem, chunk=chunk)
        update = learner.direction(cut, params, episodes, {}, toys.rng())
        toys.assert_same(update.direction, wanted)
        torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("first_order", [False, True])
def test_on_the_first_layer_of_an_mlp_it_is_the_context_beside_the_inputs(
    first_order: bool,
) -> None:
    learner = CAVIA(
        inner_lr=0.2, inner_steps=3, modulates=("backbone.0.",), first_order=first_order
    )
    assert_equals_reference(
        learner, toys.wave_problem(), concatenated, reference.mean_square, toys.waves(3)
    )


def test_on_a_normalisation_it_is_a_film_of_the_channels() -> None:
    learner = CAVIA(inner_lr=0.5, inner_steps=2, context=4, modulates=("backbone.2.norm.",))
    problem = toys.conv_problem(3, norm="batch", width=8)
    assert_equals_reference(learner, problem, filmed, reference.class_averaged, toys.pictures(2))


@pytest.mark.parametrize("head", ["linear", "proto"])
def test_all_that_is_adapted_is_one_context_seen_through_the_maps(head: Any) -> None:
    learner = CAVIA(inner_lr=0.5, inner_steps=2, context=3, head=head)
    problem = toys.conv_problem(learner.head_size(3))
    params, support = start(learner, problem), toys.task(toys.pictures(1)).support
    path = learner.path(problem, params, support, {})
    moved = {name for name in path[0] if not torch.equal(path[0][name], path[-1][name])}
    maps = {name.removeprefix(MAP): v for name, v in params.items() if name.startswith(MAP)}
    assert moved == set(maps)
    assert all(torch.equal(path[0][name], params[name]) for name in moved)
    shift = torch.cat([path[-1][name] - params[name] for name in sorted(maps)])
    both = torch.cat([maps[name] for name in sorted(maps)])
    c = torch.linalg.lstsq(both, shift[:, None]).solution
    torch.testing.assert_close(both @ c, shift[:, None], rtol=0, atol=1e-12)
    assert float(c.abs().max()) > 1e-3
    assert not any(name.startswith("cavia.") for name in path[-1])


def test_the_maps_follow_from_theta_and_lie_within_the_bounds() -> None:
    learner, problem = CAVIA(context=16), toys.wave_problem()
    first, again, other = (
        learner.init(problem, problem.init(seed, torch.float64))[0] for seed in (0, 0, 1)
    )
    toys.assert_bits(again, first)
    assert not torch.equal(first[MAP + "backbone.0.bias"], other[MAP + "backbone.0.bias"])
    assert first[MAP + "backbone.0.bias"].shape == (8, 16)
    values = torch.cat([value.flatten() for value in first.values()])
    assert 0.2 < float(values.abs().max()) <= 0.25


def test_a_name_that_the_network_has_not_is_refused_with_those_it_has() -> None:
    problem = toys.wave_problem()
    with pytest.raises(RecipeError, match="any of backbone") as caught:
        CAVIA(modulates=("backbone.9.",)).init(problem, toys.shaken(problem))
    assert "backbone.0.bias" in str(caught.value.hint)
