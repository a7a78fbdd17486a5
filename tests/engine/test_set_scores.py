"""Scores of sets of tasks, and the guard that mixes joint and separate answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.engine.sets.scoring import Guard, evidence, mixed_scores, scored
from metacli.nn.set_attention import Gaussian
from metacli.types import Batch, SetEpisode


def normal(mean: list[list[float]], sd: float) -> Gaussian:
    value = torch.tensor(mean, dtype=torch.float64)[None]
    return Gaussian(value, torch.full_like(value, sd**2))


QUERY = Batch(
    torch.zeros(1, 2, 2, 1), torch.tensor([[[0.0, 1.0], [2.0, 9.0]]], dtype=torch.float64)
)


def test_the_scores_of_a_set_are_means_over_its_tasks_and_queries() -> None:
    found = scored(normal([[0.0, 0.0], [1.0, 1.0]], 1.0), QUERY)
    assert found.error.tolist() == [(0 + 1 + 1 + 64) / 4]
    expected = -0.5 * math.log(2 * math.pi) - 0.5 * 66 / 4
    np.testing.assert_allclose(found.log_likelihood, expected)
    assert found.coverage.tolist() == [0.75]


def test_queries_that_are_masked_out_do_not_count() -> None:
    mask = torch.tensor([[[True, True], [True, False]]])
    found = scored(normal([[0.0, 0.0], [1.0, 1.0]], 1.0), QUERY._replace(mask=mask))
    assert found.error.tolist() == pytest.approx([2 / 3])


def mean_of_seen(episodes: SetEpisode, sees: Tensor) -> Gaussian:
    """Answers the mean of all labels that a task sees, with variance 1."""
    support = episodes.support
    assert support.mask is not None
    known = support.mask.double()
    sums, counts = (known * torch.nan_to_num(support.y)).sum(-1), known.sum(-1)
    mean = (sees.double() @ sums[..., None]) / (sees.double() @ counts[..., None]).clamp(min=1)
    return Gaussian(mean.expand_as(episodes.query.y), torch.ones_like(episodes.query.y))


def test_evidence_is_the_density_of_each_label_given_the_labels_at_other_points() -> None:
    y = torch.tensor([[[1.0, 2.0, torch.nan], [4.0, torch.nan, 5.0]]], dtype=torch.float64)
    mask = ~y.isnan()
    roles = torch.tensor([[0, 1]])
    episodes = SetEpisode(Batch(torch.zeros(1, 2, 3, 1), y, mask), QUERY, roles)

    def density(value: float, mean: float) -> float:
        return -0.5 * math.log(2 * math.pi) - 0.5 * (value - mean) ** 2

    joint = evidence(mean_of_seen, episodes, together(roles))
    first = density(1, (2 + 5) / 2) + density(2, (1 + 4 + 5) / 3)
    second = density(4, (2 + 5) / 2) + density(5, (1 + 2 + 4) / 3)
    torch.testing.assert_close(joint, torch.tensor([[first, second]], dtype=torch.float64))
    separate = evidence(mean_of_seen, episodes, alone(roles))
    by_itself = [density(1, 2) + density(2, 1), density(4, 5) + density(5, 4)]
    torch.testing.assert_close(separate, torch.tensor([by_itself], dtype=torch.float64))


def test_a_guard_follows_the_evidence_of_each_task_or_of_the_set() -> None:
    joint, separate = torch.tensor([[-1.0, -9.0]]), torch.tensor([[-5.0, -2.0]])
    by_task = Guard(2.0, 0.0).weights(joint, separate)
    torch.testing.assert_close(by_task, torch.sigmoid(torch.tensor([[2.0, -3.5]])))
    by_set = Guard(2.0, 0.5, "set").weights(joint, separate)
    torch.testing.assert_close(by_set, torch.sigmoid(torch.tensor([[-1.0, -1.0]])))


def test_a_mixture_with_one_weight_is_that_answer_and_one_of_equals_is_either() -> None:
    joint, separate = normal([[0.0, 0.0], [1.0, 1.0]], 1.0), normal([[2.0, 2.0], [2.0, 2.0]], 0.5)
    certain = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    found = mixed_scores(joint, separate, certain, QUERY)
    chosen = Gaussian(
        torch.stack([joint.mean[:, 0], separate.mean[:, 1]], 1),
        torch.stack([joint.variance[:, 0], separate.variance[:, 1]], 1),
    )
    for one, other in zip(vars(found).values(), vars(scored(chosen, QUERY)).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    same = mixed_scores(joint, joint, torch.full((1, 2), 0.3, dtype=torch.float64), QUERY)
    np.testing.assert_allclose(same.log_likelihood, scored(joint, QUERY).log_likelihood)
    assert same.coverage.tolist() == [0.75]
