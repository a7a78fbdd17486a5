"""MAML++: each of its parts against slow code or numbers of the authors' schedule, and together."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.maml_plus_plus import LR, MAMLPlusPlus
from metacli.engine.events import ignore
from metacli.engine.training import loop
from metacli.nn.problem import Problem
from metacli.schema.blocks import Train
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")
HEADS = {"linear": 3, "proto": None, "shared": 1}


def start(learner: MAMLPlusPlus, problem: Problem) -> Params:
    """θ, and rates that differ from tensor to tensor and from step to step."""
    params = toys.shaken(problem)
    rates, _ = learner.init(problem, params)
    rng = toys.rng(1)
    return {
        **params,
        **{n: v * (0.5 + torch.rand(v.shape, generator=rng)) for n, v in rates.items()},
    }


def authors_weights(steps: int, epochs: int, epoch: int) -> list[float]:
    """`get_per_step_loss_importance_vector` of the authors' few_shot_learning_system.py."""
    weights = [1.0 / steps] * steps
    decay, least = 1.0 / steps / epochs, 0.03 / steps
    for index in range(steps - 1):
        weights[index] = max(weights[index] - epoch * decay, least)
    weights[-1] = min(weights[-1] + epoch * (steps - 1) * decay, 1.0 - (steps - 1) * least)
    return weights


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_weights_of_the_steps_are_the_authors_and_then_the_last_alone(steps: int) -> None:
    learner = MAMLPlusPlus(inner_steps=steps, multi_step_until=5000)
    for epoch in range(10):
        wanted = authors_weights(steps, 10, epoch)
        assert learner.step_weights(500 * epoch) == pytest.approx(wanted, rel=1e-12)
    short = dataclasses.replace(learner, multi_step_until=100)
    for step in (96, 97, 98, 99):  # where 1 - t/100 is at the floor of 0.03 and below
        assert short.step_weights(step) == pytest.approx(authors_weights(steps, 100, step))
    if steps > 1:
        assert short.step_weights(99)[0] == pytest.approx(0.03 / steps)
    for step in range(0, 6000, 37):
        assert sum(learner.step_weights(step)) == pytest.approx(1, rel=1e-12)
    for step in (5000, 5001, 10**6):
        assert learner.step_weights(step) == [0.0] * (steps - 1) + [1.0]
    none = dataclasses.replace(learner, multi_step_until=0)
    assert none.step_weights(0) == [0.0] * (steps - 1) + [1.0]


def test_one_step_on_a_quadratic_is_the_closed_form() -> None:
    # ½(w−b)²: ∂θ = (1−α)²(θ−b), ∂α = −(1−α)(θ−b)². The bias has a rate of zero.
    theta, rate, root = 1.3, 0.3, 2**-0.5
    goals = torch.tensor([-0.4, 2.0], dtype=torch.float64)
    batch = Batch(torch.full((2, 1, 1), root, dtype=torch.float64), root * goals[:, None, None])
    params = {
        HEAD[0]: torch.tensor([[theta]], dtype=torch.float64),
        HEAD[1]: torch.zeros(1, dtype=torch.float64),
        LR + HEAD[0]: torch.tensor([rate], dtype=torch.float64),
        LR + HEAD[1]: torch.zeros(1, dtype=torch.float64),
    }
    problem, learner = toys.bare_problem("regression", 1, 1), MAMLPlusPlus(inner_steps=1)
    found = learner.direction(problem, params, Episode(batch, batch), {"step": 0}, toys.rng())
    gaps = theta - goals
    assert found.direction[HEAD[0]].item() == pytest.approx(float((0.7**2 * gaps).mean()))
    assert found.direction[LR + HEAD[0]].item() == pytest.approx(float((-0.7 * gaps**2).mean()))


