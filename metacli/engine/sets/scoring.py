"""How good the answers for a set of tasks are: error, log-likelihood and coverage, for each set.

Shape letters: E sets, B sets of a meta-batch, T tasks, M support points, Q query points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import SetLearner
from metacli.nn.set_attention import Gaussian
from metacli.nn.set_problem import SetProblem, mean_of_sets
from metacli.types import Batch, Params, SetEpisode

Z90 = NormalDist().inv_cdf(0.95)
Answers = Callable[[SetEpisode, Tensor], Gaussian]
"""From sets, and which of their tasks see each other, to what they say at their queries."""


@dataclass(frozen=True)
class SetScores:
    """One number for each set, float64 [E]: mean squared error, mean log-likelihood of a query, and
    the share of queries inside the central 90 % interval."""

    error: np.ndarray
    log_likelihood: np.ndarray
    coverage: np.ndarray


def answers_of(learner: SetLearner, problem: SetProblem, params: Params) -> Answers:
    """A learner with its θ."""

    def answer(episodes: SetEpisode, sees: Tensor) -> Gaussian:
        with torch.no_grad():
            return learner.answer(problem, params, episodes, sees)

    return answer


def scored(found: Gaussian, query: Batch) -> SetScores:
    """The scores of B sets."""
    off, covered = (found.mean - query.y).square(), coverage_of(found, query.y)
    each = (off, log_density(found, query.y), covered)
    return SetScores(*(mean_of_sets(one, query.mask).double().numpy() for one in each))


def task_errors(found: Gaussian, query: Batch) -> np.ndarray:
    """The mean squared error of each task over its queries, float64 [B, T]."""
    off = (found.mean - query.y).square().double()
    if query.mask is None:
        return off.mean(-1).numpy()
    counted = query.mask.to(off.dtype)
    return ((off * counted).sum(-1) / counted.sum(-1).clamp(min=1)).numpy()


def log_density(found: Gaussian, y: Tensor) -> Tensor:
    """log N(y; μ, σ²), [B, T, Q]; nan where σ² is."""
    off = (y - found.mean).square() / found.variance
    return -0.5 * (off + found.variance.log() + math.log(2 * math.pi))


def coverage_of(found: Gaussian, y: Tensor) -> Tensor:
    """1 where y is inside the central 90 % interval; nan where there is none."""
    inside = ((y - found.mean).abs() <= Z90 * found.variance.sqrt()).to(y.dtype)
    return torch.where(found.variance.isnan(), torch.nan, inside)


def joined(parts: list[SetScores]) -> SetScores:
    """The scores of several meta-batches, one after the other."""
    return SetScores(
        np.concatenate([one.error for one in parts]),
        np.concatenate([one.log_likelihood for one in parts]),
        np.concatenate([one.coverage for one in parts]),
    )


def evidence(answer: Answers, episodes: SetEpisode, sees: Tensor) -> Tensor:
    """Σ_m log p(y_tm | all labels of the set at other points), [B, T]: what the labels say about a
    way of answering. A point is left out at a time, for every task."""
    support = episodes.support
    mask = torch.ones_like(support.y, dtype=torch.bool) if support.mask is None else support.mask
    total = torch.zeros(support.y.shape[:2], dtype=support.y.dtype)
    for point in range(support.y.shape[2]):
        kept = mask.clone()
        kept[:, :, point] = False
        here = slice(point, point + 1)
        asked = Batch(support.x[:, :, here], support.y[:, :, here])
        held_out = SetEpisode(support._replace(mask=kept), asked, episodes.roles)
        density = log_density(answer(held_out, sees), torch.where(mask[:, :, here], asked.y, 0))
        total += torch.where(mask[:, :, here], density, 0)[..., 0]
    return total


@dataclass(frozen=True)
class Guard:
    """Joint and separate answers mixed by evidence: w_t = sigmoid((l_J - l_S) / τ + κ).

    Y. Yao et al., "Using Stacking to Average Bayesian Predictive Distributions", Bayesian Analysis
    2018, section 3.3 (pseudo-BMA), for two models and with a temperature τ and a prior κ. `per`
    set: one weight for all tasks of a set, from the sums of their evidence.
    """

    temperature: float
    offset: float
    per: str = "task"

    def weights(self, joint: Tensor, separate: Tensor) -> Tensor:
        """w [B, T] of the evidence of the two."""
        gain = joint - separate
        if self.per == "set":
            gain = gain.sum(1, keepdim=True).expand_as(gain)
        return torch.sigmoid(gain / self.temperature + self.offset)


def mixed_scores(joint: Gaussian, separate: Gaussian, weights: Tensor, query: Batch) -> SetScores:
    """The scores of the mixture w p_J + (1 - w) p_S, w [B, T]. Its coverage is that of the central
    interval of the mixture, found by its distribution function at y."""
    w = weights[..., None]
    mean = w * joint.mean + (1 - w) * separate.mean
    parts = [log_density(one, query.y) for one in (joint, separate)]
    density = torch.logaddexp(parts[0] + w.log(), parts[1] + torch.log1p(-w))
    below = sum(
        share * torch.special.ndtr((query.y - one.mean) / one.variance.sqrt())
        for share, one in ((w, joint), (1 - w, separate))
    )
    inside = ((below >= 0.05) & (below <= 0.95)).to(mean.dtype)
    each = ((mean - query.y).square(), density, inside)
    return SetScores(*(mean_of_sets(one, query.mask).double().numpy() for one in each))
