"""How much of its time a run has spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """The training time of a run.

    Args:
        before: seconds of it that were spent before it was resumed.
        limit: seconds that may be spent; None without a limit.
    """

    before: float
    limit: float | None
    started: float = field(default_factory=time.monotonic)

    def spent(self) -> float:
        return time.monotonic() - self.started

    def total(self) -> float:
        return self.before + self.spent()

    def is_over(self) -> bool:
        return self.limit is not None and self.spent() >= self.limit

    def share(self) -> float:
        """Of the limit that is spent, 0..1; 0 without one."""
        return 0.0 if self.limit is None else min(1.0, self.spent() / self.limit)
