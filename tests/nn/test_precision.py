"""Half precision is for the backbone's products in training alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import toys
from torch import Tensor

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.nn.problem import channels_last
from metacli.types import Params, Update

pytestmark = pytest.mark.usefixtures("one_thread")
LEARNERS = [ProtoNet(), MAML(inner_lr=0.1, inner_steps=1)]
every_learner = pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: type(one).__name__)


def direction(learner: ProtoNet | MAML, precision: str) -> Update:
    made = toys.conv_problem(learner.head_size(3), width=16)
    problem = dataclasses.replace(made, precision=precision)
    params = toys.shaken(problem, dtype=torch.float32)
    return learner.direction(problem, params, toys.pictures(2), {}, toys.rng())


def flat(params: Params) -> Tensor:
    return torch.cat([params[name].flatten() for name in sorted(params)])


@every_learner
def test_bfloat16_gives_nearly_the_same_direction_in_float32(learner: ProtoNet | MAML) -> None:
    full, half = (flat(direction(learner, p).direction) for p in ("float32", "bfloat16"))
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    assert float(torch.cosine_similarity(full, half, dim=0)) > 0.8
    assert float(half.norm() / full.norm()) == pytest.approx(1, abs=0.2)


@every_learner
def test_an_adapted_model_answers_in_full_precision(learner: ProtoNet | MAML) -> None:
    problem = toys.conv_problem(learner.head_size(3))
    half = dataclasses.replace(problem, precision="bfloat16")
    params = toys.shaken(problem, dtype=torch.float32)
    _, query = toys.task(toys.pictures(1))
    assert torch.equal(half.embed(params, query.x), problem.embed(params, query.x))


def test_images_with_channels_side_by_side_are_the_same_images() -> None:
    for channels in (1, 3):
        x = torch.randint(0, 256, (2, channels, 5, 4), dtype=torch.uint8)
        moved = channels_last(x)
        assert torch.equal(moved, x)
        assert moved.stride() == (20 * channels, 1, 4 * channels, channels)
