"""What a user would do without multi-task learning, with scikit-learn: a model for each task, one
for all rows, one for all rows with the task as a column, and boosted trees of the same.

Penalties are chosen inside the rows that are given, by leave-one-out or cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from metacli.data.tasks import Standard, TaskRows, TaskTable
from metacli.engine.task_scores import Rows
from metacli.nn.sharing.mean_ridge import MeanRidge
from metacli.types import Batch

Predictions = list[np.ndarray]
ALPHAS = tuple(float(value) for value in np.logspace(-1, 4, 16))
CS = tuple(float(value) for value in np.logspace(-3, 2, 6))


def outside_predictions(
    rows: TaskRows, train: tuple[str, ...], split: str, tick: Callable[[str], None]
) -> Iterator[tuple[str, Predictions]]:
    """(name, predictions for each task's rows of `split`) of every baseline that suits the data.

    Args:
        train: the splits to learn from.
        tick: told the name before each is fitted.
    """
    table, standard = rows.table, rows.standard(*train)
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


def in_units(found: Predictions, standard: Standard) -> Predictions:
    return [p * s + m for p, m, s in zip(found, standard.y_mean, standard.y_scale, strict=True)]


def suited(table: TaskTable) -> Iterator[tuple[str, Any]]:
    """Pooling needs rows of the tasks' own and one kind of target."""
    yield "per-task", per_task
    if table.rows == "shared" or len(set(table.kinds)) > 1:
        return
    yield "pooled", pooled
    yield "pooled-task-column", pooled_with_task
    if table.kinds[0] == "regression":
        yield "random-intercepts", random_intercepts
    yield "trees-task-column", trees


def per_task(table: TaskTable, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """Ridge or logistic regression for each task by itself."""
    return [linear(kind, a, b, c) for kind, a, b, c in zip(table.kinds, x, y, inputs, strict=True)]


def pooled(table: TaskTable, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """One linear model of all rows."""
    every = linear(
        table.kinds[0],
        np.concatenate(list(x)),
        np.concatenate(list(y)),
        np.concatenate(list(inputs)),
    )
    return divided(every, inputs)


def pooled_with_task(table: TaskTable, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """One linear model with an indicator column for each task."""
    return pooled(table, with_indicators(x), y, with_indicators(inputs))


def random_intercepts(table: TaskTable, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """A mixed model with common slopes and an intercept for each task, shrunk to their mean."""
    scheme = MeanRidge(slope=(1e9,))
    most = max(map(len, y))
    padded_x, padded_y = np.zeros((len(y), most, x[0].shape[1])), np.zeros((len(y), most))
    mask = np.zeros((len(y), most), bool)
    for task, (a, b) in enumerate(zip(x, y, strict=True)):
        padded_x[task, : len(b)], padded_y[task, : len(b)], mask[task, : len(b)] = a, b, True
    batch = Batch(torch.from_numpy(padded_x), torch.from_numpy(padded_y), torch.from_numpy(mask))
    params, _ = scheme.solve(batch, torch.Generator().manual_seed(0))
    w, b = params["heads.weight"].numpy(), params["heads.bias"].numpy()
    return [one @ w[task] + b[task] for task, one in enumerate(inputs)]


def trees(table: TaskTable, x: Rows, y: Rows, inputs: Rows) -> Predictions:
    """Gradient-boosted trees of all rows with the task's number as a column."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    numbered = lambda rows: np.concatenate(  # noqa: E731
        [np.column_stack([one, np.full(len(one), float(t))]) for t, one in enumerate(rows)]
    )
    settings: dict[str, Any] = {"learning_rate": 0.05, "max_iter": 150, "random_state": 0}
    targets, asked = np.concatenate(list(y)), numbered(inputs)
    if table.kinds[0] == "regression":
        model = HistGradientBoostingRegressor(**settings).fit(numbered(x), targets)
        return divided(model.predict(asked), inputs)
    model = HistGradientBoostingClassifier(**settings).fit(numbered(x), targets)
    return divided(model.predict_proba(asked)[:, 1], inputs)


def linear(kind: str, x: np.ndarray, y: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Ridge regression by leave-one-out, or logistic regression by 3 stratified folds."""
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if kind == "regression":
        return RidgeCV(alphas=ALPHAS).fit(x, y).predict(inputs)
    if len(np.unique(y)) < 2:
        return np.full(len(inputs), float(y[0]))
    few = int(min(y.sum(), (1 - y).sum()))
    best = 1.0
    if few >= 3:
        folds = StratifiedKFold(3, shuffle=True, random_state=0)

        def held_out(c: float) -> float:
            model = LogisticRegression(C=c)
            p = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
            right = np.where(y == 1, p, 1 - p)
            return float(np.log(right.clip(1e-12)).mean())  # a probability may round to 0

        best = max(CS, key=held_out)
    return LogisticRegression(C=best).fit(x, y).predict_proba(inputs)[:, 1]


def with_indicators(rows: Rows) -> Predictions:
    found = []
    for task, one in enumerate(rows):
        columns = np.zeros((len(one), len(rows)))
        columns[:, task] = 1.0
        found.append(np.column_stack([one, columns]))
    return found


def divided(values: np.ndarray, like: Rows) -> Predictions:
    return np.split(values, np.cumsum([len(one) for one in like])[:-1])
