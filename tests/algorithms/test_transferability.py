"""LogME against the evidence maximised by a general optimiser, LEEP and NCE against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import toys
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from metacli.algorithms.transfer.leep import leep, nce
from metacli.algorithms.transfer.logme import logme


def slow_logme(features: np.ndarray, columns: np.ndarray) -> float:
    """Each column's log density under y ~ N(0, I/β + FFᵀ/α), at the best α and β."""
    n = len(features)
    gram, eye = features @ features.T, np.eye(n)
    total = 0.0
    for y in columns.T:

        def loss(logs: np.ndarray, y: np.ndarray = y) -> float:
            alpha, beta = np.exp(logs)
            return -multivariate_normal.logpdf(y, cov=eye / beta + gram / alpha)

        starts = [(0.0, 0.0), (3.0, 1.0), (-2.0, 2.0)]
        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
        total += max(-minimize(loss, s, method="Nelder-Mead", options=options).fun for s in starts)
    return total / columns.shape[1] / n


@pytest.mark.parametrize(("n", "d"), [(30, 4), (12, 20)])
def test_logme_is_the_largest_evidence(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    features = rng.normal(size=(n, d))
    labels = (features[:, 0] + 0.7 * rng.normal(size=n) > 0).astype(int)
    wanted = slow_logme(features, np.eye(2)[labels])
    found = logme(torch.from_numpy(features), torch.from_numpy(labels))
    assert found == pytest.approx(wanted, abs=1e-6)
    values = features[:, :1] * 3 + rng.normal(size=(n, 1))
    found = logme(torch.from_numpy(features), torch.from_numpy(values))
    assert found == pytest.approx(slow_logme(features, values), abs=1e-6)


def test_logme_prefers_features_that_tell_the_labels_apart() -> None:
    rng = toys.rng()
    y = torch.arange(40) % 4
    noise = torch.randn(40, 8, generator=rng)
    good = noise.clone()
    good[:, :4] += 3 * torch.eye(4)[y]
    assert logme(good, y) > logme(noise, y) + 0.1


def test_logme_is_finite_where_the_features_fit_exactly_and_where_they_are_all_the_same() -> None:
    y = torch.arange(6) % 2
    assert math.isfinite(logme(torch.eye(6), y))
    assert math.isfinite(logme(torch.ones(6, 3), y))
    assert math.isfinite(logme(torch.zeros(6, 3), y))
    exact = torch.eye(2)[y]
    assert logme(exact, y) > logme(torch.ones(6, 2), y)


def softmax(rows: int, classes: int, seed: int = 0) -> torch.Tensor:
    values = torch.randn(rows, classes, generator=toys.rng(seed), dtype=torch.float64)
    return torch.softmax(2 * values, 1)


def test_leep_and_nce_are_the_sums_of_their_papers() -> None:
    theta, y = softmax(20, 5), torch.arange(20) % 3
    joint = np.zeros((3, 5))
    counts = np.zeros((3, 5))
    for i in range(20):
        joint[int(y[i])] += theta[i].numpy() / 20
        counts[int(y[i]), int(theta[i].argmax())] += 1
    total = entropy = 0.0
    for i in range(20):
        chance = sum(float(theta[i, z]) * joint[int(y[i]), z] / joint[:, z].sum() for z in range(5))
        total += math.log(chance) / 20
    for z in range(5):
        for n in range(3):
            if counts[n, z]:
                entropy += counts[n, z] / 20 * math.log(counts[n, z] / counts[:, z].sum())
    assert leep(theta, y) == pytest.approx(total)
    assert nce(theta, y) == pytest.approx(entropy)


def test_a_source_whose_classes_are_the_targets_is_best_and_one_that_knows_nothing_is_chance() -> (
    None
):
    y = torch.arange(30) % 3
    exact = torch.eye(4, dtype=torch.float64)[y + 1]
    assert leep(exact, y) == pytest.approx(0.0)
    assert nce(exact, y) == pytest.approx(0.0)
    flat = torch.full((30, 4), 0.25, dtype=torch.float64)
    assert leep(flat, y) == pytest.approx(-math.log(3))
    assert -math.log(3) <= leep(softmax(30, 4), y) <= 0
