"""The simple models beside many tasks: what scikit-learn says, written out where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from metacli.data.multi_task.dataset import MultiTaskData, MultiTaskRows, all_of
from metacli.data.multi_task.splits import divide_rows
from metacli.engine.scoring import simple_models
from metacli.engine.scoring.multi_task_baselines import outside_predictions, suited
from metacli.engine.scoring.simple_models import (
    augmented_ridge,
    boosted,
    boosting,
    linear,
    logistic,
    spread,
    tree_size,
    with_task,
)


def rows(tasks: int = 3, columns: int = 2):
    draw = np.random.default_rng(0)
    x = [draw.normal(size=(18 + 3 * t, columns)) for t in range(tasks)]
    y = [one @ [1.0, -1.0] + t * one[:, 0] + draw.normal(size=len(one)) for t, one in enumerate(x)]
    return x, y


def table(kinds=None, **changes) -> MultiTaskData:
    x, y = rows()
    kinds = kinds or all_of("regression", 3)
    y = [
        (one > 0).astype(float) if k == "classification" else one
        for k, one in zip(kinds, y, strict=True)
    ]
    fields = {"name": "toy", "tasks": ("a", "b", "c"), "metric": "nmse", "contents": "0"}
    fields |= {"x": tuple(x), "y": tuple(y), "kinds": kinds}
    return MultiTaskData(**{**fields, **changes})


def test_columns_are_doubled_for_all_tasks_and_for_the_rows_own():
    x, _ = rows()
    found = with_task(x).toarray()
    assert found.shape == (18 + 21 + 24, 8)
    assert (found[18:39, :2] == x[1]).all()
    assert (found[18:39, 4:6] == x[1]).all()
    assert np.abs(found[18:39, [2, 3, 6, 7]]).sum() == 0


def test_augmented_ridge_is_ridge_regression_of_the_doubled_columns(monkeypatch):
    x, y = rows()
    monkeypatch.setattr(simple_models, "ALPHAS", (3.0,))
    found = augmented_ridge(x, y, x)
    columns = with_task([np.column_stack([one, np.ones(len(one))]) for one in x]).toarray()
    columns = np.delete(columns, 2, 1)  # the common intercept is not penalised
    model = Ridge(alpha=3.0).fit(columns, np.concatenate(y))
    assert np.concatenate(found) == pytest.approx(model.predict(columns), abs=1e-6)


def test_the_penalty_of_augmented_ridge_is_the_best_on_folds(monkeypatch):
    x, y = rows()

    def held_out(alpha: float) -> float:
        monkeypatch.setattr(simple_models, "ALPHAS", (alpha,))
        total = 0.0
        for k in range(3):
            keep = [np.arange(len(b)) % 3 != k for b in y]
            parts = zip(x, y, keep, strict=True)
            fit_x, fit_y = zip(*[(a[m], b[m]) for a, b, m in parts], strict=True)
            asked = [a[~m] for a, m in zip(x, keep, strict=True)]
            said = augmented_ridge(fit_x, fit_y, asked)
            total += sum(((b[~m] - p) ** 2).sum() for b, m, p in zip(y, keep, said, strict=True))
        return total

    alphas = (0.01, 1.0, 1000.0)
    best = min(alphas, key=held_out)
    monkeypatch.setattr(simple_models, "ALPHAS", (best,))
    wanted = augmented_ridge(x, y, x)
    monkeypatch.setattr(simple_models, "ALPHAS", alphas)
    assert augmented_ridge(x, y, x)[0] == pytest.approx(wanted[0])
    assert best == 1.0


def test_logistic_regression_is_that_of_scikit_learn_at_a_strength_of_the_list():
    x, y = rows()
    labels = np.digitize(y[2], [-1.0, 1.0]).astype(float)
    found = logistic(3, x[2], labels, x[2])
    each = [
        LogisticRegression(C=c, max_iter=300).fit(x[2], labels).predict_proba(x[2])
        for c in simple_models.CS
    ]
    assert min(np.abs(found - one).max() for one in each) < 1e-8


def test_labels_that_were_not_seen_have_no_probability():
    found = spread(np.array([[0.3, 0.7]]), np.array([0.0, 2.0]), 4)
    assert found.tolist() == [[0.3, 0.0, 0.7, 0.0]]
    assert linear(1, np.ones((4, 1)), np.ones(4), np.ones((2, 1))).tolist() == [1.0, 1.0]


def noisy(labels: bool):
    """[150, 2] of which one column says something."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(150, 2))
    y = np.abs(x[:, 0]) + draw.normal(size=150)
    return x, np.digitize(y, [0.5, 1.5]).astype(float) if labels else y


