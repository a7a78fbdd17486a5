"""Measures of relatedness against slow loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metacli.algorithms.multitask import relatedness as formulas
from metacli.engine.training.multi_task import relatedness as measures
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.types import Batch, Params

T, M, D, F = 3, 12, 4, 5


def problem() -> TaskProblem:
    """Two regressions and a classification."""
    return TaskProblem(Hard(), (D, F), (False, False, True))


def params() -> Params:
    return {name: value.double() for name, value in problem().init(0).items()}


def rows(seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(T, M, D, generator=draw, dtype=torch.float64)
    y = x @ torch.randn(D, generator=draw, dtype=torch.float64)
    y = y + 0.5 * torch.randn(T, M, generator=draw, dtype=torch.float64)
    y[2] = (y[2] > 0).double()
    mask = torch.ones(T, M, dtype=torch.bool)
    mask[0, 9:] = False
    return Batch(x * mask[..., None], y * mask, mask)


def gradients(at: Params, batch: Batch) -> torch.Tensor:
    """∇ of each task's loss on the shared parameters, [T, P], one task after the other."""
    found = []
    for task in range(T):
        leaves = {name: at[name].clone().requires_grad_() for name in problem().shared}
        loss = problem().losses({**at, **leaves}, batch)[task]
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        found.append(torch.cat([one.flatten() for one in slopes]))
    return torch.stack(found)


def test_heads_are_the_ridge_and_logistic_regressions_of_the_features() -> None:
    batch, at = rows(), params()
    fitted = formulas.fit_heads(problem(), at, batch)
    for task in range(T):
        kept = batch.mask[task]
        x = batch.x[task, kept]
        f = torch.relu(x @ at["trunk.0.weight"] + at["trunk.0.bias"])
        f = torch.cat([f, torch.ones(len(f), 1, dtype=f.dtype)], 1)
        w = torch.cat([fitted["heads.weight"][task], fitted["heads.bias"][task : task + 1]])
        out = f @ w
        error = (torch.sigmoid(out) if task == 2 else out) - batch.y[task, kept]
        slope = f.T @ error + formulas.PENALTY * w  # 0 at the minimum
        assert slope.abs().max() < 1e-6


def test_cosines_are_those_of_the_tasks_gradients() -> None:
    at = formulas.fit_heads(problem(), params(), rows())
    g = gradients(at, rows())
    found = formulas.cosine(problem(), at, rows())
    for i in range(T):
        for j in range(T):
            wanted = float(g[i] @ g[j] / (g[i].norm() * g[j].norm()))
            assert float(found[i, j]) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("other", [None, 7])
def test_lookahead_is_a_step_on_one_task_and_the_loss_of_another(other: int | None) -> None:
    """Losses are taken on `scored`, where that is given, and on the step's own rows otherwise."""
    batch, at = rows(), formulas.fit_heads(problem(), params(), rows())
    scored = None if other is None else rows(other)
    found = formulas.lookahead(problem(), at, batch, scored)
    names = problem().shared
    flat = torch.cat([at[name].flatten() for name in names])
    before = problem().losses(at, batch if scored is None else scored)
    for i, g in enumerate(gradients(at, batch)):
        stepped = flat - 0.1 * flat.norm() * g / g.norm()
        parts = stepped.split([at[name].numel() for name in names])
        there = {n: p.view_as(at[n]) for n, p in zip(names, parts, strict=True)}
        after = problem().losses({**at, **there}, batch if scored is None else scored)
        torch.testing.assert_close(found[i], 1 - after / before, rtol=1e-9, atol=1e-12)


def test_a_task_without_a_loss_has_a_relatedness_that_is_a_number() -> None:
    batch, at = rows(), params()
    at = {**at, "heads.weight": 0 * at["heads.weight"], "heads.bias": 0 * at["heads.bias"]}
    solved = batch._replace(y=batch.y * torch.tensor([[0.0], [1.0], [1.0]]))
    assert float(problem().losses(at, solved)[0]) == 0
    assert bool(torch.isfinite(formulas.lookahead(problem(), at, solved)).all())


def test_steps_and_losses_are_of_different_halves_both_ways() -> None:
    batch, at = rows(), params()
    one, two = formulas.halves(batch, torch.Generator().manual_seed(4))
    (found,) = measures.lookaheads(problem(), at, batch, torch.Generator().manual_seed(4))
    wanted = torch.zeros(T, T, dtype=torch.float64)
    for step, scored in ((one, two), (two, one)):
        fitted = formulas.fit_heads(problem(), at, step)
        wanted += formulas.lookahead(problem(), fitted, step, scored).detach() / 2
    torch.testing.assert_close(found, wanted)


