"""Joint pre-training: the baseline of Finn et al. 2017, section 5.1 (https://arxiv.org/abs/1703.03400).

Idea: one model of all tasks at once, as if they were one, fine-tuned on a support exactly as MAML
adapts.

    direction = ∇_θ (1/B) Σ_i L_{S_i ∪ Q_i}(θ)

Where we differ: nothing. It needs outputs that mean the same in every task, so it is for
regression and for tasks that all have the same labels, not for classes that are new in every
episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.inner import (
    Descent,
    count_classes,
    inner_path,
    query_loss,
    trained,
    union,
)
from metacli.autodiff import mean_gradient
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update


@dataclass(frozen=True, kw_only=True)
class Joint(Learner):
    inner_lr: Annotated[float, Gt(0)] = 0.01
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 5

    shared_labels = True
    has_path = True

    def head_size(self, way: int) -> int | None:
        return way

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        def task_loss(theta: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            both = union(episode)
            return query_loss(
                problem, problem.predict({**params, **theta}, both.x, together=True), both
            )

        gradient, metrics = mean_gradient(task_loss, trained(problem, params), batch, problem.chunk)
        return Update(gradient, state, metrics)

    def path(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> list[Params]:
        steps = inner_path(
            problem,
            params,
            support,
            way=count_classes(support.y, problem),
            head="linear",
            adapts=("",),
            rule=Descent(self.inner_lr),
            steps=self.inner_steps,
            first_order=True,
        )
        return [problem.freeze_statistics(phi, support) for phi in steps]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        return self.path(problem, params, support, state)[-1]

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x)
