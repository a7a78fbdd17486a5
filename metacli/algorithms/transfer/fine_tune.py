"""Fine-tuning: R. Girshick, J. Donahue, T. Darrell, J. Malik, "Rich feature hierarchies for
accurate object detection and semantic segmentation", CVPR 2014, https://arxiv.org/abs/1311.2524,
section 2.3; J. Yosinski, J. Clune, Y. Bengio, H. Lipson, NeurIPS 2014,
https://arxiv.org/abs/1411.1792.

Idea: go on training the whole of the source's network on the target, under a new head.

    φ_0 = (θ, head 0),      φ ← φ − η · Adam(∇L_S(φ))

Where we differ: Adam instead of SGD, so that one rate fits networks of any scale; the new head
begins at zero instead of at random, so that the same support gives the same bits; supports up to 64
examples are one batch. A head whose outputs mean the same in the source (a regression's) is kept as
φ_0's.

η = `lr`, for the new head times `head_rate`; `lr` and `steps` that are not given are picked on
folds of the support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le

from metacli.algorithms.transfer.descent import Descends, descend, new_head
from metacli.algorithms.transfer.transfer import (
    filled,
    kept_head,
    network_of,
    outputs_of,
)
from metacli.nn.problem import Problem
from metacli.types import Batch, Params

GRID = {"lr": (1e-4, 1e-3), "steps": (10, 30, 100)}


@dataclass(frozen=True, kw_only=True)
class FineTune(Descends):
    lr: Annotated[float, Gt(0)] | None = None
    steps: Annotated[int, Ge(0), Le(100_000)] | None = None
    head_rate: Annotated[float, Gt(0)] = 10.0

    grid = GRID

    def usual(self) -> Self:
        return filled(self, {"lr": 1e-3, "steps": 30})

    def start(self, problem: Problem, params: Params, support: Batch) -> Params:
        """φ_0."""
        outputs, network = outputs_of(problem, support), network_of(problem, params)
        return {
            **new_head(problem, network, support, outputs),
            **network,
            **kept_head(params, outputs),
        }

    def runs(
        self, problem: Problem, params: Params, support: Batch, stops: Sequence[int]
    ) -> list[Params]:
        assert self.lr is not None
        begin = self.start(problem, params, support)
        return descend(problem, begin, support, lr=self.lr, head_rate=self.head_rate, stops=stops)
