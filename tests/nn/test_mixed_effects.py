"""Mixed-effects regression as a sharing scheme: random slopes, and a curve that tasks share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.mean_ridge import MeanRidge
from metacli.nn.sharing.mixed_effects import INTERCEPTS, SLOPES, MixedEffects, rows_of
from metacli.nn.solvers.mixed_models import Moments, fit_mixed, learned, with_ones
from metacli.types import Batch


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def waves(tasks: int = 10, rows: int = 40) -> Batch:
    """Each task has a slope and an intercept of its own beside one wave; the last rows of task 0
    are not there."""
    x = torch.randn(tasks, rows, 2, generator=rng(1), dtype=torch.float64)
    own = torch.randn(tasks, 2, generator=rng(2), dtype=torch.float64)
    y = torch.sin(2 * x[..., 0]) + 0.5 * own[:, :1] + 0.5 * own[:, 1:] * x[..., 1]
    y = y + 0.3 * torch.randn(y.shape, generator=rng(3), dtype=torch.float64)
    mask = torch.ones_like(y, dtype=torch.bool)
    mask[0, rows - 10 :] = False
    return Batch(x * mask[..., None], y * mask, mask)


def part(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.x[:, rows], batch.y[:, rows], batch.mask[:, rows])


def error(scheme: MixedEffects, params: dict[str, torch.Tensor], batch: Batch) -> float:
    return float((scheme.forward(params, batch.x) - batch.y)[batch.mask].square().mean())


def test_without_a_curve_it_is_random_slopes():
    batch = waves()
    scheme = MixedEffects(features=0, length=(1.0,), steps=2000)
    params, _ = scheme.solve(batch, rng())
    x, y = rows_of(batch)
    # β's prior is learned here and flat there, which tells little of three columns and many rows.
    wanted = fit_mixed(x, y, slopes=True, steps=2000).predict(x)
    found = scheme.forward(params, batch.x)
    for task, values in enumerate(wanted):
        assert found[task, : len(values)].numpy() == pytest.approx(values, abs=0.04)


def test_the_variances_of_a_learned_prior_are_at_a_fixed_point_of_the_evidence():
    """For one task without random effects, -2 log evidence written out."""
    draw = np.random.default_rng(0)
    x = with_ones(draw.normal(size=(50, 6)))
    y = x @ np.array([1.0, 0.5, -0.5, 0.3, 0.0, 0.8, -0.2]) + 0.5 * draw.normal(size=50)
    groups = np.array([-1, 0, 0, 0, 1, 1, 1])
    found = learned(Moments.of([x], [y], 1), groups, 1.0, 20_000, 1e-6)

    def minus(tau, noise):
        prior = np.r_[1e6, np.full(3, tau[0]), np.full(3, tau[1])]
        v = (x * prior) @ x.T + noise * np.eye(50)
        return np.linalg.slogdet(v)[1] + y @ np.linalg.solve(v, y)

    best = minus(found.priors, found.noise)
    for change in (0.8, 1.25):
        assert minus(found.priors * [change, 1], found.noise) > best
        assert minus(found.priors * [1, change], found.noise) > best
        assert minus(found.priors, found.noise * change) > best


def test_a_curve_that_tasks_share_is_learned_from_all_of_them():
    batch = waves()
    learn, ask = part(batch, slice(0, 20)), part(batch, slice(20, 40))
    curved, straight = (
        MixedEffects(features=100, length=(1.0,)),
        MixedEffects(features=0, length=(1.0,)),
    )
    with_curve = error(curved, curved.solve(learn, rng())[0], ask)
    without = error(straight, straight.solve(learn, rng())[0], ask)
    assert with_curve < 0.2 < 0.35 < without  # noise is 0.09


def test_the_length_is_chosen_on_inner_folds_and_a_refit_is_the_same():
    batch = waves()
    scheme = MixedEffects(features=40, length=(30.0, 1.0), steps=8)
    params, scores = scheme.solve(batch, rng())
    assert len(scores) == 2
    assert scores[1] < scores[0]
    assert params["curve.weight"].abs().mean() > 0.1  # about 0.8 / length
    again = scheme.refit(batch, params)
    torch.testing.assert_close(again["heads.weight"], params["heads.weight"], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(again["curve.common"], params["curve.common"], atol=1e-6, rtol=1e-6)


def test_a_length_is_scored_by_the_mean_squared_error_of_rows_that_were_not_learned_from():
    batch = waves(tasks=3, rows=16)
    scheme = MixedEffects(features=6, length=(30.0, 1.0), steps=3)
    x, y = rows_of(batch)
    curve, fold = scheme.curve(x, 1.0, rng(4)), [np.arange(len(one)) % 3 for one in y]
    begin = scheme.init((2,), 3, rng())
    squares = []
    for k in range(3):
        held = torch.arange(16) % 3 == k
        inner = Batch(batch.x[:, ~held], batch.y[:, ~held], batch.mask[:, ~held])
        params = scheme.as_params(begin, curve, scheme.fit(*rows_of(inner), curve))
        errors = (scheme.forward(params, batch.x) - batch.y)[:, held]
        squares += errors[batch.mask[:, held]].square().tolist()
    assert scheme.held_out(x, y, fold, curve) == pytest.approx(np.mean(squares))


@pytest.mark.parametrize("given", [{"features": 6, "length": (1.0,)}, {"features": 0}])
def test_where_there_is_nothing_to_choose_every_score_is_zero(given):
    scheme = MixedEffects(**given, steps=1)
    _, scores = scheme.solve(waves(tasks=3, rows=12), rng())
    assert scores.tolist() == [0.0] * len(scheme.length)


def test_without_sharing_it_is_ridge_regression_of_each_task():
    batch = waves()
    scheme = MixedEffects(features=5, share=False)
    params, _ = scheme.solve(batch, rng())
    alone = MeanRidge(share=False, folds=3, slope=SLOPES, intercept=INTERCEPTS)
    wanted, _ = alone.solve(batch, rng())
    torch.testing.assert_close(params["heads.weight"], wanted["heads.weight"])
    torch.testing.assert_close(
        scheme.forward(params, batch.x)[1],
        batch.x[1] @ wanted["heads.weight"][1] + wanted["heads.bias"][1],
    )
    again = scheme.refit(batch, params)
    torch.testing.assert_close(again["heads.weight"], params["heads.weight"])


def test_columns_of_two_values_differ_by_one_in_the_curve():
    x = [np.array([[-0.5, 1.0], [2.0, -1.0], [-0.5, 3.0]])]
    waves, _ = MixedEffects(features=4000).curve(x, 2.0, rng())
    assert waves.std(1) == pytest.approx([1 / 2.5 / 2.0, 1 / 2.0], rel=0.05)


def test_rows_that_tasks_share_are_answered_for_each_task():
    batch = waves()
    problem = TaskProblem(MixedEffects(features=20), (2,), (False,) * 10, "rmse")
    params = {**problem.init(0), **problem.sharing.solve(batch, rng())[0]}
    assert set(problem.sharing.solve(batch, rng())[0]) == set(problem.init(0)) - {
        "input.mean",
        "input.scale",
        "target.mean",
        "target.scale",
    }
    whole = problem.predict(params, batch.x[3])
    torch.testing.assert_close(whole[3], problem.predict(params, batch.x)[3])


def test_each_task_by_itself_may_have_steep_slopes():
    x = torch.randn(3, 12, 1, generator=rng(1), dtype=torch.float64)
    y = x[..., 0] * torch.tensor([[1.0], [-1.0], [0.5]], dtype=torch.float64)
    batch = Batch(x, y, torch.ones_like(y, dtype=torch.bool))
    scheme = MixedEffects(features=0, share=False)
    params, _ = scheme.solve(batch, rng())
    assert params["effects.penalties"][0] == 0.1
    assert error(scheme, params, batch) < 0.001
