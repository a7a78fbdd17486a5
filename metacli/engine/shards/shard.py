"""One of several parts of a list of work, the same parts on every machine. No torch here, so that
the command line reads `--shard` at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metacli.errors import UsageProblem

MOST = 100_000


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, from 1 on."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, total: int, unit: int = 1) -> tuple[int, int]:
        """The first of `total` things that are in it, and the one after its last; whole units, as
        even as they can be. Nothing, where there are fewer units than parts."""
        units = -(-total // unit)
        first, last = (units * at // self.count for at in (self.index - 1, self.index))
        return min(first * unit, total), min(last * unit, total)


def parsed(text: str | None) -> Shard | None:
    """`2/8`. Raises UsageProblem."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise UsageProblem(f"--shard wants I/N such as 2/8, found {text!r}")
    index, count = int(match[1]), int(match[2])
    if not 1 <= index <= count <= MOST:
        raise UsageProblem(
            f"--shard {text}: part {index} of {count}",
            hint=f"parts are 1/{count} to {count}/{count}" if 1 <= count <= MOST else None,
        )
    return Shard(index, count)
