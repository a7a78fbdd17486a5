"""Meta-SGD: a closed form, a hand-written loop with a rate for each parameter, and its relation to
MAML."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.meta_sgd import LR, MetaSGD
from metacli.nn.problem import Problem
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")
HEADS = {"linear": 3, "proto": None, "shared": 1}


def start(learner: MetaSGD, problem: Problem, seed: int = 0) -> Params:
    """θ, and rates that differ from one number to the next."""
    params = toys.shaken(problem, seed)
    rates, _ = learner.init(problem, params)
    rng = toys.rng(seed)
    uneven = {n: v * (0.5 + torch.rand(v.shape, generator=rng)) for n, v in rates.items()}
    return {**params, **uneven}


@pytest.mark.parametrize("rate", [0.1, 0.7, -0.3])
def test_one_step_on_a_quadratic_is_the_closed_form(rate: float) -> None:
    # ½(w−b)²: φ−b = (1−α)(θ−b), ∂θ = (1−α)(φ−b), ∂α = −(θ−b)(φ−b). The bias has a rate of zero.
    theta, goals, root = 1.3, torch.tensor([-0.4, 2.0, 0.9], dtype=torch.float64), 2**-0.5
    batch = Batch(torch.full((3, 1, 1), root, dtype=torch.float64), root * goals[:, None, None])
    params = {
        HEAD[0]: torch.tensor([[theta]], dtype=torch.float64),
        HEAD[1]: torch.zeros(1, dtype=torch.float64),
        LR + HEAD[0]: torch.tensor([[rate]], dtype=torch.float64),
        LR + HEAD[1]: torch.zeros(1, dtype=torch.float64),
    }
    problem = toys.bare_problem("regression", 1, 1)
    update = MetaSGD().direction(problem, params, Episode(batch, batch), {}, toys.rng())
    gaps = (1 - rate) * (theta - goals)
    assert update.direction[HEAD[0]].item() == pytest.approx(float((1 - rate) * gaps.mean()))
    by_rate = update.direction[LR + HEAD[0]].item()
    assert by_rate == pytest.approx(float(-((theta - goals) * gaps).mean()), rel=1e-12)


def assert_equals_reference(
    learner: MetaSGD, problem: Problem, network: Any, loss: Any, episodes: Episode
) -> None:
    params = start(learner, problem)
    learned = problem.trainable | {name for name in params if name.startswith(LR)}
    slow = reference.MAML(
        network=network,
        loss=loss,
        lr=lambda numbers, step, name: numbers[LR + name],
        steps=learner.inner_steps,
        first_order=learner.first_order,
        head=learner.head,
    )

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = toys.task(episodes, index)
        return slow.task_loss(theta, support[:2], query[:2], problem.trainable)

    wanted, mean = reference.meta_gradient(task_loss, params, learned, len(episodes.query.y))
    assert max(float(wanted[n].abs().max()) for n in wanted if n.startswith(LR)) > 1e-3
    for chunk in (1, 2):
        cut = dataclasses.replace(problem, chunk=chunk)
        update = learner.direction(cut, params, episodes, {}, toys.rng())
        toys.assert_same(update.direction, wanted)
        torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("head", list(HEADS))
def test_direction_on_images_equals_the_hand_written_loop(head: str, first_order: bool) -> None:
    learner = MetaSGD(inner_lr=0.1, inner_steps=2, first_order=first_order, head=head)  # type: ignore[arg-type]
    problem, network = toys.conv_problem(HEADS[head], norm="batch"), reference.ConvNet("batch")
    assert_equals_reference(learner, problem, network, reference.class_averaged, toys.pictures(2))


def test_direction_on_regressions_equals_the_hand_written_loop() -> None:
    learner, problem = MetaSGD(inner_lr=0.05, inner_steps=3), toys.wave_problem()
    assert_equals_reference(learner, problem, reference.mlp, reference.mean_square, toys.waves(3))


@pytest.mark.parametrize("head", list(HEADS))
def test_with_its_first_rates_it_adapts_as_maml_and_has_the_same_gradient(head: str) -> None:
    learner = MetaSGD(inner_lr=0.1, inner_steps=2, head=head)  # type: ignore[arg-type]
    maml = MAML(inner_lr=0.1, inner_steps=2, head=head)  # type: ignore[arg-type]
    problem, episodes = toys.conv_problem(HEADS[head]), toys.pictures(2)
    theta = toys.shaken(problem)
    params = {**theta, **learner.init(problem, theta)[0]}
    support = toys.task(episodes).support
    toys.assert_same(
        learner.adapt(problem, params, support, {}), maml.adapt(problem, theta, support, {})
    )
    found, wanted = (
        one.direction(problem, numbers, episodes, {}, toys.rng()).direction
        for one, numbers in ((learner, params), (maml, theta))
    )
    toys.assert_same({name: found[name] for name in wanted}, wanted)


def test_every_parameter_has_a_rate_of_its_shape_and_an_adapted_model_keeps_none() -> None:
    learner, problem = MetaSGD(inner_lr=0.2), toys.conv_problem(3)
    params = toys.shaken(problem)
    rates, _ = learner.init(problem, params)
    assert {n: v.shape for n, v in rates.items()} == {
        LR + n: params[n].shape for n in problem.trainable
    }
    assert {float(v) for rate in rates.values() for v in rate.flatten()} == {0.2}
    adapted = learner.adapt(problem, {**params, **rates}, toys.task(toys.pictures(1)).support, {})
    assert set(adapted) == set(params)
