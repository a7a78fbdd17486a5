"""When a search ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

TRIALS, BUDGET = 20, 1800.0


@dataclass(frozen=True)
class Limits:
    """When a search ends: after so many trainings, or when the next one would not end in time."""

    trials: int = TRIALS
    seconds: float = BUDGET

    def leave_room(self, began: float, durations: Sequence[float]) -> bool:
        if len(durations) >= self.trials:
            return False
        expected = sum(durations) / len(durations) if durations else 0.0
        return not durations or time.monotonic() - began + expected <= self.seconds
