"""Joint pre-training: one regression of all tasks, fine-tuned as MAML adapts."""

from __future__ import annotations

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.joint import Joint
from metacli.algorithms.meta.maml import MAML
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("chunk", [1, 3])
def test_direction_is_the_gradient_of_one_regression_on_all_points(chunk: int) -> None:
    problem, episodes = toys.wave_problem(chunk=chunk), toys.waves(3)
    params = toys.shaken(problem)
    x, y = (
        torch.cat([one.flatten(0, 1), other.flatten(0, 1)])
        for one, other in zip(episodes.support[:2], episodes.query[:2], strict=True)
    )

    def pooled(theta: Params, index: int) -> torch.Tensor:
        return reference.mean_square(reference.linear(theta, reference.mlp(theta, x)), y)

    wanted, mean = reference.meta_gradient(pooled, params, problem.trainable, 1)
    update = Joint().direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)
    torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-12, atol=0)


def test_joint_adapts_exactly_as_maml_does() -> None:
    problem, support = toys.wave_problem(), toys.task(toys.waves(1)).support
    params = toys.shaken(problem)
    joint = Joint(inner_lr=0.05, inner_steps=4).path(problem, params, support, {})
    maml = MAML(inner_lr=0.05, inner_steps=4).path(problem, params, support, {})
    assert len(joint) == len(maml) == 5
    for one, other in zip(joint, maml, strict=True):
        toys.assert_bits(one, other)
