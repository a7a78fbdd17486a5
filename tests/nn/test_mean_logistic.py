"""Mean-regularised logistic regressions: the minimum of their objective, dense and sparse rows, and
tasks of two kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from metacli.nn.multi_task import TaskProblem, as_sparse, unpacked
from metacli.nn.sharing.grouped import grouped
from metacli.nn.sharing.hard import Hard
from metacli.nn.sharing.linear_logits import (
    INTERCEPT,
    TOGETHER,
    Rows,
    clustered,
    disorder,
    fit,
    of_cluster,
)
from metacli.nn.sharing.mean_logistic import MeanLogistic
from metacli.types import Batch


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labelled(w: torch.Tensor, rows: int = 30) -> Batch:
    """Rows [T, M, D] whose labels follow weights [T, D]; the last rows of task 0 are not there."""
    tasks, columns = w.shape
    x = torch.randn(tasks, rows, columns, generator=rng(1), dtype=torch.float64)
    chance = torch.sigmoid((x @ w[..., None]).squeeze(-1))
    y = (torch.rand(chance.shape, generator=rng(2), dtype=torch.float64) < chance).double()
    mask = torch.ones_like(y, dtype=torch.bool)
    mask[0, rows - 5 :] = False
    return Batch(x * mask[..., None], y * mask, mask)


def settings(cluster: list[float], slope: float, mean: float) -> dict[str, torch.Tensor]:
    return {
        "mean.penalties": torch.tensor([slope, mean], dtype=torch.float64),
        "mean.clusters": torch.tensor(cluster, dtype=torch.float64),
    }


def objective(u, v, cluster, batch, slope, mean):
    """The docstring of the module, one task at a time; the last column is the intercept."""
    total = 0.5 * mean * u[:, :-1].square().sum() + 0.5 * INTERCEPT * v[:, -1].square().sum()
    total = total + 0.5 * slope * v[:, :-1].square().sum()
    for task, own in enumerate(cluster):
        w = u[own] + v[task]
        x, y = batch.x[task][batch.mask[task]], batch.y[task][batch.mask[task]]
        logits = x @ w[:-1] + w[-1]
        total = total + F.binary_cross_entropy_with_logits(logits, y, reduction="sum")
    return total


def test_it_begins_with_a_weight_for_each_input_and_an_intercept_of_each_task():
    begun = MeanLogistic().init([5], 3, rng(0))
    assert begun["heads.weight"].shape == (3, 5)
    assert begun["heads.bias"].shape == (3,)


@pytest.mark.parametrize("cluster", [[0, 0, 0, 0], [1, 0, 0, 1]])
def test_it_is_the_minimum_of_its_objective(cluster):
    batch = labelled(torch.randn(4, 3, generator=rng(3), dtype=torch.float64))
    params = MeanLogistic().refit(batch, settings(cluster, 2.0, 0.5))
    found = torch.cat([params["heads.weight"], params["heads.bias"][:, None]], 1)
    u = torch.zeros(max(cluster) + 1, 4, dtype=torch.float64, requires_grad=True)
    v = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [u, v], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = objective(u, v, cluster, batch, 2.0, 0.5)
        value.backward()
        return value

    optimiser.step(closure)
    torch.testing.assert_close(found, (u[cluster] + v).detach(), atol=2e-3, rtol=1e-3)


def test_with_stiff_deviations_it_is_the_pooled_model_and_without_sharing_each_task_alone():
    batch = labelled(torch.randn(3, 3, generator=rng(3), dtype=torch.float64), rows=60)
    pooled = MeanLogistic().refit(batch, settings([0, 0, 0], 1e7, 1.0))["heads.weight"]
    torch.testing.assert_close(pooled, pooled[:1].expand(3, 3), atol=1e-3, rtol=0.0)
    alone = MeanLogistic(share=False).refit(batch, settings([0, 0, 0], 1.0, 1.0))["heads.weight"]
    other = Batch(
        batch.x, torch.where(torch.arange(3)[:, None] == 2, 1 - batch.y, batch.y), batch.mask
    )
    again = MeanLogistic(share=False).refit(other, settings([0, 0, 0], 1.0, 1.0))["heads.weight"]
    torch.testing.assert_close(alone[:2], again[:2], atol=1e-3, rtol=1e-3)
    assert (alone[2] - again[2]).abs().max() > 0.1


def packed(dense: torch.Tensor) -> torch.Tensor:
    """Places and weights of rows [..., F], padded with zeros."""
    places = torch.arange(dense.shape[-1]).expand(dense.shape).to(dense.dtype)
    return torch.cat([torch.where(dense != 0, places, 0), dense], -1)


def test_packed_rows_are_read_as_sparse_ones_and_give_the_same():
    batch = labelled(torch.randn(3, 4, generator=rng(3), dtype=torch.float64))
    x = batch.x * (torch.rand(batch.x.shape, generator=rng(4)) < 0.5)
    problem = TaskProblem(MeanLogistic(), (4,), (True,) * 3, "accuracy")
    params = problem.init(0)
    torch.testing.assert_close(as_sparse(packed(x), 4).to_dense(), x)
    torch.testing.assert_close(unpacked(packed(x), 4), x)
    params |= MeanLogistic().refit(Batch(x, batch.y, batch.mask), settings([0, 0, 0], 1.0, 0.5))
    seen = problem.standardised(params, Batch(packed(x), batch.y, batch.mask))
    again = MeanLogistic().refit(seen, settings([0, 0, 0], 1.0, 0.5))
    torch.testing.assert_close(again["heads.weight"], params["heads.weight"])
    dense, narrow = problem.predict(params, x), problem.predict(params, packed(x))
    torch.testing.assert_close(dense, narrow)
    torch.testing.assert_close(problem.predict(params, packed(x)[1]), problem.predict(params, x[1]))


def test_groups_of_packed_rows_are_never_spread_out_and_give_the_same():
    """Of 262,144 n-grams a dense copy of all rows takes more memory than there is."""
    rows = labelled(torch.randn(4, 4, generator=rng(), dtype=torch.float64))
    groups = ((0, 2), (1,), (3,))
    scheme = grouped(MeanLogistic(clusters=(1,)), groups)
    assert scheme.sparse
    assert not grouped(Hard(), groups).sparse
    dense = Batch(rows.x, rows.y, rows.mask)
    sparse = Batch(as_sparse(packed(rows.x), 4), rows.y, rows.mask)
    first, second = (scheme.solve(batch, rng())[0] for batch in (dense, sparse))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value)
    torch.testing.assert_close(scheme.forward(second, sparse.x), scheme.forward(first, dense.x))
    again = scheme.refit(sparse, second)
    assert all(torch.isfinite(value).all() for value in again.values())
    problem = TaskProblem(scheme, (4,), (True,) * 4, "accuracy")
    wide = TaskProblem(MeanLogistic(), (4,), (True,) * 4, "accuracy")
    for one in (problem, wide):
        params = one.init(0)
        assert one.inputs(params, packed(rows.x).float()).is_sparse


def two_kinds(rows: int) -> Batch:
    kind = torch.tensor([0, 1, 1, 0, 1, 0])
    means = torch.tensor([[2.0, 0.0, 0.0], [0.0, -2.0, 1.0]], dtype=torch.float64)
    return labelled(means[kind], rows)


def test_tasks_of_two_kinds_are_distinguished():
    found = clustered(Rows.of(two_kinds(60)), 2, rng())
    assert (found == found[0]).tolist() == [True, False, False, True, False, True]


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_that_no_task_is_left_in_ends_the_search_with_the_kinds_that_are_there(seed):
    found = clustered(Rows.of(two_kinds(60)), 3, rng(seed))
    assert (found == found[0]).tolist() == [True, False, False, True, False, True]
    assert sorted(set(found.tolist())) == [0, 1]


def test_the_choice_is_the_one_that_loses_least_on_inner_folds():
    batch = two_kinds(40)
    scheme = MeanLogistic(slope=(1.0, 50.0), mean=(0.5,), clusters=(1, 2))
    params, scores = scheme.solve(batch, rng())
    choices = list(scheme.choices())
    assert choices[int(scores.argmin())] == (2, 50.0, 0.5)
    assert len(scores) == len(choices) == 4
    assert params["mean.penalties"].tolist() == [50.0, 0.5]
    assert len(np.unique(params["mean.clusters"])) == 2
    torch.testing.assert_close(scheme.refit(batch, params)["heads.weight"], params["heads.weight"])


def test_the_order_of_rows_is_judged_as_by_the_area_under_the_roc_curve():
    from sklearn.metrics import roc_auc_score

    rows = Rows.of(two_kinds(40))
    logits = np.round(np.random.default_rng(0).normal(size=len(rows.y)), 1)  # some are equal
    each = [roc_auc_score(rows.y[rows.task == t], logits[rows.task == t]) for t in range(6)]
    assert disorder(rows, logits) == pytest.approx(1 - np.mean(each))
    for only in (0, 1):  # a task of one class has no such area
        rows.y[rows.task == only] = only
    assert disorder(rows, logits) == pytest.approx(1 - np.mean(each[2:]))
    rows.y[:] = 0
    assert disorder(rows, logits) == 0.5
    _, scores = MeanLogistic(slope=(50.0,), mean=(0.5,), judge="auc").solve(two_kinds(40), rng())
    assert 0.05 < float(scores[0]) < 0.5


def test_what_a_task_would_lose_in_a_cluster_is_that_of_its_slopes_and_the_tasks_best_intercept():
    rows = Rows.of(two_kinds(60))
    members = np.array([True, False, False, True, False, True])
    inside = rows.where(members[rows.task])
    slopes = fit(inside, np.zeros(6, int), TOGETHER, 1.0)[members].mean(0)[:-1]
    found = of_cluster(rows, members)
    for task in range(6):
        own = rows.task == task
        width = len(slopes) + 1
        x = rows.x[own].toarray()[:, width * task : width * (task + 1)]

        def loss(intercept: float, x: np.ndarray = x, own: np.ndarray = own) -> float:
            logits = x @ np.append(slopes, intercept)
            return float((np.logaddexp(0, logits) - rows.y[own] * logits).sum())

        assert found[task] == pytest.approx(minimize_scalar(loss).fun, rel=1e-4)