def test_halves_divide_the_rows_that_are_there() -> None:
    batch = rows()
    first, second = formulas.halves(batch, torch.Generator().manual_seed(1))
    assert not (first.mask & second.mask).any()
    assert torch.equal(first.mask | second.mask, batch.mask)
    assert first.mask.sum(1).tolist() == [4, 6, 6]  # of 9, 12 and 12
    other, _ = formulas.halves(batch, torch.Generator().manual_seed(2))
    assert not torch.equal(first.mask, other.mask)


def test_fisher_is_the_mean_square_of_the_outputs_slopes() -> None:
    batch, at = rows(), formulas.fit_heads(problem(), params(), rows())
    found = formulas.fisher(problem(), at, batch)
    for task in range(T):
        total = torch.zeros(D, F, dtype=torch.float64)
        for m in range(M):
            if not batch.mask[task, m]:
                continue
            weight = at["trunk.0.weight"].clone().requires_grad_()
            f = torch.relu(batch.x[task, m] @ weight + at["trunk.0.bias"])
            out = f @ at["heads.weight"][task]
            (slope,) = torch.autograd.grad(out, weight)
            p = torch.sigmoid(out.detach())
            total += slope**2 * (p * (1 - p) if task == 2 else 1.0)
        made = found[task].view(F, D).T
        torch.testing.assert_close(made, total, rtol=1e-9, atol=1e-12)


def test_cosines_are_divided_by_the_reliability_of_all_rows() -> None:
    """Spearman's correction; half of the rows are stepped up to all of them: 2r / (1 + r)."""
    raw = torch.tensor([[1.0, 0.3, 0.2], [0.3, 1.0, 0.1], [0.2, 0.1, 1.0]], dtype=torch.float64)
    reliability = torch.tensor([0.5, 0.2, -0.4], dtype=torch.float64)
    found = formulas.corrected(raw.clone(), reliability)
    full = [math.sqrt(2 * r / (1 + r)) for r in (0.5, 0.2, 0.02)]  # 0.02 at least
    assert float(found[0, 1]) == pytest.approx(0.3 / full[0] / full[1])
    assert float(found[2, 0]) == pytest.approx(0.2 / full[0] / full[2])
    assert found.diagonal().tolist() == [1.0, 1.0, 1.0]


def test_embeddings_are_compared_above_the_median_pair() -> None:
    raw = torch.tensor([[1.0, 0.8, 0.5], [0.8, 1.0, 0.6], [0.5, 0.6, 1.0]], dtype=torch.float64)
    reliability = torch.tensor([0.9, 0.8, 0.7], dtype=torch.float64)
    found = measures.above_the_usual(raw.clone(), reliability)
    own = [math.sqrt(2 * r / (1 + r) - 0.6) for r in (0.9, 0.8, 0.7)]
    assert float(found[0, 1]) == pytest.approx((0.8 - 0.6) / own[0] / own[1])
    assert float(found[0, 2]) == pytest.approx((0.5 - 0.6) / own[0] / own[2])
    assert found.diagonal().tolist() == [1.0, 1.0, 1.0]


def test_a_step_is_compared_with_what_the_tasks_own_step_does() -> None:
    z = torch.tensor([[0.2, 0.1, 0.3], [0.1, 0.4, -0.9], [0.5, 0.2, -0.1]], dtype=torch.float64)
    found = measures.compared_with_own(z.clone())
    assert found[:, 0].tolist() == pytest.approx([1.0, 0.5, 2.0])  # cut at 2
    assert found[:, 1].tolist() == pytest.approx([0.25, 1.0, 0.5])
    assert found[:, 2].tolist() == [0.0, 0.0, 1.0]  # its own step does it no good


def test_groups_are_cut_where_mean_relatedness_falls_below_the_threshold() -> None:
    matrix = np.eye(4)
    matrix[0, 2] = matrix[2, 0] = measures.THRESHOLD + 0.01
    matrix[1, 3] = matrix[3, 1] = measures.THRESHOLD - 0.01
    assert measures.suggested(matrix) == [[0, 2], [1], [3]]
    matrix[0, 2] = 2 * measures.THRESHOLD + 0.01  # of one direction: the mean of both counts
    matrix[2, 0] = 0.0
    assert measures.suggested(matrix) == [[0, 2], [1], [3]]
    assert measures.suggested(np.eye(1)) == [[0]]
    assert measures.suggested(np.empty((0, 0))) == []
