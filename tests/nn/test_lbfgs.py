"""L-BFGS beside closed forms and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from metacli.nn.solvers.lbfgs import CURVATURE, DECREASE, minimised, searched


def test_a_quadratic_of_any_condition_is_solved() -> None:
    draw = np.random.default_rng(0)
    turn = np.linalg.qr(draw.normal(size=(40, 40)))[0]
    matrix = turn @ np.diag(np.logspace(-2, 3, 40)) @ turn.T
    wanted = draw.normal(size=40)

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        away = x - wanted
        return float(0.5 * away @ matrix @ away), matrix @ away

    found = minimised(function, np.zeros(40), 1e-9, 10_000)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_curved_valley_is_followed_as_scipy_follows_it() -> None:
    begin = np.array([-1.2, 1.0, -0.5, 2.0])
    found = minimised(lambda x: (float(rosen(x)), rosen_der(x)), begin, 1e-8, 1000)
    other = minimize(rosen, begin, jac=rosen_der, method="L-BFGS-B", options={"gtol": 1e-8})
    np.testing.assert_allclose(found, other.x, atol=1e-5)


def test_it_stops_where_rounding_hides_what_is_left() -> None:
    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(1e6 + np.cosh(x - 1).sum()), np.sinh(x - 1)

    calls = 0

    def counted(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        return function(x)

    found = minimised(counted, np.array([3.0, -2.0]), 0.0, 10_000)
    np.testing.assert_allclose(found, 1.0, atol=1e-4)
    assert calls < 5000


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1000.0])
def test_a_step_meets_the_weak_wolfe_conditions_wherever_it_begins(first: float) -> None:
    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float((np.logaddexp(x, -x) - np.log(2)).sum()), np.tanh(x)

    x = np.array([3.0, -0.5])
    value, slope = function(x)
    way = -slope
    found = searched(function, (x, value, slope), way, first)
    assert found is not None
    at, there, slope_there = found
    size, steep = (at - x)[0] / way[0], float(way @ slope)
    np.testing.assert_allclose(at, x + size * way)
    assert there <= value + DECREASE * size * steep + 1e-14
    assert float(slope_there @ way) >= CURVATURE * steep
    assert (there, slope_there.tolist()) == (function(at)[0], function(at)[1].tolist())


def test_a_point_that_is_larger_by_rounding_alone_is_taken() -> None:
    begin, way = np.zeros(1), np.array([-1e-7])
    point = (begin, 0.0, np.array([1e-7]))
    found = searched(lambda x: (1e-16, np.zeros(1)), point, way, 1.0)
    assert found is not None
    np.testing.assert_array_equal(found[0], way)
    assert searched(lambda x: (1e-15, np.zeros(1)), point, way, 1.0) is None


@pytest.mark.parametrize("value", [1e6, -1e6])
def test_rounding_is_as_large_as_the_value_whatever_its_sign(value: float) -> None:
    way, spacing = np.array([-1e-7]), float(np.spacing(1e6))
    point = (np.zeros(1), value, np.array([1e-7]))
    found = searched(lambda x: (value + 2 * spacing, np.zeros(1)), point, way, 1.0)
    assert found is not None
    np.testing.assert_array_equal(found[0], way)
    assert searched(lambda x: (value + 8 * spacing, np.zeros(1)), point, way, 1.0) is None
