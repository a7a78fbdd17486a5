"""Reptile: a closed form, hand-written inner optimisers, and mini-batches of every example once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import reference
import torch
import toys

from metacli import autodiff
from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.meta.joint import Joint
from metacli.algorithms.meta.minibatches import minibatches, shuffling
from metacli.algorithms.meta.reptile import OWN, SQUARE, Reptile
from metacli.engine.events import ignore
from metacli.engine.training import loop
from metacli.nn.problem import Problem
from metacli.schema.blocks import Train
from metacli.trees import without
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_direction_on_a_quadratic_is_the_closed_form(rate: float, steps: int) -> None:
    # (wx + c − y)²: the residual r shrinks by 1 − 2α(x²+1) a step, (w, c) moves along (x, 1).
    w, c, x = 1.3, 0.2, 0.5
    y = torch.tensor([-0.4, 2.0, 0.9], dtype=torch.float64)
    batch = Batch(torch.full((3, 1, 1), x, dtype=torch.float64), y[:, None, None])
    params = {
        HEAD[0]: torch.tensor([[w]], dtype=torch.float64),
        HEAD[1]: torch.tensor([c], dtype=torch.float64),
    }
    learner = Reptile(inner_lr=rate, inner_steps=steps, inner_batch=1, inner_optimizer="sgd")
    problem = toys.bare_problem("regression", 1, 1)
    found = learner.direction(problem, params, Episode(batch, batch), {}, toys.rng()).direction
    residual = w * x + c - y
    gone = (residual - (1 - 2 * rate * (x * x + 1)) ** steps * residual).mean() / (x * x + 1)
    assert found[HEAD[0]].item() == pytest.approx(float(gone * x), rel=1e-12, abs=1e-15)
    assert found[HEAD[1]].item() == pytest.approx(float(gone), rel=1e-12, abs=1e-15)


def shuffled_batches(keys: torch.Tensor, size: int, steps: int) -> list[list[int]]:
    """The authors' `_mini_batches`: go through a shuffle, then through the next."""
    rows: list[int] = []
    for row in keys.tolist():
        rows += [index for _, index in sorted((key, index) for index, key in enumerate(row))]
    return [rows[step * size : (step + 1) * size] for step in range(steps)]


def slow_end(
    learner: Reptile,
    params: Params,
    names: list[str],
    data: Batch,
    network: Any,
    loss: Any,
    rows: list[list[int]],
    done: int,
) -> tuple[Params, Params]:
    """φ_k, with one optimiser of the reference for each number, and their second moments."""
    phi = {name: value.clone() for name, value in params.items() if not name.startswith(OWN)}
    adams: dict[str, list[reference.Adam]] = {name: [] for name in names}

    def optimiser(name: str, index: int) -> Callable[[float, float], float]:
        if learner.inner_optimizer == "sgd":
            return lambda value, g: value - learner.inner_lr * g
        adam = reference.Adam(beta1=0.0)
        adam.t, adam.v = done, float(params[SQUARE + name].flatten()[index])
        adams[name].append(adam)
        return lambda value, g: adam.step(value, g, learner.inner_lr)

    steppers = {name: [optimiser(name, at) for at in range(phi[name].numel())] for name in names}
    for part in rows:
        leaves = {n: v.detach().requires_grad_(n in steppers) for n, v in phi.items()}
        value = loss(reference.linear(leaves, network(leaves, data.x[part])), data.y[part])
        grads = torch.autograd.grad(value, [leaves[name] for name in names])
        for name, g in zip(names, grads, strict=True):
            pairs = zip(steppers[name], phi[name].flatten(), g.flatten(), strict=True)
            moved = [stepper(float(v), float(d)) for stepper, v, d in pairs]
            phi[name] = torch.tensor(moved, dtype=torch.float64).view_as(phi[name])
    made = {name: [one.v for one in own] for name, own in adams.items() if own}
    return phi, {
        SQUARE + n: torch.tensor(v, dtype=torch.float64).view_as(phi[n]) for n, v in made.items()
    }


