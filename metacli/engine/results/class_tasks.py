"""What `evaluate` returns of a few-shot model on classification tasks that are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metacli.engine.results.base import Part
from metacli.engine.results.evaluate import Evaluation, Span
from metacli.engine.scoring.intervals import Estimate


@dataclass(frozen=True)
class ClassTaskScore(Part):
    """One task that is new: means over the draws of its support.

    Args:
        value: of `metric`. ci95: of its mean over the draws, None of one draw.
        rows: of the task. rates: the share of each class among them.
        measures: every measure by name.
    """

    name: str
    metric: str
    value: float
    ci95: float | None
    rows: int
    rates: Mapping[str, float]
    measures: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class ClassTaskEvaluation(Evaluation):
    """A few-shot model on classification tasks. `mean` is over the tasks, and `ci95` Student's t
    over them; None of a single task.

    Args:
        measures: accuracy, balanced accuracy, AUC and the area under the precision-recall curve
            minus the positive rate, over the tasks.
        draws: of a support, of each task. episodes: tasks times draws.
        per: whether `shot` counts the rows of each class or of the task.
        left_out: tasks that are too small.
        bad: what is wrong with the score, in words; () where nothing is.
    """

    num_tasks: int = 0
    draws: int = 1
    episodes: int = 0
    episodes_seed: int = 0
    way: int | None = None
    shot: Span | None = None
    per: str = "class"
    scheme: None = None
    train_seed: int | None = None
    adaptation_steps: int | None = None
    labels: tuple[str, ...] = ()
    measures: Mapping[str, Estimate] = field(default_factory=dict)
    tasks: tuple[ClassTaskScore, ...] = ()
    left_out: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()

    def checked(self) -> dict[str, float | None]:
        """What `--fail-under` looks at: the mean, the lower end of its interval, and the worst
        task, by measure."""
        found: dict[str, float | None] = {}
        for name, one in self.measures.items():
            found[name] = one.mean
            found[f"{name}_low"] = one.mean - one.ci95
            found[f"{name}_worst"] = min(task.measures[name] for task in self.tasks)
        return found
