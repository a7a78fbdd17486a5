"""LP-FT: A. Kumar, A. Raghunathan, R. Jones, T. Ma, P. Liang, "Fine-Tuning can Distort Pretrained
Features and Underperform Out-of-Distribution", ICLR 2022, https://arxiv.org/abs/2202.10054,
section 4.

Idea: fine-tuning under a new head first bends the features to a head that is wrong. So fit the head
first, with the network as it is, and fine-tune both from there.

    φ_0 = (θ, head of the linear probe),      φ ← φ − η · Adam(∇L_S(φ))

Where we differ: the probe is fitted exactly, with `penalty`, instead of by gradient steps; Adam
instead of SGD with a cosine. η = `lr`, the same for network and head; `lr` and `steps` that are not
given are picked on folds of the support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le

from metacli.algorithms.transfer.descent import Descends, descend
from metacli.algorithms.transfer.linear_probe import LinearProbe
from metacli.algorithms.transfer.transfer import filled
from metacli.nn.problem import Problem
from metacli.types import Batch, Params

GRID = {"lr": (1e-4, 1e-3), "steps": (3, 10, 30)}


@dataclass(frozen=True, kw_only=True)
class LPFT(Descends):
    penalty: Annotated[float, Gt(0)] = 0.1
    lr: Annotated[float, Gt(0)] | None = None
    steps: Annotated[int, Ge(0), Le(100_000)] | None = None

    grid = GRID

    def usual(self) -> Self:
        return filled(self, {"lr": 1e-4, "steps": 10})

    def runs(
        self, problem: Problem, params: Params, support: Batch, stops: Sequence[int]
    ) -> list[Params]:
        assert self.lr is not None
        begin = LinearProbe(penalty=self.penalty).adapt(problem, params, support, {})
        return descend(problem, begin, support, stops=stops, lr=self.lr, head_rate=1.0)
