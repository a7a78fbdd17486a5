"""How strongly tasks are coupled, and how well that tells related tasks from unrelated ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_sets import set_model

from metacli.data.sets.functions import Functions
from metacli.engine.sets.coupling import (
    LEARNED,
    area,
    auc_of,
    computed,
    hiding,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_hidden_task_sees_itself_and_is_seen_by_none() -> None:
    found = hiding(torch.zeros(1, 3, dtype=torch.long), 1)[0].tolist()
    assert found == [[True, False, True], [False, True, False], [True, False, True]]


def test_the_coupling_of_coupled_is_its_own_matrix() -> None:
    model, episodes = set_model("coupled"), Functions(points=6, meta_batch=2).meta_batch_at(0)
    found = computed(model, episodes)
    assert found is not None
    assert found.what == LEARNED
    shares = found.matrix.sum(-1)
    assert ((shares > 0) & (shares < 1)).all()  # rows of A sum to 1, of which its diagonal is gone
    assert computed(set_model("mmaml"), episodes) is None


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    assert area(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 0.75
    assert area(np.array([1.0]), np.array([1.0])) == 0.5
    assert area(np.array([1.0]), np.array([])) is None


def test_pairs_are_judged_by_both_directions_together() -> None:
    matrix = np.array([[0, 5.0, -9.0], [1.0, 0, 0.5], [2.0, 0.25, 0]])
    related = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    assert auc_of([(matrix, related)]) == 1.0
    assert auc_of([(-matrix, related)]) == 0.0
    assert auc_of([(matrix, np.ones((3, 3), bool))]) is None
