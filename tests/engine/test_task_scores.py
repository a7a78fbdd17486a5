"""Scores of many tasks against hand-computed values, scikit-learn and the spread of resamples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metacli.engine.scoring import multi_task_scores as task_scores
from metacli.engine.scoring.multi_task_evaluate import judged
from metacli.engine.scoring.multi_task_scores import area, compare, score, task_score

Y = [np.array([1.0, 3.0]), np.array([5.0, 7.0, 9.0])]
P = [np.array([1.0, 2.0]), np.array([5.0, 8.0, 9.0])]


def test_explained_variance_is_about_the_mean_of_all_rows():
    # SSE 2; the mean of all is 5: squares 16, 4, 0, 4, 16.
    assert score("explained_variance", Y, P).value == pytest.approx(1 - 2 / 40)


def test_within_and_mean_r2_are_about_each_task():
    assert task_scores.within(Y, P) == pytest.approx(1 - 2 / (2 + 8))
    assert task_scores.mean_r2(Y, P) == pytest.approx((0.5 + 1 - 1 / 8) / 2)


def test_normalised_errors_are_averaged_over_tasks_and_root_errors_over_rows():
    assert score("nmse", Y, P).value == pytest.approx((0.5 + 1 / 8) / 2)
    assert score("rmse", Y, P).value == pytest.approx(math.sqrt(2 / 5))


def test_the_area_is_that_of_scikit_learn_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(0)
    y = (draw.random(60) < 0.3).astype(float)
    p = np.round(y + draw.normal(0, 1, 60), 1)
    assert area(y, p).value == pytest.approx(metrics.roc_auc_score(y, p))


def test_a_task_of_one_class_has_no_area_and_is_left_out_of_the_mean():
    one, two = np.zeros(4), np.array([0.0, 1.0, 0.0, 1.0])
    assert math.isnan(area(one, one).value)
    assert score("auc", [one, two], [one, two]).value == 1.0


@pytest.mark.parametrize("metric", ["explained_variance", "rmse", "nmse", "auc"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(metric):
    """The difference of two models on fresh rows, 300 times, against its value on many rows."""
    draw = np.random.default_rng(1)

    def difference(rows: int):
        y = [draw.normal(task, 1, rows) for task in range(3)]
        if metric == "auc":
            y = [(one > task).astype(float) for task, one in enumerate(y)]
        a = [one + draw.normal(0, 1.0, rows) for one in y]
        b = [one + draw.normal(0, 1.3, rows) for one in y]
        return compare(score(metric, y, a), score(metric, y, b))

    truth = difference(2000 if metric == "auc" else 100_000).delta
    found = [difference(40) for _ in range(300)]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.9 <= covered <= 0.99


def test_equal_predictions_differ_by_nothing():
    found = compare(score("nmse", Y, P), score("nmse", Y, P))
    assert (found.delta, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_task_score_is_the_mean_of_its_parts():
    made = task_score("rmse", *(np.array(one) for one in ([1.0, 2.0, 4.0], [1.0, 3.0, 2.0])))
    assert made.value == pytest.approx(5 / 3)
    assert made.parts[0].mean() == made.value


def test_many_null_tasks_are_not_called_helped_and_one_real_one_is():
    draw = np.random.default_rng(2)
    y = [draw.normal(0, 1, 40) for _ in range(50)]
    noise = lambda: [one + draw.normal(0, 1, 40) for one in y]  # noqa: E731
    mine, single = noise(), noise()
    names = tuple(map(str, range(50)))
    raw = judged("nmse", names, y, mine, single)
    assert sum(task.verdict != "no_difference" for task in raw) <= 1
    mine[7] = y[7] + 0.01
    helped = judged("nmse", names, y, mine, single)[7]
    assert helped.verdict == "helped"
    assert helped.delta < 0 < -helped.delta_ci95[1]


def test_a_task_of_few_rows_gets_no_verdict():
    y, mine, single = [np.arange(5.0)], [np.arange(5.0)], [np.zeros(5)]
    assert judged("nmse", ("a",), y, mine, single)[0].verdict == "too_few_to_say"


def test_accuracy_is_the_mean_over_tasks_of_right_answers():
    y = [np.array([0.0, 1.0, 1.0, 0.0]), np.array([2.0, 0.0])]
    p = [np.array([0.2, 0.7, 0.4, 0.5]), np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 0.1]])]
    made = score("accuracy", y, p)
    assert made.value == (2 / 4 + 1 / 2) / 2
    assert task_score("accuracy", y[0], p[0]).parts[0].tolist() == [1, 1, 0, 0]


def test_mixed_tasks_are_judged_by_accuracy_and_r2():
    y = [np.array([0.0, 1.0]), np.array([1.0, 3.0, 5.0])]
    p = [np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([1.0, 3.0, 3.0])]
    assert [task_scores.own_metric("mean_score", one) for one in p] == ["accuracy", "r2"]
    assert score("mean_score", y, p).value == pytest.approx((1 / 2 + (1 - 4 / 8)) / 2)


def test_a_task_whose_targets_are_all_missing_has_no_score_and_does_not_count():
    y, p = [np.array([0.0, 1.0]), np.zeros(0)], [np.array([0.2, 0.1]), np.zeros(0)]
    assert np.isnan(task_score("accuracy", y[1], p[1]).value)
    assert score("accuracy", y, p).value == 0.5