def assert_equals_reference(
    learner: Reptile, problem: Problem, network: Any, loss: Any, episodes: Episode
) -> None:
    params, tasks = toys.shaken(problem), len(episodes.query.y)
    own, state = learner.init(problem, params)
    if own:  # as after some steps
        params |= {n: torch.rand(v.shape, generator=toys.rng(4)).to(v) for n, v in own.items()}
        state = {"steps": 7}
    both = [
        Batch(torch.cat([s.x, q.x]), torch.cat([s.y, q.y]))
        for s, q in (toys.task(episodes, index) for index in range(tasks))
    ]
    size = min(learner.inner_batch, len(both[0].y))
    keys = shuffling(len(both[0].y), size, learner.inner_steps, toys.rng(3))
    rows = shuffled_batches(keys, size, learner.inner_steps)
    ends = [
        slow_end(
            learner,
            params,
            sorted(problem.trainable),
            data,
            network,
            loss,
            rows,
            state.get("steps", 0),
        )
        for data in both
    ]
    wanted = {n: params[n] - sum(end[n] for end, _ in ends) / tasks for n in problem.trainable}
    squares = {n: sum(made[n] for _, made in ends) / tasks for n in own}
    assert max(float(v.abs().max()) for v in wanted.values()) > 1e-3
    for chunk in (1, 2):
        cut = dataclasses.replace(problem, chunk=chunk)
        update = learner.direction(cut, params, episodes, state, toys.rng(3))
        toys.assert_same(update.direction, wanted)
        toys.assert_same(update.replace, squares)
        assert update.state == ({"steps": 7 + learner.inner_steps} if own else {})


@pytest.mark.parametrize("size", [4, 11])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_direction_on_regressions_equals_the_hand_written_optimiser(
    optimiser: Any, size: int
) -> None:
    learner = Reptile(inner_lr=0.02, inner_steps=6, inner_batch=size, inner_optimizer=optimiser)
    problem = toys.wave_problem((6, 5))
    assert_equals_reference(learner, problem, reference.mlp, reference.mean_square, toys.waves(2))


def test_direction_on_images_equals_the_hand_written_optimiser() -> None:
    learner = Reptile(inner_lr=0.1, inner_steps=3, inner_batch=5, inner_optimizer="sgd")
    problem, network = toys.conv_problem(3, norm="batch", width=8), reference.ConvNet("batch")
    assert_equals_reference(learner, problem, network, reference.class_averaged, toys.pictures(2))


def test_one_step_on_everything_is_the_rate_times_the_joint_gradient() -> None:
    # Section 5: with k = 1 Reptile is stochastic gradient descent on the expected loss.
    problem, episodes = toys.wave_problem(), toys.waves(3)
    params = toys.shaken(problem)
    learner = Reptile(inner_lr=0.01, inner_steps=1, inner_batch=99, inner_optimizer="sgd")
    found = learner.direction(problem, params, episodes, {}, toys.rng()).direction
    joint = Joint().direction(problem, params, episodes, {}, toys.rng()).direction
    toys.assert_same(found, {name: 0.01 * value for name, value in joint.items()})


def test_an_outer_step_of_one_ends_at_the_mean_of_the_adapted_parameters() -> None:
    problem, episodes = toys.wave_problem(), toys.waves(2)
    params = toys.shaken(problem)
    learner = Reptile(inner_lr=0.01, inner_batch=99)
    end = loop.train(
        learner,
        problem,
        lambda step: episodes,
        Train(steps=1, meta_batch=2, optimizer="sgd", lr=1.0, schedule="linear"),
        loop.Snapshot(0, params, {}, {}),
        learned=problem.trainable,
        seed=0,
        every=1,
        visit=lambda snapshot: None,
        stop=lambda: False,
        report=ignore,
    )
    both = [
        Batch(*map(torch.cat, zip(*(h[:2] for h in toys.task(episodes, i)), strict=True)))
        for i in range(2)
    ]
    ends = [learner.adapt(problem, params, data, {}) for data in both]
    wanted = {name: (ends[0][name] + ends[1][name]) / 2 for name in params}
    toys.assert_same(without(end.params, OWN), wanted, atol=1e-9)


