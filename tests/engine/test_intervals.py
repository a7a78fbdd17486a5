"""Every interval against scipy, a table, or a simulation whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from metacli.engine.scoring import intervals


def test_over_episodes_of_four_numbers() -> None:
    found = intervals.over_episodes(np.array([1.0, 2.0, 3.0, 6.0]))
    # The mean is 3, the variance (4 + 1 + 0 + 9) / 3.
    assert (found.mean, found.n, found.dropped) == (3.0, 4, 0)
    assert found.ci95 == pytest.approx(
        3.182446305284263 * math.sqrt(14 / 3) / 2, rel=1e-9
    )  # t of 3
    assert found.as_dict() == {"mean": 3.0, "ci95": found.ci95, "n": 4}


def test_over_episodes_counts_apart_what_is_not_finite() -> None:
    values = np.array([1.0, math.nan, 3.0, math.inf, -math.inf])
    found = intervals.over_episodes(values)
    assert (found.mean, found.n, found.dropped) == (2.0, 2, 3)
    assert found.as_dict()["not_finite"] == 3
    none = intervals.over_episodes(np.array([math.nan]))
    assert math.isnan(none.mean)
    assert (none.n, none.dropped) == (0, 1)
    one = intervals.over_episodes(np.array([5.0]))
    assert (one.mean, one.n) == (5.0, 1)
    assert math.isnan(one.ci95)


def test_over_seeds_is_the_t_interval_of_scipy_and_drops_none() -> None:
    values = np.array([0.5, 0.75, 1.0])
    found = intervals.over_seeds(values)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.ci95 == pytest.approx((wanted.high - wanted.low) / 2, rel=1e-12)
    assert found.as_dict() == {"mean": 0.75, "ci95": found.ci95, "n": 3}


def test_over_episodes_of_float32_is_summed_in_float64() -> None:
    values = np.full(10_001, 0.1, np.float32)
    assert intervals.over_episodes(values).mean == pytest.approx(float(np.float32(0.1)), rel=1e-14)


@pytest.mark.parametrize(
    ("hits", "n"), [(0, 1), (1, 1), (0, 7), (3, 10), (10, 10), (57, 64), (600, 1000)]
)
def test_wilson_equals_scipy(hits: int, n: int) -> None:
    wanted = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert intervals.wilson(hits, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_wilson_of_nothing_says_nothing() -> None:
    assert intervals.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706205), (4, 2.776445), (9, 2.262157), (30, 2.042272)]
)
def test_t_quantiles_are_those_of_the_table(freedom: int, quantile: float) -> None:
    assert intervals.t_quantile(freedom) == pytest.approx(quantile, abs=1e-6)


def test_paired_equals_the_t_interval_of_scipy() -> None:
    values = np.array([0.2, -0.1, 0.4, 0.3, 0.0, 0.25])
    delta, low, high = intervals.paired(values)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert delta == pytest.approx(0.175)
    assert (low, high) == pytest.approx((wanted.low, wanted.high), rel=1e-12)


def test_nadeau_bengio_of_five_folds_by_hand() -> None:
    values = np.array([0.1, 0.2, 0.0, 0.3, 0.15])
    delta, low, high = intervals.nadeau_bengio(values, 0.25)
    # s² = 0.0125; (1/5 + 1/4) · 0.0125 = 0.005625, whose root is 0.075; t of 4 is 2.776445.
    assert delta == pytest.approx(0.15)
    assert (low, high) == pytest.approx((0.15 - 0.2082334, 0.15 + 0.2082334), abs=1e-6)


def test_nadeau_bengio_without_shared_data_is_the_paired_interval() -> None:
    values = np.array([0.1, 0.2, 0.0, 0.3])
    assert intervals.nadeau_bengio(values, 0.0) == pytest.approx(intervals.paired(values))


@pytest.mark.parametrize("interval", [intervals.paired, lambda d: intervals.nadeau_bengio(d, 0.25)])
def test_one_difference_has_no_interval(interval: object) -> None:
    assert interval(np.array([0.5])) == (0.5, -math.inf, math.inf)  # type: ignore[operator]


def covered(interval: object, folds: int, share: float, trials: int) -> float:
    """How often the interval holds 0 where folds with a common part have a true difference of 0.

    Folds correlate by ρ with ρ / (1 − ρ) = n_test / n_train, the assumption of the paper.
    """
    rho = share / (1 + share)
    rng = np.random.Generator(np.random.PCG64(20))
    common = rng.standard_normal((trials, 1)) * math.sqrt(rho)
    rows = common + rng.standard_normal((trials, folds)) * math.sqrt(1 - rho)
    bounds = [interval(row)[1:] for row in rows]  # type: ignore[operator]
    return float(np.mean([low <= 0 <= high for low, high in bounds]))


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_nadeau_bengio_covers_nineteen_times_in_twenty_and_the_plain_interval_does_not(
    folds: int,
) -> None:
    share = 1 / (folds - 1)
    corrected = covered(lambda d: intervals.nadeau_bengio(d, share), folds, share, 6000)
    assert corrected == pytest.approx(0.95, abs=0.01)  # 3.5 standard errors
    assert covered(intervals.paired, folds, share, 1500) < 0.92


@pytest.mark.parametrize(
    ("low", "high", "units", "larger", "wanted"),
    [
        (0.1, 0.2, 10, True, "helped"),
        (-0.2, -0.1, 10, True, "hurt"),
        (-0.1, 0.2, 10, True, "no_difference"),
        (0.0, 0.2, 10, True, "no_difference"),
        (-0.2, 0.0, 10, True, "no_difference"),
        (0.1, 0.2, 10, False, "hurt"),
        (-0.2, -0.1, 10, False, "helped"),
        (0.1, 0.2, 9, True, "too_few_to_say"),
        (-math.inf, math.inf, 100, True, "too_few_to_say"),
        (-math.inf, -0.1, 100, True, "too_few_to_say"),
        (0.1, math.inf, 100, True, "too_few_to_say"),
        (math.nan, math.nan, 100, True, "too_few_to_say"),
    ],
)
def test_verdicts(low: float, high: float, units: int, larger: bool, wanted: str) -> None:
    assert intervals.verdict(low, high, units, larger_is_better=larger) == wanted


def test_a_paired_t_test_is_that_of_scipy() -> None:
    a, b = np.array([0.9, 0.8, 0.95, 0.7, 0.85]), np.array([0.7, 0.8, 0.9, 0.72, 0.6])
    found = intervals.paired_t(a - b)
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-12)
    assert (found.delta, found.low, found.high) == pytest.approx(intervals.paired(a - b))


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.125, 0.0)])
def test_differences_without_spread_are_certain(value: float, p: float) -> None:
    wanted = intervals.Difference(value, value, value, p, freedom=19)
    assert intervals.paired_t(np.full(20, value)) == wanted


@pytest.mark.parametrize("units", [12, 100])
def test_a_detectable_difference_is_found_four_times_in_five(units: int) -> None:
    rng = np.random.Generator(np.random.PCG64(9))
    noise = rng.standard_normal((2000, units))
    typical = [intervals.paired_t(row) for row in noise]
    size = np.mean([intervals.detectable(d.low, d.high, d.freedom) for d in typical])  # type: ignore[misc]
    found = np.mean([intervals.paired_t(row + size).low > 0 for row in noise])
    assert found == pytest.approx(
        0.8, abs=0.03
    )  # 3.4 standard errors; 12 units: the formula is rough
    assert np.mean([intervals.paired_t(row + size / 2).low > 0 for row in noise]) < 0.4


def test_what_is_detectable_grows_with_the_number_of_comparisons() -> None:
    one, many = (intervals.detectable(-0.1, 0.1, 50, count) for count in (1, 20))
    error = 0.1 / stats.t.ppf(0.975, 50)
    assert one == pytest.approx(error * (stats.t.ppf(0.975, 50) + stats.t.ppf(0.8, 50)))
    assert many == pytest.approx(error * (stats.t.ppf(1 - 0.025 / 20, 50) + stats.t.ppf(0.8, 50)))
    assert intervals.detectable(-math.inf, math.inf, 50) is None
    assert intervals.detectable(0.0, math.inf, 50) is None
    assert intervals.detectable(-0.1, 0.1, 0) is None


def test_a_comparison_is_plain_data_with_what_it_could_have_shown() -> None:
    found = intervals.compared(intervals.paired_t(np.linspace(-1.0, 1.2, 20)), 20)
    plain = found.as_dict()
    assert plain["verdict"] == "no_difference"
    assert plain["delta_ci95"] == [found.low, found.high]
    assert plain["detectable"] > found.delta


def test_one_difference_has_no_p_value() -> None:
    found = intervals.paired_t(np.array([0.5]))
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isnan(found.p)


def test_one_seed_a_side_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 1, 40))
    found = intervals.two_level_bootstrap(a, b)
    wanted = intervals.paired_t((a - b)[0])
    assert vars(found) == pytest.approx(vars(wanted), rel=1e-12)


def test_seeds_whose_episodes_all_agree_are_a_welch_test_of_the_seeds() -> None:
    a, b = np.array([0.9, 0.8, 0.95, 0.7]), np.array([0.6, 0.71, 0.5])
    found = intervals.two_level_bootstrap(*(np.repeat(one[:, None], 30, 1) for one in (a, b)))
    wanted = stats.ttest_ind(a, b, equal_var=False)
    interval = wanted.confidence_interval(0.95)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_the_closed_form_of_two_levels_is_what_drawing_finds() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    values = rng.standard_normal((4, 1)) + rng.standard_normal(12) + rng.standard_normal((4, 12))
    drawn = [
        values[np.ix_(rng.integers(0, 4, 3), rng.integers(0, 12, 11))].mean() for _ in range(20_000)
    ]
    found = intervals.two_level_bootstrap(values)
    # s² of the four seeds' means / 4 and of the twelve episodes' means / 12 give the freedom.
    parts = [(values.mean(1).var(ddof=1) / 4, 3), (values.mean(0).var(ddof=1) / 12, 11)]
    variance = float(np.var(drawn))
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert found.delta == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.03)  # of 20,000 draws


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.0), (3, 0.02), (5, 0.02), (5, 0.1)])
def test_the_same_recipe_under_other_seeds_is_seldom_distinguished(
    seeds: int, spread: float
) -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    told = 0
    for _ in range(200):
        hard = 0.08 * rng.standard_normal(100)  # what makes an episode hard is the same for all
        arms = [
            0.9 + hard + spread * rng.standard_normal((seeds, 1))
            + 0.06 * rng.standard_normal((seeds, 100))
            for _ in range(2)
        ]  # fmt: skip
        found = intervals.two_level_bootstrap(*arms)
        told += intervals.verdict(found.low, found.high, 100) != "no_difference"
    assert told <= 17  # 5 % of 200 is 10; more than 17 by chance: 1 %


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_benjamini_and_hochberg_adjust_as_scipy_does(count: int) -> None:
    p = np.random.Generator(np.random.PCG64(count)).random(count) ** 3
    wanted = stats.false_discovery_control(p, method="bh")
    assert intervals.benjamini_hochberg(p.tolist()) == pytest.approx(wanted.tolist(), rel=1e-12)


def test_benjamini_and_hochberg_by_hand() -> None:
    # 0.01 * 4 / 1 = 0.04; 0.02 * 4 / 2 = 0.04; 0.04 * 4 / 3 = 0.0533; 0.9 * 4 / 4 = 0.9
    assert intervals.benjamini_hochberg([0.04, 0.01, 0.9, 0.02]) == pytest.approx(
        [0.16 / 3, 0.04, 0.9, 0.04]
    )


def test_what_was_not_tested_does_not_count_among_the_tests() -> None:
    found = intervals.benjamini_hochberg([0.03, math.nan])
    assert found[0] == pytest.approx(0.03)
    assert math.isnan(found[1])
    assert intervals.benjamini_hochberg([]) == []


def test_twenty_tests_of_nothing_make_a_discovery_in_one_study_of_twenty() -> None:
    rng = np.random.Generator(np.random.PCG64(11))
    studies = rng.random((400, 20))
    raw = np.mean([min(p) <= 0.05 for p in studies])
    adjusted = np.mean([min(intervals.benjamini_hochberg(p.tolist())) <= 0.05 for p in studies])
    assert raw > 0.5
    assert adjusted <= 0.075  # 0.05 and 2.3 standard errors


def test_wilson_stays_between_0_and_1() -> None:
    for n in range(1, 400):
        assert intervals.wilson(n, n)[1] <= 1.0
        assert intervals.wilson(0, n)[0] >= 0.0
