"""How good the answers for sets of classifications are, set by set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metacli.nn.set_answers import SetAnswers, class_hits
from metacli.nn.set_problem import mean_of_sets
from metacli.types import SetEpisode


@dataclass(frozen=True)
class ClassScores:
    """One number for each set, float64 [E]: the share of queries whose class is right, and the mean
    log-likelihood of their classes, both over the queries of its classifications."""

    accuracy: np.ndarray
    log_likelihood: np.ndarray


def class_scored(found: SetAnswers, episodes: SetEpisode) -> ClassScores:
    """The scores of B sets."""
    query, counted = episodes.query, counted_of(episodes)
    y = torch.where(counted, query.y, 0).long()
    logits = torch.where(counted[..., None], found.logits, 0)
    likelihood = torch.log_softmax(logits, -1).gather(-1, y[..., None])[..., 0]
    each = class_hits(found, query), torch.where(counted, likelihood, 0)
    return ClassScores(*(mean_of_sets(one, counted).double().cpu().numpy() for one in each))


def counted_of(episodes: SetEpisode) -> Tensor:
    """bool [B, T, Q]: the queries of tasks that have classes."""
    assert episodes.ways is not None
    classified = (episodes.ways > 0)[..., None].expand_as(episodes.query.y)
    mask = episodes.query.mask
    return classified if mask is None else classified & mask


def class_joined(parts: list[ClassScores]) -> ClassScores:
    """The scores of several meta-batches, one after the other."""
    return ClassScores(
        np.concatenate([one.accuracy for one in parts]),
        np.concatenate([one.log_likelihood for one in parts]),
    )
