"""Mixed models against closed forms and against the restricted likelihood written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from metacli.nn.solvers.mixed_models import FLAT, fit_mixed, precisions, with_ones


def schools(tasks: int = 12, columns: int = 2, seed: int = 0):
    draw = np.random.default_rng(seed)
    x, y = [], []
    for _ in range(tasks):
        rows = draw.normal(size=(int(draw.integers(5, 12)), columns))
        w = np.array([1.0, -2.0, 0.5])[: columns + 1] + draw.normal(size=columns + 1) * 0.8
        x.append(rows)
        y.append(with_ones(rows) @ w + 0.7 * draw.normal(size=len(rows)))
    return x, y


def minus_reml(variances, noise, x, y, size):
    """-2 log restricted likelihood (D. Harville, 1977), with every matrix written out."""
    parts, value = [], 0.0
    for one, b in zip(x, y, strict=True):
        a = with_ones(one)
        v = a[:, :size] @ np.diag(variances) @ a[:, :size].T + noise * np.eye(len(b))
        parts.append((a, np.linalg.inv(v), b))
        value += np.linalg.slogdet(v)[1]
    s = sum(a.T @ v @ a for a, v, _ in parts)
    beta = np.linalg.solve(s, sum(a.T @ v @ b for a, v, b in parts))
    value += np.linalg.slogdet(s)[1]
    return value + sum((b - a @ beta) @ v @ (b - a @ beta) for a, v, b in parts), beta


@pytest.mark.parametrize("slopes", [False, True])
def test_variances_are_those_of_the_largest_restricted_likelihood(slopes):
    x, y = schools()
    size = 3 if slopes else 1
    found = fit_mixed(x, y, slopes=slopes, steps=5000)
    best = minimize(
        lambda log: minus_reml(np.exp(log[:-1]), np.exp(log[-1]), x, y, size)[0],
        np.zeros(size + 1),
        method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-8},
    )
    wanted = np.exp(best.x)
    assert found.variances == pytest.approx(wanted[:-1], rel=2e-3)
    assert found.noise == pytest.approx(wanted[-1], rel=2e-3)
    value, beta = minus_reml(found.variances, found.noise, x, y, size)
    assert value == pytest.approx(best.fun, abs=1e-5)
    assert found.fixed == pytest.approx(beta, abs=1e-6)


def test_balanced_random_intercepts_have_the_variances_of_the_analysis_of_variance():
    draw = np.random.default_rng(1)
    groups, size = 30, 8
    y = draw.normal(size=(groups, 1)) * 2 + draw.normal(size=(groups, size))
    found = fit_mixed([np.zeros((size, 0))] * groups, list(y), slopes=False, steps=5000)
    inside = y.var(1, ddof=1).mean()
    between = y.mean(1).var(ddof=1) - inside / size
    assert found.noise == pytest.approx(inside, rel=1e-4)
    assert found.variances[0] == pytest.approx(between, rel=1e-4)
    shrunk = between / (between + inside / size) * (y.mean(1) - y.mean())
    assert found.random[:, 0] == pytest.approx(shrunk, rel=1e-3)


@pytest.mark.parametrize("slopes", [False, True])
def test_targets_in_another_unit_are_fitted_by_the_same_steps(slopes):
    x, y = schools()
    plain = fit_mixed(x, y, slopes=slopes, steps=3)  # far from done: where it began still shows
    found = fit_mixed(x, [16 * one for one in y], slopes=slopes, steps=3)
    assert found.fixed == pytest.approx(16 * plain.fixed, rel=1e-9)
    assert found.random == pytest.approx(16 * plain.random, rel=1e-9)
    assert found.variances == pytest.approx(256 * plain.variances, rel=1e-9)
    assert found.noise == pytest.approx(256 * plain.noise, rel=1e-9)


def test_predictions_add_the_fixed_and_the_random_part():
    x, y = schools()
    found = fit_mixed(x, y, slopes=True)
    wanted = with_ones(x[3]) @ (found.fixed + found.random[3])
    assert found.predict(x)[3] == pytest.approx(wanted)


def test_columns_that_say_the_same_and_tasks_that_do_not_differ_are_no_trouble():
    x, y = schools()
    doubled = [np.column_stack([one, one[:, 0], np.ones(len(one))]) for one in x]
    plain, found = fit_mixed(x, y, slopes=False), fit_mixed(doubled, y, slopes=False)
    assert found.noise == pytest.approx(plain.noise, rel=1e-4)
    for a, b in zip(plain.predict(x), found.predict(doubled), strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    alike = [one @ np.array([1.0, 2.0]) for one in x]
    assert fit_mixed(x, alike, slopes=True).random == pytest.approx(0, abs=1e-3)


def test_a_column_of_the_first_group_has_that_groups_prior_and_one_of_none_has_a_flat_one():
    found = precisions(np.array([-1, 0, 1, 0]), np.array([4.0, 0.5]), 2.0)
    assert found.tolist() == [FLAT / 2.0, 0.25, 2.0, 0.25]


def test_it_does_not_stop_while_the_differences_between_groups_still_shrink() -> None:
    draw = np.random.default_rng(4)
    x, y = [np.zeros((30, 0))] * 40, [draw.normal(size=30) for _ in range(40)]
    y = [one - one.mean() + 0.02 * draw.normal() for one in y]  # far less than the noise explains
    found = fit_mixed(x, y, slopes=False, steps=2_000)
    longer = fit_mixed(x, y, slopes=False, steps=8_000)
    assert found.variances[0] > 1.5 * longer.variances[0]  # all of its steps were taken


def test_targets_that_are_all_the_same_are_answered_with_it() -> None:
    draw = np.random.default_rng(0)
    x = [draw.normal(size=(6, 2)) for _ in range(4)]
    found = fit_mixed(x, [np.full(6, 7.0)] * 4, slopes=True)
    for one in found.predict(x):
        np.testing.assert_allclose(one, 7.0, atol=1e-3)