def test_adapt_goes_on_with_the_second_moment_of_training() -> None:
    problem, data = toys.wave_problem(), toys.task(toys.waves(1), 0).support
    params = toys.shaken(problem)
    learner = Reptile(inner_lr=0.01, inner_steps=1, inner_batch=99)
    own, state = learner.init(problem, params)
    params |= {name: torch.full_like(value, 4.0) for name, value in own.items()}
    found = learner.adapt(problem, params, data, {"steps": 10**6})
    assert set(found) == set(params) - set(own)
    theta = {name: params[name] for name in problem.trainable}
    by = autodiff.grad(lambda p: problem.loss_on({**params, **p}, data), theta)
    wanted = {
        n: v - 0.01 * by[n] / (0.999 * 4 + 0.001 * by[n] ** 2).sqrt() for n, v in theta.items()
    }
    toys.assert_same({name: found[name] for name in theta}, wanted, atol=1e-9)
    fresh = learner.adapt(problem, {**params, **own}, data, state)  # a first step is the rate
    assert float((fresh[HEAD[0]] - params[HEAD[0]]).abs().max()) == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize("head", ["linear", "proto", "shared"])
@pytest.mark.parametrize("chunk", [1, 2])
def test_padding_is_never_drawn_and_every_head_moves_what_is_learned(head: Any, chunk: int) -> None:
    learner = Reptile(inner_lr=0.05, inner_steps=4, inner_batch=3, head=head)
    problem = toys.conv_problem(learner.head_size(3), chunk=chunk, width=8)
    params, episodes = toys.shaken(problem), toys.pictures(2)
    found = []
    for junk in (0, 200):
        support = toys.padded(toys.task(episodes).support, 4)
        support.x[-4:] = junk
        both = Batch(*(torch.stack([part, part]) for part in support))
        found.append(
            learner.direction(problem, params, Episode(both, episodes.query), {}, toys.rng(1))
        )
    assert set(found[0].direction) == problem.trainable
    toys.assert_bits(found[1].direction, found[0].direction)


def test_each_shuffle_shows_every_example_once_and_masked_ones_never() -> None:
    keys = shuffling(7, 3, 7, toys.rng(5))
    rows = minibatches(keys, None, 3, 7).flatten().tolist()
    shuffles = [rows[at : at + 7] for at in (0, 7, 14)]
    assert [sorted(part) for part in shuffles] == [list(range(7))] * 3
    assert len({tuple(part) for part in shuffles}) == 3
    mask = torch.tensor([True, False, True, True, False, True, True])
    rows = minibatches(keys, mask, 3, 7).flatten().tolist()
    assert [sorted(rows[at : at + 5]) for at in (0, 5, 10)] == [[0, 2, 3, 5, 6]] * 3


def test_a_mini_batch_is_never_larger_than_the_task() -> None:
    rows = minibatches(shuffling(5, 10, 2, toys.rng()), None, 10, 2)
    assert [sorted(row) for row in rows.tolist()] == [[0, 1, 2, 3, 4]] * 2


def test_a_gradient_is_drawn_by_the_generator_that_is_given_or_else_by_torchs_own() -> None:
    problem, episodes = toys.wave_problem(), toys.waves(2)
    params = toys.shaken(problem)
    learner = Reptile(inner_lr=0.01, inner_steps=2, inner_batch=3, inner_optimizer="sgd")

    def gradient(rng: torch.Generator | None = None) -> Params:
        return learner.gradient(problem, episodes, params=params, rng=rng)[0]

    for seed in (3, 4):
        wanted = learner.direction(problem, params, episodes, {}, toys.rng(seed)).direction
        toys.assert_bits(gradient(toys.rng(seed)), wanted)
    torch.manual_seed(5)
    first, second = gradient(), gradient()
    torch.manual_seed(5)
    toys.assert_bits(gradient(), first)
    assert not torch.equal(second["head.weight"], first["head.weight"])
