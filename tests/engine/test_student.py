"""Student's t beside SciPy's."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t

from metacli.engine.scoring.student import distribution, quantile


@pytest.mark.parametrize("freedom", [1, 2, 3.5, 4, 9, 30, 599, 100_000, 1e7])
@pytest.mark.parametrize("level", [1e-6, 0.025, 0.2, 0.5, 0.8, 0.95, 0.975, 0.995, 1 - 1e-5])
def test_quantiles_are_those_of_scipy(freedom: float, level: float) -> None:
    wanted = float(t.ppf(level, freedom))
    assert quantile(level, freedom) == pytest.approx(wanted, rel=2e-9, abs=1e-12)


@pytest.mark.parametrize("value", [-40.0, -1.5, 0.0, 1e-8, 0.3, 2.0, 1000.0])
def test_the_distribution_is_that_of_scipy(value: float) -> None:
    for freedom in (1, 2.5, 12, 5000):
        assert distribution(value, freedom) == pytest.approx(t.cdf(value, freedom), rel=1e-8)


@pytest.mark.parametrize("value", [-30.0, -0.4, 1e-8, 2.0])
def test_of_one_and_of_two_degrees_it_is_a_closed_form(value: float) -> None:
    cauchy = 0.5 + math.atan(value) / math.pi
    assert distribution(value, 1) == pytest.approx(cauchy, rel=1e-12)
    two = 0.5 + value / (2 * math.sqrt(2 + value * value))
    assert distribution(value, 2) == pytest.approx(two, rel=1e-12)
