"""What every tracker is given, whatever program shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from metacli.engine.events import RunStarted


class Tracker(Protocol):
    """One run as another program records it. It only writes local files, and never asks."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Values of one outer step; names such as `train/loss`."""

    def close(self, status: str) -> None:
        """The run has ended: finished, interrupted or failed."""


class OpenTracker(Protocol):
    def __call__(self, started: RunStarted, settings: Mapping[str, str]) -> Tracker:
        """Begin to record a run, or continue to record a resumed one.

        Args:
            settings: of the recipe, by dotted name.
        """
