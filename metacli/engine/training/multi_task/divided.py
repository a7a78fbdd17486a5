"""A multi-task network whose losses are divided over processes, row by row."""

from __future__ import annotations

from dataclasses import replace

from metacli.algorithms.multitask.meta import MetaWeighted, has_networks
from metacli.algorithms.multitask.method import Solved
from metacli.engine.ranks.team import Team
from metacli.engine.training.multi_task.single_task import Candidate
from metacli.errors import UsageProblem
from metacli.nn.multi_task import RowShare


def divided(candidate: Candidate, team: Team) -> Candidate:
    """Its losses are those of this rank's rows and of the others', and so are their gradients;
    weighting, surgery and penalty see the whole on every rank."""
    if team.size == 1:
        return candidate
    share = RowShare(team.rank, team.size, team.add)
    return replace(candidate, problem=replace(candidate.problem, share=share))


def require_divisible(candidate: Candidate, ranks: int) -> None:
    """Raises UsageProblem for training of which no part could be divided."""
    method, sharing = candidate.method, candidate.recipe.sharing.name
    what = None
    if isinstance(method, Solved):
        what = f"{sharing} is solved in one step from all rows"
    elif isinstance(method, MetaWeighted) and has_networks(candidate.problem):
        what = f"{sharing} sharing fits its heads to all rows in every step"
    if what is not None:
        message = f"{what}, which is not divided over {ranks} processes"
        raise UsageProblem(message, code="usage.not_divided", hint="train it without torchrun")
