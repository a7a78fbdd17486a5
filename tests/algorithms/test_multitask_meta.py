"""Weights that follow the loss on validation rows: exact slopes, and what they do."""

from __future__ import annotations

import pytest
import torch

from metacli.algorithms.multitask.meta import (
    WEIGHTS,
    MetaWeighted,
    inner_names,
    joined,
    weighed_losses,
)
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.auxiliary import Auxiliary
from metacli.nn.sharing.hard import Hard
from metacli.types import Batch, Episode

T, M, D = 3, 10, 4
METHOD = MetaWeighted(weighting=AutoLambda(inner_lr=0.2, lr=0.5))


def setting(scheme, seed: int = 0):
    """A problem of a regression, a classification and another regression, in float64."""
    problem = TaskProblem(scheme, (D, 5), (False, True, False), classes=(0, 2, 0))
    rng = torch.Generator().manual_seed(seed)

    def rows() -> Batch:
        x = torch.randn(T, M, D, generator=rng, dtype=torch.float64)
        y = x.sum(-1) + torch.randn(T, M, generator=rng, dtype=torch.float64)
        y[1] = (y[1] > 0).double()
        mask = torch.ones(T, M, dtype=torch.bool)
        mask[0, 7:] = False
        return Batch(x, y, mask)

    params = {name: value.double() for name, value in problem.init(seed).items()}
    own, _ = METHOD.init(problem, params)
    uneven = (own[WEIGHTS] + 0.2) * torch.linspace(0.5, 1.5, T, dtype=torch.float64)
    return problem, {**params, WEIGHTS: uneven}, Episode(rows(), rows())


@pytest.mark.parametrize("scheme", [Hard(), Auxiliary()], ids=lambda one: type(one).__name__)
def test_the_slope_of_the_validation_loss_is_that_of_finite_differences(scheme):
    problem, params, episode = setting(scheme)
    networks = isinstance(scheme, Auxiliary)

    def validation(weights: torch.Tensor) -> torch.Tensor:
        """Of every network, or the mean of all tasks, after one inner step with these weights."""
        theta = {
            n: v.clone().requires_grad_() for n, v in params.items() if n in inner_names(problem)
        }
        now = {**params, **theta}
        inner = (weights * weighed_losses(problem, now, episode.support)).sum()
        grads = torch.autograd.grad(inner, list(theta.values()))
        moved = {n: v - 0.2 * g for (n, v), g in zip(theta.items(), grads, strict=True)}
        each = problem.losses({**params, **moved}, episode.query)
        return each.detach() if networks else each.mean().detach()

    slopes = METHOD.step_slopes(problem, params, episode)
    for task in range(T):
        step = torch.zeros_like(params[WEIGHTS])
        step[..., task] = 1e-6
        up, down = validation(params[WEIGHTS] + step), validation(params[WEIGHTS] - step)
        torch.testing.assert_close(slopes[..., task], (up - down) / 2e-6, atol=1e-8, rtol=1e-6)


def test_the_inner_step_of_networks_leaves_their_fitted_heads():
    hard, networks = (setting(scheme)[0] for scheme in (Hard(), Auxiliary()))
    assert set(inner_names(hard)) == hard.trainable
    assert set(inner_names(networks)) == {"trunk.0.weight", "trunk.0.bias"}


def test_even_weights_give_hard_sharing_the_direction_of_equal_weights():
    from metacli.algorithms.multitask.method import MultiTask
    from metacli.algorithms.multitask.weighting.equal import Equal

    problem, params, episode = setting(Hard())
    params[WEIGHTS] = torch.full((T,), 1 / T, dtype=torch.float64)
    rng = torch.Generator()
    ours = METHOD.direction(problem, params, episode, {}, rng).direction
    plain = {name: value for name, value in params.items() if name != WEIGHTS}
    equal = MultiTask(weighting=Equal())
    theirs = equal.direction(problem, plain, episode.support, {}, rng).direction
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value)


def test_networks_with_auxiliaries_answer_for_their_own_task():
    problem, params, episode = setting(Auxiliary())
    found = weighed_losses(problem, params, episode.support)
    torch.testing.assert_close(found.diagonal(), problem.losses(params, episode.support))
    # Network 0 on the rows of task 2, by hand.
    seen = problem.standardised(params, episode.support)
    f = torch.relu(seen.x[2] @ params["trunk.0.weight"][0] + params["trunk.0.bias"][0])
    out = f @ params["auxiliary.weight"][0, 2] + params["auxiliary.bias"][0, 2]
    torch.testing.assert_close(found[0, 2], (out - seen.y[2]).square().mean())


def test_a_task_without_a_row_in_a_batch_has_no_loss():
    problem, params, episode = setting(Auxiliary())
    support = episode.support
    mask = support.mask.clone()
    mask[2] = False
    found = weighed_losses(problem, params, Batch(support.x, support.y, mask))
    assert found[:, 2].tolist() == [0.0] * T
    assert bool(torch.isfinite(found).all())
    assert bool((found[:, :2] > 0).all())


