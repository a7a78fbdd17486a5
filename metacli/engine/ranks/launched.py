"""Whether this process is one of several that `torchrun` started: read from the environment, so
that the command line knows it before torch is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass

from metacli.errors import UsageProblem

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
DIVIDED = ("meta-train", "multitask", "evaluate")
"""Commands that several processes carry out together."""


@dataclass(frozen=True)
class Launch:
    """This process among those that were started together.

    Args:
        rank: 0 to size-1; rank 0 writes and prints. local: the rank on this machine, the number of
            its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def follows(self) -> bool:
        """Whether another process writes and prints."""
        return self.rank > 0


def launched() -> Launch:
    """As torchrun's variables say; alone where one of them is missing.

    Raises:
        UsageProblem: they are no numbers, or the rank is none of them.
    """
    if any(name not in os.environ for name in VARIABLES):
        return Launch()
    words = (os.environ["RANK"], os.environ["WORLD_SIZE"], os.environ.get("LOCAL_RANK", "0"))
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageProblem(
            f"RANK, WORLD_SIZE and LOCAL_RANK are {', '.join(words)}; wanted numbers"
        )
    found = Launch(*map(int, words))
    if found.rank >= found.size:
        raise UsageProblem(f"RANK is {found.rank} of WORLD_SIZE {found.size}; wanted less")
    return found


def require_divided(command: str, launch: Launch) -> None:
    """Raises UsageProblem for a command that each of several processes would carry out again."""
    if launch.size > 1 and command not in DIVIDED:
        raise UsageProblem(
            f"{command} is not divided over processes, and WORLD_SIZE is {launch.size}",
            hint=f"metacli {command} ... without torchrun; {', '.join(DIVIDED)} are divided",
        )
