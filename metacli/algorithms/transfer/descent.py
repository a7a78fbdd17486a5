"""Gradient descent on a support: what fine-tuning, LP-FT and L2-SP share.

Adam: D. P. Kingma, J. Ba, ICLR 2015, https://arxiv.org/abs/1412.6980, algorithm 1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Self, TypeVar

import torch
from torch import Tensor

from metacli.algorithms.meta.inner import HEAD, movable
from metacli.algorithms.meta.minibatches import minibatches, shuffling
from metacli.algorithms.transfer.transfer import Grid, Transfer, choices
from metacli.autodiff import grad
from metacli.nn.problem import Problem
from metacli.trees import map_params
from metacli.types import NO_STATE, Batch, Params, State

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
BATCH = 64  # examples in a step; a support that is smaller goes whole into each
Penalty = Callable[[Params], Tensor]


def new_head(problem: Problem, params: Params, support: Batch, outputs: int) -> Params:
    """W = 0, b = 0: every class is as likely, and nothing is drawn at random."""
    floats = (v for v in (*params.values(), support.x) if v.is_floating_point())
    like = next(floats, support.x.new_zeros((), dtype=torch.float32))
    return {
        HEAD[0]: like.new_zeros(outputs, problem.features),
        HEAD[1]: like.new_zeros(outputs),
    }


def descend(
    problem: Problem,
    begin: Params,
    support: Batch,
    *,
    lr: float,
    head_rate: float,
    stops: Sequence[int],
    penalty: Penalty | None = None,
) -> list[Params]:
    """φ after each number of steps in `stops` (ascending), ready to predict.

    Args:
        begin: φ_0 with its head.
        head_rate: the head's rate in multiples of `lr`.
        penalty: added to the loss of what moves.
    """
    phi = movable(problem, begin)
    first, second = map_params(torch.zeros_like, phi), map_params(torch.zeros_like, phi)
    steps, found = max(stops), [ready(problem, begin, support)] if 0 in stops else []
    rng = torch.Generator().manual_seed(0)
    keys = shuffling(len(support.y), BATCH, steps, rng).to(support.y.device)
    whole = len(support.y) <= BATCH
    for step, rows in enumerate(minibatches(keys, support.mask, BATCH, steps), 1):
        part = support if whole else Batch(support.x[rows], support.y[rows])
        slope = grad(partial(total, problem, begin, part, penalty), phi)
        first = map_params(lambda m, g: torch.lerp(g, m, BETA1), first, slope)
        second = map_params(lambda v, g: torch.lerp(g * g, v, BETA2), second, slope)
        # The corrected moments m/(1-β₁ᵗ) and v/(1-β₂ᵗ).
        left, right = 1 - BETA1**step, 1 - BETA2**step
        phi = {
            name: value
            - lr
            * (head_rate if name in HEAD else 1.0)
            * (first[name] / left)
            / ((second[name] / right).sqrt() + EPS)
            for name, value in phi.items()
        }
        if step in stops:
            found.append(ready(problem, {**begin, **phi}, support))
    return found


def total(
    problem: Problem, begin: Params, part: Batch, penalty: Penalty | None, phi: Params
) -> Tensor:
    """L_S(φ) + Ω(φ). Statistics that predictions take from θ stay as they are while it is trained;
    those that they take from the support are a batch's own."""
    theta = {**begin, **phi}
    prediction = problem.predict(theta, part.x, together=problem.statistics == "support")
    loss = problem.loss(prediction, part)
    return loss if penalty is None else loss + penalty(phi)


def ready(problem: Problem, phi: Params, support: Batch) -> Params:
    """φ with the statistics that its predictions use."""
    return problem.freeze_statistics(phi, support)


class Descends(Transfer):
    """A transfer method that descends for `steps` steps. A leaf writes `usual` and `runs`."""

    @property
    @abstractmethod
    def steps(self) -> int | None:
        """Steps of a run; None where they are not given."""

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """What is tried for the fields that are not given."""

    @abstractmethod
    def runs(
        self, problem: Problem, params: Params, support: Batch, stops: Sequence[int]
    ) -> list[Params]:
        """φ after each number of steps, from the source's θ."""

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        """Every choice on x; those that differ in `steps` alone are stops of one run."""
        runs: dict[Self, dict[int, Self]] = {}
        for one in choices(self, self.grid):
            runs.setdefault(with_steps(one, None), {})[steps_of(one)] = one
        found = []
        for stops in runs.values():
            same = [stops[step] for step in sorted(stops)]
            ends = same[0].runs(problem, params, support, sorted(stops))
            found += [(o, problem.predict(phi, x)) for o, phi in zip(same, ends, strict=True)]
        return found

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        one = self.usual()
        return one.runs(problem, params, support, (steps_of(one),))[-1]

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x)


Descent = TypeVar("Descent", bound=Descends)


def with_steps(one: Descent, steps: int | None) -> Descent:
    return replace(one, steps=steps)  # type: ignore[type-var]  # every leaf is a dataclass


def steps_of(one: Descends) -> int:
    """Steps of a choice that is complete."""
    assert one.steps is not None
    return one.steps