def test_fitted_heads_are_ridge_regressions_on_every_trunk():
    problem, params, episode = setting(Auxiliary())
    x, y = episode.support.x, episode.support.y
    mask = episode.support.mask.double()
    fitted = problem.sharing.fit_heads(params, x, y, mask)
    f = torch.relu(x[0] @ params["trunk.0.weight"][1] + params["trunk.0.bias"][1])[:7]
    f = torch.cat([f, torch.ones(7, 1, dtype=torch.float64)], 1)
    w = torch.linalg.solve(f.T @ f + 5.0 * torch.eye(6, dtype=torch.float64), f.T @ y[0, :7])
    torch.testing.assert_close(fitted["auxiliary.weight"][1, 0], w[:-1])
    torch.testing.assert_close(fitted["heads.bias"], fitted["auxiliary.bias"].diagonal())


def test_fitted_slopes_are_those_with_heads_fitted_to_classes_as_minus_and_plus_a_half():
    problem, params, episode = setting(Auxiliary())
    support = episode.support
    y = support.y.clone()
    y[1] = torch.where(support.y[1] == 1, 0.5, -0.5)
    fitted = problem.sharing.fit_heads(params, support.x, y, support.mask.double())
    wanted = METHOD.step_slopes(problem, fitted, episode)
    torch.testing.assert_close(METHOD.fitted_slopes(problem, params, episode), wanted)


def test_a_weight_moves_against_its_slope_and_stays_on_the_simplex():
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    slopes = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64)
    moved = AutoLambda(lr=0.3).moved(weights, slopes)
    # A step of 0.3 / 3 each way: (0.6, 0.3, 0.1).
    assert moved.tolist() == pytest.approx([0.6, 0.3, 0.1])
    far = AutoLambda(lr=3.0).moved(weights, slopes)
    assert far.tolist() == pytest.approx([1.5 / 1.8, 0.3 / 1.8, 0.0])


def test_the_weights_of_a_matrix_are_exponentials_of_what_tasks_bring():
    total = torch.tensor([[-2.0, -1.0, -3.0], [0.5, -1.0, 0.0], [0.0, 0.0, -1.0]])
    found = AutoLambda(focus=2.0).matrix(total)
    # Task 2 brings task 1 half of what its own rows do; task 3 more, which counts as much.
    wanted = [[0.0, -1.0, 0.0], [-3.0, 0.0, -2.0], [-2.0, -2.0, 0.0]]
    torch.testing.assert_close(found, torch.tensor(wanted).exp())


def test_slopes_of_a_matrix_cross_the_halves_of_the_training_rows_and_add_up():
    problem, params, episode = setting(Auxiliary())
    rows = episode.support.mask
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Watched(MetaWeighted):
        def fitted_slopes(self, problem, params, batch):
            seen.append((batch.support.mask, batch.query.mask))
            return super().fitted_slopes(problem, params, batch)

    method = Watched(weighting=METHOD.weighting)
    total = method.crossed_slopes(problem, params, episode, torch.Generator().manual_seed(0))
    (one, beside_one), (other, beside_other) = seen
    assert torch.equal(one | other, rows)
    assert not (one & other).any()
    assert torch.equal(beside_one, torch.cat([other, rows], 1))
    assert torch.equal(beside_other, torch.cat([one, rows], 1))
    first = method.direction(problem, params, episode, {}, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.tensor(first.state["slopes"], dtype=total.dtype), total)
    torch.testing.assert_close(first.replace[WEIGHTS], method.weighting.matrix(total))
    again = method.direction(
        problem, params, episode, first.state, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(again.replace[WEIGHTS], method.weighting.matrix(2 * total))


def test_joined_rows_have_the_losses_of_both():
    problem, params, episode = setting(Hard())
    counts = torch.stack([episode.support.mask.sum(1), episode.query.mask.sum(1)])
    parts = torch.stack([problem.losses(params, one) for one in episode])
    both = problem.losses(params, joined(episode.support, episode.query))
    torch.testing.assert_close(both, (counts * parts).sum(0) / counts.sum(0))


@pytest.mark.parametrize("held", [3, 100], ids=["few validation rows", "many"])
def test_a_task_of_noise_loses_its_weight_and_a_copy_keeps_it(held):
    """Task 2 is task 1 with other rows, task 3 is noise: the network of task 1 learns from 2."""
    rng = torch.Generator().manual_seed(0)
    problem = TaskProblem(Auxiliary(), (D, 8), (False,) * T)

    def rows(count: int) -> Batch:
        x = torch.randn(T, count, D, generator=rng)
        y = x[..., 0] - x[..., 1]
        y[2] = torch.randn(count, generator=rng)
        return Batch(x, y)

    episode = Episode(rows(40), rows(held))
    params = problem.init(0)
    method = MetaWeighted(weighting=AutoLambda())
    own, state = method.init(problem, params)
    params = {**params, **own}
    for _ in range(40):
        update = method.direction(problem, params, episode, state, rng)
        moved = {n: params[n] - 0.1 * d for n, d in update.direction.items()}
        params, state = {**params, **moved, **update.replace}, update.state
    assert params[WEIGHTS][0, 2] < 0.05
    assert params[WEIGHTS][0, 1] > 0.5
