"""The intervals of tasks with few held-out rows each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from metacli.engine.training.multi_task.error_sizes import common_variance, moderated, widths


def sizes(rng: np.random.Generator, spread: float, tasks: int) -> np.ndarray:
    return np.exp(spread * rng.standard_normal(tasks))


def drawn(rng: np.random.Generator, size: np.ndarray, rows: int) -> dict[int, np.ndarray]:
    return {t: np.abs(one * rng.standard_normal(rows)) for t, one in enumerate(size)}


def held(size: np.ndarray, found: dict[int, float]) -> np.ndarray:
    """The share of further normal errors of each task that its width holds."""
    return 2 * stats.norm.cdf(np.array([found[t] for t in range(len(size))]) / size) - 1


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0, 2.0])
def test_widths_hold_nineteen_errors_of_twenty_over_tasks_of_any_sizes(spread: float) -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        size = sizes(rng, spread, 60)
        shares.append(held(size, widths(drawn(rng, size, 6), [1.0] * 60)).mean())
    assert 0.94 <= np.mean(shares) <= 0.965


def test_a_task_of_small_errors_has_a_narrow_interval_and_is_held_as_often() -> None:
    """One quantile of all is twice as wide as most tasks need, and leaves out more of others."""
    rng = np.random.default_rng(1)
    size = sizes(rng, 1.0, 400)
    errors = drawn(rng, size, 8)
    found = widths(errors, [1.0] * 400)
    one = np.quantile(np.concatenate(list(errors.values())), 0.95)
    own = held(size, found)
    assert (own < 0.85).mean() < 0.09
    assert (held(size, dict.fromkeys(found, one)) < 0.85).mean() > (own < 0.85).mean()
    assert np.median(list(found.values())) < 0.5 * one


def test_the_common_variance_of_many_tasks_is_the_one_they_were_drawn_from() -> None:
    rng = np.random.default_rng(2)
    rows, variance = 8.0, 0.25
    squares = variance * rows / rng.chisquare(rows, 20000)
    errors = [np.abs(np.sqrt(one) * rng.standard_normal(5)) for one in squares]
    found = common_variance(errors)
    assert found.rows == pytest.approx(rows, rel=0.05)
    assert found.variance == pytest.approx(variance, rel=0.03)


def test_tasks_of_one_size_have_one_variance() -> None:
    rng = np.random.default_rng(3)
    found = common_variance(list(drawn(rng, np.full(300, 2.0), 5).values()))
    assert found.rows > 50
    assert found.variance == pytest.approx(4.0, rel=0.06)
    assert moderated(np.float64(5 * 9.0), 5, found) == pytest.approx(
        (found.rows * found.variance + 45.0) / (found.rows + 5)
    )


def test_a_task_with_rows_enough_has_its_own_quantile() -> None:
    rng = np.random.default_rng(4)
    errors = drawn(rng, np.array([1.0, 30.0]), 40) | {2: np.array([5.0, 6.0])}
    found = widths(errors, [1.0, 1.0, 1.0])
    for task in (0, 1):
        assert found[task] == pytest.approx(np.quantile(errors[task], 0.95))


def test_sizes_are_counted_in_the_scale_of_a_task() -> None:
    rng = np.random.default_rng(5)
    errors = drawn(rng, sizes(rng, 0.5, 12), 6)
    scales = [10.0**t for t in range(12)]
    found = widths({t: scales[t] * one for t, one in errors.items()}, scales)
    plain = widths(errors, [1.0] * 12)
    assert [found[t] / scales[t] for t in range(12)] == pytest.approx([plain[t] for t in range(12)])


def test_one_task_alone_errors_of_nothing_and_one_row_have_widths() -> None:
    assert widths({3: np.zeros(4), 4: np.zeros(1)}, [1.0] * 5) == {3: 0.0, 4: 0.0}
    assert widths({0: np.array([2.0])}, [1.0]) == pytest.approx({0: 2.0}, rel=1e-5)
    alone = widths({0: np.array([1.0, 2.0, 3.0])}, [4.0])
    assert alone[0] == pytest.approx(np.quantile([1.0, 2.0, 3.0], 0.95), rel=1e-5)
    mixed = widths({0: np.zeros(3), 1: np.ones(4)}, [1.0, 1.0])
    assert 0 <= mixed[0] < 0.1 < mixed[1]
