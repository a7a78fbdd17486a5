"""L2-SP: X. Li, Y. Grandvalet, F. Davoine, "Explicit Inductive Bias for Transfer Learning with
Convolutional Networks", ICML 2018, https://arxiv.org/abs/1802.01483, equation 2.

Idea: fine-tuning that is pulled back to the source's weights, its starting point, instead of to
zero.

    Ω(w) = α/2 ‖w_S − w⁰_S‖² + β/2 ‖w_S̄‖²,      ∇Ω = α (w_S − w⁰_S), β w_S̄

with S what source and target share, the network, and S̄ the new head. A head that is kept from the
source (a regression's) is in S.

Where we differ: as fine-tuning here (Adam, a head that begins at zero). β = `beta` is the authors'
0.01; α = `alpha`, `lr` and `steps` that are not given are picked on folds of the support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta.inner import movable
from metacli.algorithms.transfer.descent import Descends, Penalty, descend, new_head
from metacli.algorithms.transfer.transfer import (
    filled,
    kept_head,
    network_of,
    outputs_of,
)
from metacli.nn.problem import Problem
from metacli.trees import pick
from metacli.types import Batch, Params

GRID = {"alpha": (0.01, 0.1, 1.0), "lr": (1e-4, 1e-3), "steps": (10, 30, 100)}


@dataclass(frozen=True, kw_only=True)
class L2SP(Descends):
    alpha: Annotated[float, Ge(0)] | None = None
    beta: Annotated[float, Ge(0)] = 0.01
    lr: Annotated[float, Gt(0)] | None = None
    steps: Annotated[int, Ge(0), Le(100_000)] | None = None
    head_rate: Annotated[float, Gt(0)] = 10.0

    grid = GRID

    def usual(self) -> Self:
        return filled(self, {"alpha": 0.1, "lr": 1e-3, "steps": 30})

    def penalty(self, reference: Params) -> Penalty:
        """Ω; `reference` is w⁰ of what is shared."""
        assert self.alpha is not None
        alpha = self.alpha

        def omega(phi: Params) -> Tensor:
            parts = [
                alpha * (value - reference[name]).square().sum()
                if name in reference
                else self.beta * value.square().sum()
                for name, value in phi.items()
            ]
            return torch.stack(parts).sum() / 2

        return omega

    def start(self, problem: Problem, params: Params, support: Batch) -> tuple[Params, Params]:
        """(φ_0, w⁰): where it begins, and where it is pulled to."""
        outputs, network = outputs_of(problem, support), network_of(problem, params)
        shared = {**network, **kept_head(params, outputs)}
        begin = {**new_head(problem, network, support, outputs), **shared}
        return begin, pick(movable(problem, begin), shared)

    def runs(
        self, problem: Problem, params: Params, support: Batch, stops: Sequence[int]
    ) -> list[Params]:
        assert self.lr is not None
        begin, reference = self.start(problem, params, support)
        rate, omega = self.head_rate, self.penalty(reference)
        return descend(
            problem, begin, support, lr=self.lr, head_rate=rate, stops=stops, penalty=omega
        )
