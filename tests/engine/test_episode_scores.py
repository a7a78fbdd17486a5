"""Scores on episodes against one loop over episodes, steps and queries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.engine.scoring.episodes import pixel_scores, score_episodes, to_device
from metacli.types import Batch, Episode

pytestmark = pytest.mark.usefixtures("one_thread")


def test_images_are_scored_after_every_step_and_all_queries_together_where_that_differs() -> None:
    problem = toys.conv_problem(3, norm="batch")
    episodes, params = toys.pictures(4), toys.shaken(problem)
    learner = MAML(inner_lr=0.05, inner_steps=2)
    at = lambda index: toys.task(episodes, index)  # noqa: E731
    done: list[int] = []
    found = score_episodes(problem, learner, params, {}, at, 4, detailed=True, tick=done.append)
    assert found.per_step is not None
    assert found.together is not None
    assert found.per_step.shape == (3, 4)
    for index in range(4):
        support, query = at(index)
        path = learner.path(problem, params, support, {})
        for step, phi in enumerate(path):
            answers = learner.predict(problem, phi, query.x).argmax(1)
            wanted = float((answers == query.y).double().mean())
            assert found.per_step[step, index] == pytest.approx(wanted)
        joint = learner.predict_together(problem, path[-1], query.x).argmax(1)
        assert found.together[index] == pytest.approx(float((joint == query.y).double().mean()))
    np.testing.assert_array_equal(found.inductive, found.per_step[-1])
    assert done == [1, 2, 3, 4]
    plain = score_episodes(problem, learner, params, {}, at, 4)
    np.testing.assert_array_equal(plain.inductive, found.inductive)
    assert (plain.together, plain.per_step) == (None, None)


def test_a_learner_without_steps_and_a_network_without_batches_have_one_score() -> None:
    problem = toys.conv_problem(None)
    episodes, params = toys.pictures(3), toys.shaken(problem)
    at = lambda index: toys.task(episodes, index)  # noqa: E731
    found = score_episodes(problem, ProtoNet(), params, {}, at, 3, detailed=True)
    assert (found.together, found.per_step) == (None, None)
    assert found.inductive.shape == (3,)


def test_pictures_lie_channels_last_on_a_processor_and_go_to_any_other_device() -> None:
    episode = toys.task(toys.pictures(1))
    here = to_device(episode, torch.device("cpu"))
    elsewhere = to_device(episode, torch.device("meta"))
    for before, near, far in zip(episode[:2], here, elsewhere, strict=False):
        assert near.x.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(near.x, before.x)
        assert (far.x.device.type, far.y.device.type, far.mask) == ("meta", "meta", None)
        assert far.x.shape == before.x.shape


@pytest.mark.parametrize("count", [7, 60])  # fewer and more than are computed at a time
def test_waves_are_scored_many_at_a_time_as_one_after_the_other(count: int) -> None:
    problem = toys.wave_problem()
    waves, params = toys.waves(count), toys.shaken(problem)
    learner = MAML(inner_lr=0.01, inner_steps=3)
    done: list[int] = []
    found = score_episodes(
        *(problem, learner, params, {}, lambda index: toys.task(waves, index), count),
        tick=done.append,
    )
    assert found.per_step is not None
    assert found.per_step.shape == (4, count)
    assert found.together is None
    for index in range(count):
        support, query = toys.task(waves, index)
        for step, phi in enumerate(learner.path(problem, params, support, {})):
            off = learner.predict(problem, phi, query.x) - query.y
            assert found.per_step[step, index] == pytest.approx(float((off**2).mean()), rel=1e-9)
    np.testing.assert_array_equal(found.inductive, found.per_step[-1])
    assert done == ([7] if count == 7 else [50, 60])


def test_the_nearest_mean_of_raw_pixels_by_hand() -> None:
    support = torch.tensor([[0, 0], [2, 2], [10, 10], [99, 99]], dtype=torch.uint8)
    query = torch.tensor([[1, 0], [9, 9], [4, 4], [6, 7]], dtype=torch.uint8)
    mask = torch.tensor([True, True, True, False])
    one = Episode(
        Batch(support[:, None], torch.tensor([0, 0, 1, 0]), mask),
        Batch(query[:, None], torch.tensor([0, 1, 1, 1])),
    )
    whole = Episode(Batch(support[:3, None], torch.tensor([0, 0, 1])), one.query)
    # Means are 1 and 10: 4 is nearer to 1.
    assert pixel_scores(lambda index: (one, whole)[index], 2).tolist() == [0.75, 0.75]
