"""What `sample` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class SampleResult(Result):
    """The folder that was written.

    Args:
        way: None for a task with numbers to predict, whose `classes` is its name.
        shot: support examples of each class; `query`: likewise.
        classes: names of the class folders or labels.
    """

    path: Path
    way: int | None
    shot: int
    query: int
    classes: tuple[str, ...]
    split: str
    seed: int
