"""Reptile on sets of tasks. A. Nichol, J. Achiam, J. Schulman, "On First-Order Meta-Learning
Algorithms", 2018, https://arxiv.org/abs/1803.02999, algorithm 2, whose task is here a set of tasks
with a shared trunk and a head each.

Idea: learn a set for a few steps, then move the trunk to where that led, and the head of every role
to where the tasks of that role led.

    φ_i = U^k(θ; S_i ∪ Q_i),   U: trunk ← trunk − α (1/T) Σ_t ∇L_t,  head_t ← head_t − α ∇L_t
    direction = (1/B) Σ_i (θ_trunk − φ_i,trunk),   of role r the mean of θ_head,r − φ_head,t

so that `train: {optimizer: sgd, lr: ε}` is θ ← θ + ε (φ − θ).

Where we differ: U is gradient descent on all labels of the set at once, the paper's is Adam or SGD
on mini-batches. A share `alone` of the training sets adapts each task by itself. The predictive
variance (`noise`) is fitted to the errors at the queries after U^k(θ; S_i), by 0.1 times its
gradient, a step that is small enough for ε = 1; `query_*` metrics are those errors.

k = `inner_steps`; α = `inner_lr`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta_multitask.base import noise_loss
from metacli.algorithms.meta_multitask.class_sets import (
    NOISE,
    accuracies,
    network_of,
    query_losses,
    score_of,
)
from metacli.algorithms.meta_multitask.class_steps import Sharing, adapted, one_set
from metacli.algorithms.meta_multitask.one_trunk import OneTrunk, divided, taken
from metacli.autodiff import gradient
from metacli.nn.set_problem import SetProblem
from metacli.nn.trunk_classes import (
    BIAS,
    VALUE_BIAS,
    VALUE_WEIGHT,
    WEIGHT,
    TrunkClasses,
)
from metacli.nn.trunk_heads import HEAD
from metacli.trees import detach, map_params, pick, select
from metacli.types import Batch, Params, SetEpisode, State, Update

NOISE_RATE = 0.1


@dataclass(frozen=True, kw_only=True)
class MReptile(OneTrunk):
    """Everything moves, and nothing is differentiated through the steps."""

    inner_lr: Annotated[float, Gt(0)] = 0.02
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 10
    first_order: bool = True
    learn_rates: bool = False

    def direction(
        self,
        problem: SetProblem,
        params: Params,
        batch: SetEpisode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        params, sees = detach(params), self.masked(batch.roles, rng)
        if batch.ways is not None:
            return self.of_classes(problem, params, batch, sees, state)
        theta = pick(params, frozenset(self.of(problem).names))
        led = self.led_to(problem, params, batch._replace(support=union(batch)), sees)
        noise = select(params, (NOISE,))

        def loss(moved: Params) -> tuple[Tensor, Tensor]:
            found = self.answer(problem, {**params, **moved}, batch, sees)
            return noise_loss(found, batch.query), problem.error(found.mean, batch.query).mean()

        fit, value = gradient(loss, noise)
        direction = {name: value - led[name] for name, value in theta.items()}
        direction |= map_params(lambda slope: NOISE_RATE * slope, fit)
        return Update(direction, state, {"query_loss": value, "query_mse": value})

    def of_classes(
        self, problem: SetProblem, params: Params, batch: SetEpisode, sees: Tensor, state: State
    ) -> Update:
        """The direction of a network of classes, one set after the other. The variance of
        regressions stays as it is."""
        network, everything = network_of(problem), batch._replace(support=union(batch))
        shared, descent = self.sharing(problem), self.descent(params)
        theta = pick(params, network.init(0))
        sums = {name: torch.zeros_like(value) for name, value in theta.items()}
        for at in range(len(sees)):
            one = one_set(everything, at)
            sharing = shared(params, one, sees[at])
            phi = adapted(network, params, one, sharing, descent)
            for name, value in ends_of(network, theta, phi, one, sharing).items():
                sums[name] += value / len(sees)
        found = self.respond(problem, params, batch, sees)
        direction = {name: value - sums[name] for name, value in theta.items()}
        direction[NOISE] = torch.zeros_like(params[NOISE])
        metrics = {"query_loss": query_losses(found, batch)}
        return Update(direction, state, metrics | accuracies(batch, score_of(found, batch)))

    def led_to(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Params:
        """The mean φ: of the trunk over sets, of a role's head over its tasks; that of a role which
        no task has stays where it is."""
        network, names = self.of(problem), self.of(problem).names
        sets = len(episodes.roles)
        sums = {name: torch.zeros_like(params[name]) for name in names}
        counts = torch.zeros_like(params["head.bias"])
        for part in divided(episodes.roles, sees):
            here = taken(episodes, part)
            phi = self.adapted(problem, params, here, sees[part.rows], part.seeing)
            rows = network.rows(here.roles).flatten()
            counts.index_add_(0, rows, torch.ones_like(rows, dtype=counts.dtype))
            for name, value in phi.items():
                if name in HEAD:
                    sums[name].index_add_(0, rows, value.flatten(0, 1))
                else:
                    share = len(part.rows) / sets
                    sums[name] += share * value.mean((0, 1))
        for name in HEAD:
            total = counts.view(-1, *[1] * (sums[name].dim() - 1))
            sums[name] = torch.where(total > 0, sums[name] / total.clamp(min=1), params[name])
        return sums


def ends_of(
    network: TrunkClasses, theta: Params, phi: Params, episodes: SetEpisode, sharing: Sharing
) -> Params:
    """Where one set led: the mean of its tasks; heads that θ does not hold, or that no task of the
    set has, stay where they are."""
    ways = episodes.ways
    assert ways is not None
    found = {name: phi[name][sharing.copy].mean(0) for name in network.encoder.trainable}
    for own, value, head in ((WEIGHT, VALUE_WEIGHT, phi[WEIGHT]), (BIAS, VALUE_BIAS, phi[BIAS])):
        each = head[sharing.copy] if network.shared_labels else head
        regressions = each[ways == 0]
        if own in theta:
            found |= {own: each.mean(0), value: theta[value]}
        else:
            found[value] = regressions[:, :1].mean(0) if len(regressions) else theta[value]
    return found


def union(episodes: SetEpisode) -> Batch:
    """All labels of the sets, supports and queries."""
    halves = episodes.support, episodes.query
    masks = [
        torch.ones_like(half.y, dtype=torch.bool) if half.mask is None else half.mask
        for half in halves
    ]
    x, y = (torch.cat(parts, 2) for parts in zip(*((h.x, h.y) for h in halves), strict=True))
    return Batch(x, y, torch.cat(masks, 2))
