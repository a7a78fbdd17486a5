"""What the labels of two tasks say about each other, and which tasks are related by that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_sets import set_model

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.functions import Functions
from metacli.engine.sets import in_turn as module
from metacli.engine.sets.coupling import LEARNED, coupling_of, of_tasks
from metacli.engine.sets.in_turn import (
    BLOCKS,
    GAIN,
    MOST,
    SHARED,
    SHARPNESS,
    blocks_of,
    in_one_group,
    in_turn,
    partitions,
    relatedness_of,
)
from metacli.engine.sets.scoring import log_density
from metacli.types import Batch, SetEpisode

pytestmark = pytest.mark.usefixtures("one_thread")


def sets(points: int = 6, count: int = 2) -> SetEpisode:
    return Functions(points=points, query=3, meta_batch=count).meta_batch_at(0)


def test_every_row_has_its_turn_in_an_order_and_in_its_reverse() -> None:
    first, last = blocks_of(7)
    assert sorted(first) == list(range(7))
    assert (first + last == 6).all()
    many = blocks_of(95)
    assert many.shape == (2, 95)
    assert np.bincount(many[0]).tolist() == np.bincount(many[1])[::-1].tolist()
    assert len(np.bincount(many[0])) == BLOCKS
    assert blocks_of(0).shape == (2, 0)


def test_gains_are_those_of_slow_code_for_one_pair() -> None:
    """Label after label: its density from the labels before it, of both tasks or of its own."""
    model, episodes = set_model(), sets()
    found = in_turn(model, episodes)
    assert (found[:, range(4), range(4)] == 0).all()
    two, at = of_tasks(episodes, (1, 3)), 1  # the second set
    support = two.support
    assert support.mask is not None
    gained = torch.zeros(2)
    for order in blocks_of(6):
        for row in range(6):
            before = torch.from_numpy(order < order[row])
            shown = support.mask & before
            if not shown[at].any():
                continue
            part = SetEpisode(
                support._replace(mask=shown),
                Batch(support.x[:, :, [row]], support.y[:, :, [row]]),
                two.roles,
            )
            joint, own = (
                log_density(model.answer(part, sees(two.roles)), part.query.y)[at, :, 0]
                for sees in (together, alone)
            )
            known = support.mask[at, :, row]
            gained += torch.where(known, (joint - own).clamp(-MOST, MOST), 0)
    wanted = gained / (2 * support.mask[at].sum(-1))
    np.testing.assert_allclose(found[at, 1, 3], float(wanted[0]), atol=1e-5)
    np.testing.assert_allclose(found[at, 3, 1], float(wanted[1]), atol=1e-5)


def test_sets_that_are_answered_in_small_groups_gain_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, episodes = set_model(), sets(count=3)
    whole = in_turn(model, episodes)
    monkeypatch.setattr(module, "MOST_PAIRS", 300)
    np.testing.assert_allclose(in_turn(model, episodes), whole, atol=1e-5)


def test_a_task_without_a_label_says_nothing() -> None:
    model, episodes = set_model(), sets()
    assert episodes.support.mask is not None
    episodes.support.mask[:, 2] = False
    found = in_turn(model, episodes)
    assert np.isfinite(found).all()
    assert (found[:, 2] == 0).all()


def test_a_single_task_is_related_to_none() -> None:
    assert relatedness_of(set_model(), of_tasks(sets(), (1,))).matrix.tolist() == 2 * [[[0.0]]]


def test_there_are_as_many_partitions_as_bells_numbers_and_each_is_there_once() -> None:
    for tasks, count in ((1, 1), (2, 2), (3, 5), (4, 15), (5, 52)):
        found = {tuple(map(tuple, one[:, None] == one[None])) for one in partitions(tasks)}
        assert len(found) == len(partitions(tasks)) == count


def test_the_probability_of_two_tasks_is_that_of_the_formula() -> None:
    evidence = 0.7
    found = in_one_group(np.array([[[0, evidence], [evidence, 0]]]))[0]
    odds = np.exp(SHARPNESS * evidence)
    assert found[0, 1] == pytest.approx(odds / (1 + odds))
    assert found[0, 0] == 0


def test_tasks_related_to_one_are_related_to_each_other() -> None:
    """Nothing is known of the pairs 0, 2 and 0, 3; 1 is a relative of 0 and 2, and not of 3."""
    evidence = np.zeros((1, 4, 4))
    for a, b, value in ((0, 1, 3.0), (1, 2, 3.0), (1, 3, -3.0)):
        evidence[0, a, b] = evidence[0, b, a] = value
    found = in_one_group(evidence)[0]
    assert found[0, 2] > 0.95
    assert found[0, 3] < 0.05
    np.testing.assert_allclose(found, found.T)


def test_more_tasks_than_can_be_divided_have_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    model, episodes = set_model(), sets()
    few = relatedness_of(model, episodes)
    assert few.what == SHARED
    assert ((few.matrix >= 0) & (few.matrix <= 1)).all()
    assert coupling_of(model, episodes).matrix == pytest.approx(few.matrix)
    monkeypatch.setattr(module, "MOST_TASKS", 3)
    many = relatedness_of(model, episodes)
    assert many.what == GAIN
    np.testing.assert_allclose(many.matrix, in_turn(model, episodes))
    assert coupling_of(set_model("coupled"), episodes).what == LEARNED
