"""Sets of classifications for the learners that adapt by gradient steps: what is answered for a
meta-batch of sets, and the outer gradient, one set after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.class_steps import (
    InnerSteps,
    Sharing,
    adapted,
    answered,
    map_sets,
    one_set,
)
from metacli.autodiff import gradient
from metacli.errors import UsageProblem
from metacli.nn.set_answers import SetAnswers, class_hits, class_losses
from metacli.nn.set_problem import SetProblem, mean_of_sets
from metacli.nn.trunk_classes import TrunkClasses
from metacli.types import Params, SetEpisode

Shared = Callable[[Params, SetEpisode, Tensor], Sharing]
"""(θ, one set, which of its tasks see each other [T, T]) -> how they share the trunk."""
NOISE = "noise"


def network_of(problem: SetProblem) -> TrunkClasses:
    assert isinstance(problem.network, TrunkClasses)
    return problem.network


def responded(
    problem: SetProblem,
    params: Params,
    episodes: SetEpisode,
    sees: Tensor,
    shared: Shared,
    descent: Callable[[Params], InnerSteps],
) -> SetAnswers:
    """Every query of every task of every set."""
    network, parts = network_of(problem), []
    for at in range(len(sees)):
        one = one_set(episodes, at)
        sharing = shared(params, one, sees[at])
        phi = adapted(network, params, one, sharing, descent(params))
        parts.append(answered(network, phi, one, sharing))
    logits, mean, variance = (torch.cat(some) for some in zip(*parts, strict=True))
    return SetAnswers(logits, mean, variance * params[NOISE].exp())


def outer_gradient(
    problem: SetProblem,
    params: Params,
    theta: Params,
    batch: SetEpisode,
    sees: Tensor,
    shared: Shared,
    descent: Callable[[Params], InnerSteps],
) -> tuple[Params, Tensor]:
    """∇_θ of the mean query loss of the sets, and the mean loss and score [2]. The graph of a set
    is freed before the next is built."""
    total: Params = {name: torch.zeros_like(value) for name, value in theta.items()}
    rests = []
    for at in range(len(sees)):
        found, rest = set_gradient(problem, params, theta, batch, sees, shared, descent, at)
        total = {name: value + found[name] / len(sees) for name, value in total.items()}
        rests.append(rest)
    return total, torch.stack(rests).mean(0)


def set_gradient(
    problem: SetProblem,
    params: Params,
    theta: Params,
    batch: SetEpisode,
    sees: Tensor,
    shared: Shared,
    descent: Callable[[Params], InnerSteps],
    at: int,
) -> tuple[Params, Tensor]:
    """As `outer_gradient`, of set `at`."""
    here = slice(at, at + 1)
    one = map_sets(lambda value: value[here], batch)

    def loss(moved: Params) -> tuple[Tensor, Tensor]:
        found = responded(problem, {**params, **moved}, one, sees[here], shared, descent)
        value = query_losses(found, one)
        return value, torch.stack([value, score_of(found, one)])

    return gradient(loss, theta)


def query_losses(found: SetAnswers, batch: SetEpisode) -> Tensor:
    """The mean over tasks and queries of the cross-entropy, or of the squared error; the noise of a
    regression is fitted to the errors as they are and does not weigh them. A scalar."""
    query, ways = batch.query, batch.ways
    assert ways is not None
    classified = class_losses(found, query, ways)
    regression = (ways == 0)[..., None].expand_as(classified)
    y = torch.where(regression, query.y, 0)
    error = torch.where(regression, (found.mean - y).square(), 0)
    fit = 0.5 * (found.variance.log() + error.detach() / found.variance)
    return mean_of_sets(classified + error + torch.where(regression, fit, 0), query.mask).mean()


def score_of(found: SetAnswers, batch: SetEpisode) -> Tensor:
    """The accuracy over the queries of tasks that have classes, a scalar."""
    query, ways = batch.query, batch.ways
    assert ways is not None
    counts = (ways > 0)[..., None].expand_as(query.y)
    counts = counts if query.mask is None else counts & query.mask
    return mean_of_sets(class_hits(found, query), counts).mean()


def accuracies(batch: SetEpisode, score: Tensor) -> dict[str, Tensor]:
    """The metric of an update; none where no task has classes, which would read as 0 %."""
    return {} if batch.ways is None or not (batch.ways > 0).any() else {"query_accuracy": score}


def require_head(way: int | None, head: str) -> int:
    """Rows of the head in θ. Raises UsageProblem: a learned head needs one number of classes."""
    if head == "proto":
        return 0
    if way is None:
        raise UsageProblem(
            "algorithm.head=linear needs one number of classes",
            hint="sets.way=5, or algorithm.head=proto",
        )
    return way
