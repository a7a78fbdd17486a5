"""What is printed where several processes carry out one command: rank 0 prints all of it."""

from __future__ import annotations

from metacli.engine.ranks.launched import Launch
from metacli.errors import EnvironmentProblem, ExitCode, MetacliError, RunFailed

EVERYWHERE = ("run.not_finite", "run.no_step")
"""Codes of errors that every rank has at the same step."""


def speaks(error: MetacliError, launch: Launch) -> bool:
    """Whether this process prints an error: rank 0 always, another one what happened to it alone.
    That a process is gone is told by rank 1, too, as it may be rank 0 that is."""
    if not launch.follows:
        return True
    if error.code == "run.rank_lost":
        return launch.rank == 1
    own = isinstance(error, RunFailed | EnvironmentProblem) or error.exit_code == ExitCode.BUG
    return own and error.code not in EVERYWHERE


def signed(lines: list[str], launch: Launch) -> list[str]:
    """With the rank, where it is not rank 0."""
    return [f"rank {launch.rank}: {line}" for line in lines] if launch.follows else lines