@pytest.mark.parametrize("labels", [False, True])
def test_the_size_of_boosted_trees_is_the_best_on_folds(labels, monkeypatch):
    x, y = noisy(labels)
    outputs = 3 if labels else 0
    monkeypatch.setattr(simple_models, "LEAVES", (9, 2))
    monkeypatch.setattr(simple_models, "TREES", (5, 20, 80))
    fold = (StratifiedKFold if labels else KFold)(3, shuffle=True, random_state=0)

    def held_out(size: tuple[int, int]) -> float:
        total = 0.0
        for inner, held in fold.split(x, y):
            model = boosting(outputs, *size).fit(x[inner], y[inner])
            if labels:
                p = model.predict_proba(x[held])
                total -= sum(np.log(row[int(k)]) for row, k in zip(p, y[held], strict=True))
            else:
                total += ((model.predict(x[held]) - y[held]) ** 2).sum()
        return total

    sizes = [(leaves, trees) for leaves in (9, 2) for trees in (5, 20, 80)]
    best = min(sizes, key=held_out)
    assert tree_size(outputs, x, y) == best
    assert best not in (sizes[0], sizes[-1])
    model = boosting(outputs, *best).fit(x, y)
    wanted = model.predict_proba(x) if labels else model.predict(x)
    assert boosted(outputs, x, y, x) == pytest.approx(wanted)


def test_of_few_rows_or_a_rare_class_no_size_is_chosen():
    x, y = noisy(labels=False)
    assert tree_size(0, x[:99], y[:99]) == (31, 150)
    rare = np.zeros(150)
    rare[:2] = 1.0
    assert tree_size(1, x, rare) == (31, 150)
    assert boosted(1, x, np.ones(150), x[:2]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (
            {},
            {
                *("per-task", "pooled", "pooled-task-column", "feature-augmentation"),
                *("random-intercepts", "random-slopes", "trees-task-column"),
            },
        ),
        ({"rows": "shared"}, {"per-task", "trees"}),
        (
            {"kinds": ("regression", "classification", "regression"), "metric": "mean_score"},
            {"per-task", "trees"},
        ),
        ({"shape": (1, 1, 2), "levels": (255.0, -255.0)}, {"per-task"}),
    ],
)
def test_each_kind_of_table_has_its_models(changes, names):
    assert {name for name, _ in suited(table(**changes))} == names


def test_every_model_answers_in_the_unit_of_its_task_without_reading_other_rows():
    made = table(kinds=("regression", "classification", "regression"), metric="mean_score")
    parts = divide_rows(made, 0)
    found = dict(
        outside_predictions(MultiTaskRows(made, parts), ("train",), "val", lambda name: None)
    )
    counts = [len(one) for one in parts["val"]]
    shapes = [(counts[0],), (counts[1], 2), (counts[2],)]
    assert [one.shape for one in found["per-task"]] == shapes
    assert found["trees"][1].sum(1) == pytest.approx(1)
    unread = [~np.isin(np.arange(len(y)), parts["train"][t]) for t, y in enumerate(made.y)]
    hidden = tuple(np.where(out, 0.0, y) for out, y in zip(unread, made.y, strict=True))
    again = MultiTaskRows(replace(made, y=hidden), parts)
    same = dict(outside_predictions(again, ("train",), "val", lambda name: None))
    for name, values in found.items():
        assert np.concatenate(same[name], None) == pytest.approx(np.concatenate(values, None))
