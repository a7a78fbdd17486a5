"""What learners share whose head is built from the features of a support: both halves of an
episode through one network, and the running statistics of its normalisation."""

from __future__ import annotations

import torch
from torch import Tensor

from metacli.nn.problem import Problem
from metacli.trees import map_params
from metacli.types import Batch, Episode, Params

MOMENTUM = 0.1  # of the running statistics, as torch's BatchNorm2d


def features_of(problem: Problem, params: Params, episode: Episode) -> tuple[Tensor, Tensor]:
    """Features of the support and of the query. Where a prediction takes its statistics from the
    support, the halves are normalised apart; otherwise together, as one batch."""
    halves = (episode.support.x, episode.query.x)
    if problem.statistics == "support":
        support, query = (problem.embed(params, x, together=True) for x in halves)
        return support, query
    # One larger product is faster than two.
    features = problem.embed(params, torch.cat(halves), together=True)
    support, query = features.split([len(x) for x in halves])
    return support, query


def frozen_features(problem: Problem, params: Params, support: Batch) -> tuple[Params, Tensor]:
    """θ with the statistics that predictions will use, and the support's features under them."""
    frozen = problem.freeze_statistics(params, support)
    return frozen, problem.embed(frozen, support.x)


def running_statistics(problem: Problem, params: Params, batch: Episode) -> Params:
    """Running statistics after this meta-batch; {} where there are none."""
    if problem.statistics != "running":
        return {}
    x = torch.cat([batch.support.x.flatten(0, 1), batch.query.x.flatten(0, 1)])
    found = problem.batch_statistics(params, x)
    old = {name: params[name] for name in found}
    return map_params(lambda before, now: torch.lerp(before, now, MOMENTUM), old, found)
