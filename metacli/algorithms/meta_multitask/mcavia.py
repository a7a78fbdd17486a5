"""CAVIA on sets of tasks. L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson, "Fast
Context Adaptation via Meta-Learning", ICML 2019, https://arxiv.org/abs/1810.03642, algorithm 1,
with one context for the set and one for each of its tasks.

Idea: what the tasks of a set have in common is a few numbers c, what a task has of its own is as
many, d_t; both begin at zero and are found by an inner loop, c from the labels of all tasks. The
network θ is shared by all sets and moves in the outer loop alone.

    c ← c − α_k (1/T) Σ_t ∇_c L_{S_t}(c, d_t),   d_t ← d_t − β_k ∇_{d_t} L_{S_t}   (repeated)
    direction = ∇_{θ,α,β} (1/B) Σ_i (1/T) Σ_t L_{Q_t}(c_i, d_i,t; θ)

Where we differ: the paper has one context for a task; c is ours. The contexts are further inputs of
the first layer, as in the paper's regression. The rates α, β are learned for every step and begin
at `inner_lr`, and a share `alone` of the training sets adapts each task by itself. The predictive
variance is a function of a task's role and of the number of labels alone (`noise`).

`context` = the size of c and of d_t; `adapts` = what moves, the contexts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from metacli.algorithms.meta_multitask.one_trunk import OneTrunk
from metacli.errors import UsageProblem
from metacli.nn.problem import Problem
from metacli.nn.trunk_classes import TrunkClasses


@dataclass(frozen=True, kw_only=True)
class MCAVIA(OneTrunk):
    """The contexts alone move, that of the set together."""

    inner_lr: Annotated[float, Gt(0)] = 1.0
    context: Annotated[int, Ge(1), Le(1000)] = 8
    adapts: tuple[str, ...] = ("context.",)

    def encoded(
        self, encoder: Problem, roles: int, way: int | None, *, shared_labels: bool
    ) -> TrunkClasses:
        raise UsageProblem(
            "mcavia learns sets of regressions: its context is read beside the columns of x",
            hint="algorithm.name=mmaml, or kind: meta with cavia",
        )
