"""`predict` of a model adapted to a set whose tasks may be classifications: tables, and folders of
tables or images, for the task that a column, a file or a folder names, or for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.data.sets.own_one import ToPredict, rows_to_predict
from metacli.engine.events import Reporter, ignore
from metacli.engine.predicting.inputs import Held, Item
from metacli.engine.results.predict import TaskPrediction, TaskPredictions
from metacli.engine.sets.class_adapted import AdaptedClassSet, AdaptedTask, Answer, classes_of
from metacli.engine.sets.class_verbs import reads_of
from metacli.engine.sets.scoring import Z90
from metacli.errors import UsageProblem


@dataclass(frozen=True)
class ClassSetPredictor:
    """An adapted set, to predict as often as wanted."""

    model: AdaptedClassSet

    def predict(
        self,
        items: Sequence[Item],
        reject: str | float | None = None,
        stdin: bytes | None = None,
        report: Reporter = ignore,
    ) -> TaskPredictions:
        """Every row answered for its task, or for each task where no column or folder names it; of
        a regression `low` to `high` is the central 90 % interval.

        Raises:
            DataError: inputs that cannot be read, or of another task.
            UsageProblem: an array or image in memory, or `reject`.
        """
        if reject is not None:
            raise UsageProblem("--reject is for one adapted model, not for the tasks of a set")
        rows: list[TaskPrediction] = []
        for item in items:
            if isinstance(item, Held):
                raise UsageProblem(
                    "a model of sets of classifications predicts files", hint="give a path"
                )
            rows += self.of_file(item)
        return TaskPredictions(rows=tuple(rows), tasks=self.model.names)

    def of_file(self, path: Path) -> list[TaskPrediction]:
        """The rows of one input. Raises DataError."""
        model = self.model
        asked = rows_to_predict(path, model.as_read(), reads_of(model.source))
        answers = model.predict({one.task: one.x for one in asked})
        return in_order(asked, {one.name: one for one in model.tasks}, answers)


def in_order(
    asked: Sequence[ToPredict], tasks: Mapping[str, AdaptedTask], answers: Mapping[str, Answer]
) -> list[TaskPrediction]:
    """The predictions of one input, row by row where tasks share their rows."""
    found = {one.task: rows_of(one, tasks[one.task], answers[one.task]) for one in asked}
    if len(asked) > 1 and all(one.names == asked[0].names for one in asked):
        return [row for rows in zip(*found.values(), strict=True) for row in rows]
    return [row for rows in found.values() for row in rows]


def rows_of(asked: ToPredict, task: AdaptedTask, answer: Answer) -> list[TaskPrediction]:
    if answer.probabilities is None:
        ends = zip(asked.names, answer.mean, Z90 * answer.deviation, strict=True)
        return [
            TaskPrediction(
                name, float(mean), None, float(mean - off), float(mean + off), task=task.name
            )
            for name, mean, off in ends
        ]
    labels = classes_of(task.labels, answer.probabilities)
    return [
        TaskPrediction(
            name, label, dict(zip(task.labels, map(float, shares), strict=True)), task=task.name
        )
        for name, label, shares in zip(asked.names, labels, answer.probabilities, strict=True)
    ]
