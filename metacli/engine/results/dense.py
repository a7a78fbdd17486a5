"""What `evaluate` and `predict` return of a model of dense tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metacli.engine.results.base import Part
from metacli.engine.results.evaluate import Evaluation, TaskScore
from metacli.engine.results.predict import RowError, Rows

Measures = Mapping[str, Mapping[str, float]]
"""task -> measure -> value."""


@dataclass(frozen=True)
class Change(Part):
    """A relative change against the networks apart, above 0 where it is better, and its 95 %
    interval over images; None where a measure of the networks apart may be 0."""

    delta: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class DenseEvaluation(Evaluation):
    """Dense tasks on images of their own. `mean` is the loss, over tasks and images.

    Args:
        images: that the score is over.
        tasks: the loss of each task, compared with the networks apart on the same images.
        measures: in the units of the field. single_task: the same of the networks apart.
        delta_p: the mean relative change of all measures against those (above 0: better together),
            and its interval over images. task_delta_p: that of each task.
    """

    images: int = 0
    num_tasks: int = 0
    tasks: tuple[TaskScore, ...] = ()
    measures: Measures = field(default_factory=dict)
    single_task: Measures = field(default_factory=dict)
    delta_p: float | None = None
    delta_p_ci95: tuple[float, float] | None = None
    task_delta_p: Mapping[str, Change] = field(default_factory=dict)
    episodes: None = None
    way: None = None
    shot: None = None


@dataclass(frozen=True)
class DensePrediction(Part):
    """One image.

    Args:
        files: what was written for it in the folder: `segmentation`, `depth` and `normals` as PNG,
            `arrays` as .npz; none beside an `error`.
        shares: of the pixels, by class. nearest, farthest: of the depth, in the unit of training.
    """

    input: str
    files: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    nearest: float | None = None
    farthest: float | None = None
    error: RowError | None = None


@dataclass(frozen=True, eq=False)
class DensePredictions(Rows[DensePrediction]):
    """Of a model of dense tasks.

    Args:
        folder: that the maps were written into. size: height and width of a map, in pixels.
    """

    folder: Path | None = None
    labels: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