def assert_equals_reference(
    learner: MAMLPlusPlus, step: int, problem: Problem, network: Any, loss: Any, episodes: Episode
) -> None:
    params = start(learner, problem)
    own = {name for name in params if name.startswith(LR)}
    assert bool(own) == learner.learn_rates
    slow = reference.MAML(
        network=network,
        loss=loss,
        lr=(lambda all_of, k, name: all_of[LR + name][k]) if own else learner.inner_lr,
        steps=0,
        first_order=step < learner.first_order_until,
        head=learner.head,
    )

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = (half[:2] for half in toys.task(episodes, index))
        total = torch.zeros(())
        for k, weight in enumerate(learner.step_weights(step), start=1):
            after = dataclasses.replace(slow, steps=k)  # the same first steps all over again
            total = total + weight * after.task_loss(theta, support, query, problem.trainable)
        return total

    wanted, _ = reference.meta_gradient(
        task_loss, params, problem.trainable | own, len(episodes.query.y)
    )
    for chunk in (1, 2):
        cut = dataclasses.replace(problem, chunk=chunk)
        update = learner.direction(cut, params, episodes, {"step": step}, toys.rng())
        toys.assert_same(update.direction, wanted)
        assert update.state == {"step": step + 1}


@pytest.mark.parametrize("step", [0, 3, 9])
@pytest.mark.parametrize("learn_rates", [False, True])
def test_direction_on_regressions_equals_the_slow_sum_over_steps(
    learn_rates: bool, step: int
) -> None:
    learner = MAMLPlusPlus(
        inner_lr=0.05,
        inner_steps=3,
        learn_rates=learn_rates,
        multi_step_until=8,
        first_order_until=2,
    )
    assert_equals_reference(
        learner, step, toys.wave_problem(), reference.mlp, reference.mean_square, toys.waves(3)
    )


@pytest.mark.parametrize("head", list(HEADS))
def test_direction_on_images_equals_the_slow_sum_over_steps(head: Any) -> None:
    learner = MAMLPlusPlus(inner_steps=2, multi_step_until=8, head=head)
    problem = toys.conv_problem(HEADS[head], norm="batch", width=8)
    network, episodes = reference.ConvNet("batch"), toys.pictures(2)
    assert_equals_reference(learner, 3, problem, network, reference.class_averaged, episodes)


@pytest.mark.parametrize("first_order", [False, True])
def test_with_every_part_off_it_is_maml(first_order: bool) -> None:
    plain = MAMLPlusPlus(
        inner_lr=0.1,
        inner_steps=3,
        learn_rates=False,
        multi_step_until=0,
        first_order_until=99 if first_order else 0,
    )
    maml = MAML(inner_lr=0.1, inner_steps=3, first_order=first_order)
    problem, episodes = toys.wave_problem(), toys.waves(2)
    params = toys.shaken(problem)
    own, state = plain.init(problem, params)
    assert own == {}
    found = plain.direction(problem, params, episodes, state, toys.rng())
    wanted = maml.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(found.direction, wanted.direction)
    toys.assert_same(found.metrics, wanted.metrics)


def test_steps_beyond_the_trained_ones_use_the_last_rate() -> None:
    learner, problem = MAMLPlusPlus(inner_steps=2), toys.wave_problem()
    params = start(learner, problem)
    held = {n: torch.cat([v, v[-1:], v[-1:]]) if n.startswith(LR) else v for n, v in params.items()}
    longer = dataclasses.replace(learner, inner_steps=4)
    support = toys.task(toys.waves(1)).support
    toys.assert_bits(
        longer.adapt(problem, params, support, {"step": 5}),
        longer.adapt(problem, held, support, {"step": 5}),
    )


def test_training_in_two_parts_has_the_bits_of_training_at_once() -> None:
    learner = MAMLPlusPlus(inner_lr=0.05, inner_steps=2, multi_step_until=4, first_order_until=2)
    problem = toys.wave_problem()
    params = toys.shaken(problem)
    own, state = learner.init(problem, params)
    seen: list[loop.Snapshot] = []

    def go(begin: loop.Snapshot, every: int) -> loop.Snapshot:
        return loop.train(
            learner,
            problem,
            lambda step: toys.waves(2, seed=step),
            Train(steps=6, lr=0.01),
            begin,
            learned=problem.trainable | frozenset(own),
            seed=0,
            every=every,
            visit=lambda one: seen.append(loop.Snapshot(**toys.copied(vars(one)))),
            stop=lambda: False,
            report=ignore,
        )

    whole = go(loop.Snapshot(0, {**params, **own}, state, {}), 3)
    assert [one.state for one in seen] == [{"step": 3}, {"step": 6}]
    again = go(seen[0], 99)
    toys.assert_bits(again.params, whole.params)
    assert again.state == whole.state
