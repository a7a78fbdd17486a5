"""ANIL and BOIL: MAML that moves one half of the network in the inner loop."""

from __future__ import annotations

import pytest
import reference
import torch
import toys

from metacli.algorithms import ALGORITHMS
from metacli.algorithms.meta.inner import HEAD, Descent, rule_path
from metacli.algorithms.meta.maml import MAML
from metacli.trees import pick
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")


def named(name: str, **fields: object) -> MAML:
    return MAML(**{**ALGORITHMS[name].preset, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("name", ["anil", "boil"])
def test_direction_equals_the_hand_written_loop_that_recomputes_everything(
    name: str, first_order: bool, chunk: int
) -> None:
    learner = named(name, inner_lr=0.2, inner_steps=3, first_order=first_order)
    problem, episodes = toys.conv_problem(3, norm="batch", chunk=chunk), toys.pictures(2)
    params = toys.shaken(problem)
    slow = reference.MAML(
        network=reference.ConvNet("batch"),
        loss=reference.class_averaged,
        lr=0.2,
        steps=3,
        first_order=first_order,
        adapts=learner.adapts,
    )

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = toys.task(episodes, index)
        return slow.task_loss(theta, support[:2], query[:2], problem.trainable)

    wanted, _ = reference.meta_gradient(task_loss, params, problem.trainable, 2)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)


@pytest.mark.parametrize("name", ["anil", "boil"])
def test_one_half_moves_and_the_other_keeps_its_bits(name: str) -> None:
    problem = toys.conv_problem(3)
    params, support = toys.shaken(problem), toys.task(toys.pictures(1)).support
    phi = named(name, inner_lr=0.2, inner_steps=2).adapt(problem, params, support, {})
    moved = {key for key in problem.trainable if not torch.equal(phi[key], params[key])}
    head = {"anil": set(HEAD), "boil": problem.trainable - set(HEAD)}
    assert moved == head[name]


def test_anil_computes_the_features_of_support_and_query_once_each() -> None:
    problem, episodes = toys.conv_problem(3), toys.pictures(1)
    calls = []
    handle = problem.training_module.register_forward_hook(lambda *args: calls.append(args))
    named("anil", inner_steps=7).direction(problem, toys.shaken(problem), episodes, {}, toys.rng())
    handle.remove()
    assert len(calls) == 2


def test_anil_path_is_the_one_that_recomputes_the_features_in_every_step() -> None:
    problem, support = toys.conv_problem(3), toys.task(toys.pictures(1)).support
    params = toys.shaken(problem)
    path = named("anil", inner_lr=0.3, inner_steps=5).path(problem, params, support, {})
    naive = rule_path(
        lambda phi: problem.loss_on({**params, **phi}, support),
        pick(params, HEAD),
        Descent(0.3),
        steps=5,
        first_order=True,
    )
    for found, wanted in zip(path, naive, strict=True):
        toys.assert_same(pick(found, HEAD), wanted)
