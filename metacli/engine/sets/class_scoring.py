"""How good the answers for sets of classifications are, set by set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metacli.engine.scoring.class_measures import roc_auc
from metacli.nn.set_answers import SetAnswers, class_hits, class_losses
from metacli.nn.set_problem import mean_of_sets
from metacli.types import Batch, SetEpisode


@dataclass(frozen=True)
class ClassScores:
    """One number for each set, float64 [E]: the share of queries of its classifications whose class
    is right; the mean log-likelihood of all queries; the mean squared error of the scaled values of
    its regressions; the mean over its tasks of two classes of the area under the ROC curve. NaN
    where a set has none."""

    accuracy: np.ndarray
    log_likelihood: np.ndarray
    mse: np.ndarray
    auc: np.ndarray

    def of(self, metric: str) -> np.ndarray:
        """The values of one metric."""
        found = {
            "accuracy": self.accuracy,
            "log_likelihood": self.log_likelihood,
            "mse": self.mse,
            "auc": self.auc,
        }
        return found[metric]


def class_scored(found: SetAnswers, episodes: SetEpisode) -> ClassScores:
    """The scores of B sets."""
    query, ways = episodes.query, episodes.ways
    assert ways is not None
    every = torch.ones_like(query.y, dtype=torch.bool) if query.mask is None else query.mask
    classified = every & (ways > 0)[..., None]
    regression = every & ~classified
    y = torch.where(regression, query.y, 0)
    normal = torch.distributions.Normal(found.mean, found.variance.sqrt()).log_prob(y)
    likelihood = torch.where(regression, normal, -class_losses(found, query, ways))
    return ClassScores(
        by_set(class_hits(found, query), classified),
        by_set(likelihood, every),
        by_set((found.mean - y).square(), regression),
        areas(found, query, classified & (ways == 2)[..., None]),
    )


def areas(found: SetAnswers, query: Batch, counted: Tensor) -> np.ndarray:
    """The mean area of each set, float64 [B], over its tasks [B, T, Q] whose counted queries are of
    both classes. Which of the two is class 1 changes nothing."""
    means = np.full(len(counted), np.nan)
    for at in range(len(counted)):
        each = []
        for task in counted[at].any(-1).nonzero()[:, 0].tolist():
            here = counted[at, task]
            logits = found.logits[at, task, here].double().cpu().numpy()
            each.append(
                roc_auc(logits[:, 1] - logits[:, 0], (query.y[at, task, here] == 1).cpu().numpy())
            )
        finite = [one for one in each if np.isfinite(one)]
        if finite:
            means[at] = np.mean(finite)
    return means


def by_set(values: Tensor, counted: Tensor) -> np.ndarray:
    """The mean over what counts of each set, float64 [B]; NaN where nothing does."""
    mean = mean_of_sets(torch.where(counted, values, 0), counted)
    has = counted.flatten(1).any(1)
    found: np.ndarray = torch.where(has, mean, torch.nan).double().cpu().numpy()
    return found


def class_joined(parts: list[ClassScores]) -> ClassScores:
    """The scores of several meta-batches, one after the other."""
    return ClassScores(
        np.concatenate([one.accuracy for one in parts]),
        np.concatenate([one.log_likelihood for one in parts]),
        np.concatenate([one.mse for one in parts]),
        np.concatenate([one.auc for one in parts]),
    )
