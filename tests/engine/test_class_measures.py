"""Measures of a classification task, against scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from metacli.engine.scoring.class_measures import class_measures, roc_auc


def test_measures_of_two_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y = (rng.uniform(size=200) < 0.15).astype(int)
    scores = np.round(rng.normal(size=(200, 2)) + y[:, None] * [0, 1], 1)  # with ties
    found = class_measures(scores, y, positive=True)
    margin = scores[:, 1] - scores[:, 0]
    assert found["auc"] == pytest.approx(roc_auc_score(y, margin))
    wanted = average_precision_score(y, margin) - y.mean()
    assert found["delta_auprc"] == pytest.approx(wanted)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, scores.argmax(1)))
    assert found["accuracy"] == pytest.approx((scores.argmax(1) == y).mean())


def test_the_auc_of_three_classes_is_the_mean_of_each_against_the_others():
    rng = np.random.default_rng(1)
    y, scores = rng.integers(0, 3, 90), rng.normal(size=(90, 3))
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = class_measures(scores, y, positive=False)
    assert found["auc"] == pytest.approx(roc_auc_score(y, chances, multi_class="ovr"))
    assert "delta_auprc" not in found


def test_an_auc_needs_both_classes_and_counts_ties_half():
    assert math.isnan(roc_auc(np.array([1.0, 2.0]), np.array([True, True])))
    assert roc_auc(np.zeros(4), np.array([True, False, True, False])) == 0.5
    assert roc_auc(np.array([3.0, 1.0, 2.0]), np.array([True, False, False])) == 1.0
