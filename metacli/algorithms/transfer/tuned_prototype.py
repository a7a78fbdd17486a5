"""The F of P>M>F: S. X. Hu, D. Li, J. Stühmer, M. Kim, T. M. Hospedales, "Pushing the Limits of
Simple Pipelines for Few-Shot Learning: External Data and Fine-Tuning Make a Difference", CVPR 2022,
https://arxiv.org/abs/2204.07305, section 3 and algorithm 1.

Idea: fine-tune a pretrained network on the support as ProtoNet is trained, augmented copies of the
support being the queries, and answer with the nearest class mean.

    φ ← φ − η · Adam(∇_φ L(x̃, y; c(φ))),   c_n(φ) = mean of f_φ over the support of class n

Where we differ: as `pmf`, whose steps these are, for a network that was not meta-trained. The paper
picks η for each domain on a few validation tasks; here it is picked on folds of the support, as is
the number of steps.

η = `lr`; `lr` and `steps` that are not given are picked on folds of the support.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from metacli.algorithms.meta.pmf import PMF
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"lr": (1e-4, 1e-3), "steps": (10, 30)}


@dataclass(frozen=True, kw_only=True)
class FineTunedPrototype(Transfer):
    lr: Annotated[float, Gt(0)] | None = None
    steps: Annotated[int, Ge(0), Le(1000)] | None = None
    drop: Annotated[float, Ge(0), Lt(1)] = 0.3

    kinds = ("classification",)
    traceable = False  # as many masks as there are examples

    def usual(self) -> Self:
        return filled(self, {"lr": 1e-4, "steps": 10})

    @property
    def learner(self) -> PMF:
        one = self.usual()
        return PMF(lr=one.lr or 0.0, steps=one.steps or 0, drop=self.drop)

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        """Those that differ in `steps` alone are stops of one run."""
        theta = network_of(problem, params)
        runs: dict[float | None, list[Self]] = {}
        for one in choices(self, GRID):
            runs.setdefault(one.lr, []).append(one)
        found = []
        for same in runs.values():
            longest = max(same, key=lambda one: one.steps or 0).learner
            path = longest.tuning(problem, theta, support)
            for one in same:
                tuned = {**theta, **path[one.steps or 0]}
                phi = one.learner.with_prototypes(problem, tuned, support)
                found.append((one, one.learner.predict(problem, phi, x)))
        return found

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        return self.learner.adapt(problem, network_of(problem, params), support, state)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.learner.predict(problem, adapted, x)
