"""What a user would do without multi-task learning: a model for each task, one for all rows, one
for all rows with the task as a column, boosted trees of the same; mixed models; and every column
once for all tasks and once for each (H. Daumé III, "Frustratingly easy domain adaptation", ACL
2007).

Penalties are chosen inside the rows that are given, by leave-one-out or cross-validation. Answers
are values, the probability of class 1, or [M, C] probabilities (`task_scores`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from metacli.data.multi_task.dataset import MultiTaskData, MultiTaskRows, Standard
from metacli.engine.scoring.multi_task_scores import MIXED, Rows
from metacli.engine.scoring.simple_models import (
    TEXT_CS,
    augmented_ridge,
    boosted,
    linear,
    logistic,
    stacked,
    vocabulary,
    with_task,
)
from metacli.nn.solvers.mixed_models import fit_mixed

Predictions = list[np.ndarray]


def outside_predictions(
    rows: MultiTaskRows, train: tuple[str, ...], split: str, tick: Callable[[str], None]
) -> Iterator[tuple[str, Predictions]]:
    """(name, predictions for each task's rows of `split`) of every baseline that suits the data.

    Args:
        train: the splits to learn from.
        tick: called with the name before each is fitted.
    """
    table = rows.table
    if table.texts:
        yield from text_predictions(rows, train, split, tick)
        return
    standard = rows.standard(*train)
    x, y = rows.numbers(*train)
    x = [(one - standard.x_mean) / standard.x_scale for one in x]
    inputs = [(one - standard.x_mean) / standard.x_scale for one in rows.numbers(split)[0]]
    targets = [
        (one - m) / s for one, m, s in zip(y, standard.y_mean, standard.y_scale, strict=True)
    ]
    for name, fit in suited(table):
        tick(name)
        found = fit(table, x, targets, inputs)
        yield name, in_units(found, standard)


def text_predictions(
    rows: MultiTaskRows, train: tuple[str, ...], split: str, tick: Callable[[str], None]
) -> Iterator[tuple[str, Predictions]]:
    """Logistic regression of TF-IDF weights of words and pairs of words, for each task and for all
    rows; the vocabulary is that of all tasks' training rows."""
    learned, asked = rows.words(*train), rows.words(split)
    y = rows.numbers(*train)[1]
    found = vocabulary([text for texts in learned for text in texts])
    x, inputs = ([found.transform(texts) for texts in each] for each in (learned, asked))
    tick("per-task")
    each = enumerate(zip(x, y, inputs, strict=True))
    yield "per-task", [logistic(outputs_of(rows.table, t), *one, TEXT_CS) for t, one in each]
    if len(set(rows.table.labels)) > 1:
        return
    tick("pooled")
    outputs = outputs_of(rows.table, 0)
    made = logistic(outputs, stacked(x), joined(y), stacked(inputs), TEXT_CS)
    yield "pooled", np.split(made, np.cumsum([len(one) for one in asked])[:-1])


def in_units(found: Predictions, standard: Standard) -> Predictions:
    """Values in the targets' unit; probabilities, whose scale is 1, as they are."""
    return [p * s + m for p, m, s in zip(found, standard.y_mean, standard.y_scale, strict=True)]


Fit = Callable[[MultiTaskData, Rows, Rows, Rows], Predictions]
"""(data, inputs and targets to learn from, inputs to answer) -> answers."""


def suited(table: MultiTaskData) -> Iterator[tuple[str, Fit]]:
    """Pooling needs rows of the tasks' own and one kind of target."""
    yield "per-task", per_task
    if table.shape:  # the pixels of an image are no columns for trees or mixed models
        return
    if table.rows == "shared" or len(set(table.labels)) > 1:
        yield "trees", trees
        return
    yield "pooled", pooled
    yield "pooled-task-column", pooled_with_task
    yield "feature-augmentation", augmented
    if table.kinds[0] == "regression":
        yield "random-intercepts", random_intercepts
        yield "random-slopes", random_slopes
    yield "trees-task-column", trees_with_task


def outputs_of(table: MultiTaskData, task: int) -> int:
    """0 of a regression, 1 where the probability of class 1 says all, otherwise its classes."""
    classes = len(table.labels[task])
    return 1 if classes == 2 and table.metric != MIXED else classes


def per_task(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """Ridge or logistic regression for each task by itself."""
    each = enumerate(zip(x, y, inputs, strict=True))
    return [linear(outputs_of(table, task), *rows) for task, rows in each]


def trees(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """Gradient-boosted trees for each task by itself."""
    each = enumerate(zip(x, y, inputs, strict=True))
    return [boosted(outputs_of(table, task), *rows) for task, rows in each]


def pooled(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """One linear model of all rows."""
    return divided(linear(outputs_of(table, 0), *map(joined, (x, y, inputs))), inputs)


def pooled_with_task(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """One linear model with an indicator column for each task."""
    return pooled(table, with_indicators(x), y, with_indicators(inputs))


def trees_with_task(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """Gradient-boosted trees of all rows with the task's number as a column."""
    made = boosted(outputs_of(table, 0), joined(numbered(x)), joined(y), joined(numbered(inputs)))
    return divided(made, inputs)


def numbered(rows: Rows) -> list[np.ndarray]:
    """Rows with the number of their task as a last column."""
    return [np.column_stack([one, np.full(len(one), float(t))]) for t, one in enumerate(rows)]


def augmented(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """One linear model of every column twice: for all tasks, and for the row's own."""
    if table.kinds[0] == "regression":
        return augmented_ridge(x, y, inputs)
    outputs = outputs_of(table, 0)
    return divided(logistic(outputs, with_task(x), joined(y), with_task(inputs)), inputs)


def random_intercepts(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """A mixed model with common slopes and an intercept of each task's own."""
    return fit_mixed(x, y, slopes=False).predict(inputs)


def random_slopes(table: MultiTaskData, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """A mixed model with an intercept and slopes of each task's own."""
    return fit_mixed(x, y, slopes=True).predict(inputs)


def with_indicators(rows: Rows) -> Predictions:
    found = []
    for task, one in enumerate(rows):
        columns = np.zeros((len(one), len(rows)))
        columns[:, task] = 1.0
        found.append(np.column_stack([one, columns]))
    return found


def joined(rows: Rows) -> np.ndarray:
    return np.concatenate(list(rows))


def divided(values: np.ndarray, like: Rows) -> Predictions:
    return np.split(values, np.cumsum([len(one) for one in like])[:-1])
