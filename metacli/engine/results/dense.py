"""What `evaluate` returns of a model of dense tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metacli.engine.results.evaluate import Evaluation, TaskScore

Measures = Mapping[str, Mapping[str, float]]
"""task -> measure -> value."""


@dataclass(frozen=True, eq=False)
class DenseEvaluation(Evaluation):
    """Dense tasks on images of their own. `mean` is the loss, over tasks and images.

    Args:
        images: that the score is over.
        tasks: the loss of each task, compared with the networks apart on the same images.
        measures: in the units of the field. single_task: the same of the networks apart.
        delta_p: the mean relative change of all measures against those (above 0: better together).
    """

    images: int = 0
    num_tasks: int = 0
    tasks: tuple[TaskScore, ...] = ()
    measures: Measures = field(default_factory=dict)
    single_task: Measures = field(default_factory=dict)
    delta_p: float | None = None
    episodes: None = None
    way: None = None
    shot: None = None
