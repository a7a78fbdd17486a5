"""Simple methods on episodes: fitted to the support alone, and compared in the right direction."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from metacli.data.few_shot.regression import RegressionEpisodes, RegressionTasks, regression_tasks
from metacli.data.tables.reader import parse_table
from metacli.engine.scoring.simple_scores import (
    PENALTIES,
    against,
    own_ridge,
    pooled_ridge,
    shrunken_ridge,
    variance_components,
)


def tasks() -> RegressionTasks:
    rng = np.random.default_rng(0)
    made = {}
    for task in range(10):
        x = rng.normal(size=(20, 2))
        y = x @ rng.normal(size=2) + task + 0.1 * rng.normal(size=20)
        cells = "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x, y, strict=True))
        made[f"t{task}"] = parse_table(f"a,b,y\n{cells}".encode(), "csv", f"{task}.csv")
    return regression_tasks("mine", "train", made, "y", {"a": "numeric", "b": "numeric"})


def episodes() -> RegressionEpisodes:
    return RegressionEpisodes(tasks=tasks(), shot=8, query=5)


def test_the_ridge_of_a_task_is_fitted_to_its_support() -> None:
    source = episodes()
    score = own_ridge(source)
    for index in range(3):
        support, query = source.episode(index)
        fitted = RidgeCV(alphas=PENALTIES).fit(support.x.numpy(), support.y[:, 0].numpy())
        off = fitted.predict(query.x.numpy()) - query.y[:, 0].numpy()
        wanted = float((off**2).mean()) * source.tasks.target.scale**2
        assert score(index) == pytest.approx(wanted, rel=1e-5)
        assert wanted > 0


def test_the_pooled_ridge_sees_no_support_and_is_worse_where_tasks_differ() -> None:
    source = episodes()
    own, pooled = own_ridge(source), pooled_ridge(source, source.tasks)
    found = np.array([[own(index), pooled(index)] for index in range(10)])
    assert found[:, 1].mean() > 3 * found[:, 0].mean()


def test_the_shrunken_intercept_weighs_the_support_against_the_spread_of_tasks() -> None:
    source = episodes()
    x, y = (np.concatenate(one) for one in (source.tasks.x, source.tasks.y))
    fitted = RidgeCV(alphas=PENALTIES).fit(x, y)
    left = [b - fitted.predict(a) for a, b in zip(source.tasks.x, source.tasks.y, strict=True)]
    within, between = variance_components(left)
    score = shrunken_ridge(source, source.tasks)
    for index in range(3):
        support, query = source.episode(index)
        residuals = support.y[:, 0].numpy() - fitted.predict(support.x.numpy())
        # The b that is most probable: Σ (r - b)² / σ² + b² / τ² is smallest.
        b = residuals.sum() / within / (len(residuals) / within + 1 / between)
        off = fitted.predict(query.x.numpy()) + b - query.y[:, 0].numpy()
        wanted = float((off**2).mean()) * source.tasks.target.scale**2
        assert score(index) == pytest.approx(wanted, rel=1e-5)
    pooled = pooled_ridge(source, source.tasks)
    found = np.array([[score(index), pooled(index)] for index in range(10)])
    assert 1.3 * found[:, 0].mean() < found[:, 1].mean()


def test_variances_are_those_of_a_balanced_analysis_of_variance() -> None:
    values = np.random.default_rng(3).normal(size=(6, 5)) + np.arange(6)[:, None]
    inside = ((values - values.mean(1, keepdims=True)) ** 2).sum() / (6 * 4)
    among = 5 * ((values.mean(1) - values.mean()) ** 2).sum() / 5
    assert variance_components(list(values)) == pytest.approx((inside, (among - inside) / 5))


def test_variances_of_unequal_tasks_are_right_on_average_and_never_negative() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        draws = [rng.normal() * 2 + rng.normal(size=n) * 3 for n in (2, 3, 5, 9, 14, 30)]
        found.append(variance_components(draws))
    assert np.mean(found, 0) == pytest.approx((9.0, 4.0), rel=0.12)
    alike = [rng.normal(size=50) - 0.0 for _ in range(2)]
    assert variance_components([one - one.mean() for one in alike])[1] == 0.0
    assert variance_components([np.array([1.0, 3.0])]) == (1.0, 0.0)


@pytest.mark.parametrize(("ours", "verdict"), [(0.0, "helped"), (5.0, "hurt")])
def test_a_positive_difference_is_a_smaller_error(ours: float, verdict: str) -> None:
    source = episodes()
    rng = np.random.default_rng(1)
    values = 1.0 + 0.01 * rng.random(60)
    found = against(values, source, np.full(60, ours))
    assert found.score.mean == pytest.approx(values.mean())
    assert found.against is not None
    assert found.against.delta == pytest.approx(1.005 - ours, abs=0.01)
    drawn = {source.members(index)[0] for index in range(60)}
    assert found.units == len(drawn)  # tasks, since episodes of one are not independent
    assert found.against.verdict == ("too_few_to_say" if len(drawn) < 10 else verdict)
