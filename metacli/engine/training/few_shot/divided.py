"""A learner whose meta-batches are divided over processes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metacli.algorithms.learner import Learner
from metacli.engine.ranks.team import Team
from metacli.errors import UsageProblem
from metacli.nn.problem import Problem
from metacli.types import Episode, Params, State, Update

DIRECTION, REPLACE, METRICS = "direction/", "replace/", "metrics/"


@dataclass(frozen=True)
class DividedTasks:
    """The direction of a learner from each rank's tasks: (1/B) Σ_i d_i is the sum over the ranks of
    their tasks' own mean times their share of B.

    Args:
        tasks: B of the whole meta-batch; `direction` gets the part of it that is this rank's.
    """

    learner: Learner
    team: Team
    tasks: int

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        return self.learner.init(problem, params)

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        try:
            mine = self.learner.direction(problem, params, batch, state, rng)
        except BaseException:  # dropped, or failed: the others wait for a part that never comes
            self.team.leave()
            raise
        weight = len(batch.query.y) / self.tasks
        named = ((DIRECTION, mine.direction), (REPLACE, mine.replace), (METRICS, mine.metrics))
        parts = {f"{of}{key}": v * weight for of, values in named for key, v in values.items()}
        whole = self.team.add_all(parts)
        direction, replace, metrics = (
            {key: whole[f"{of}{key}"] for key in values} for of, values in named
        )
        return Update(direction, mine.state, metrics, replace)


def require_divisible(learner: Learner, problem: Problem, tasks: int, ranks: int) -> None:
    """Raises UsageProblem where no division of a meta-batch gives the same result."""
    name, what = type(learner).__name__, None
    if not learner.mean_over_tasks:
        what = f"{name} takes one step on all examples of a meta-batch, not a mean over its tasks"
    elif problem.statistics == "running":
        what = "running statistics (backbone.norm) are of all examples of a meta-batch"
    elif tasks < ranks:
        what = f"train.meta_batch={tasks}: too few tasks to be divided over {ranks} processes"
    if what is None:
        return
    hint = f"train.meta_batch={ranks} or more" if tasks < ranks else "train it without torchrun"
    raise UsageProblem(what, code="usage.not_divided", hint=hint)
