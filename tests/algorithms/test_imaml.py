"""iMAML: conjugate gradients against a dense solve, the closed form, and the gradient through a
very long inner loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.imaml import IMAML, conjugate_gradient
from metacli.algorithms.meta.inner import HEAD
from metacli.nn.problem import Problem
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=toys.rng(seed), dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_conjugate_gradients_solve_as_many_eigenvalues_as_they_take_steps(steps: int) -> None:
    basis, _ = torch.linalg.qr(random(20, 20))
    values = 1 + torch.arange(20, dtype=torch.float64) % steps  # so many different ones
    matrix, b = basis * values @ basis.T, random(20, seed=1)
    found = conjugate_gradient(matrix.__matmul__, b, steps)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, b), rtol=0, atol=1e-10)
    longer = conjugate_gradient(matrix.__matmul__, b, steps + 7)
    torch.testing.assert_close(longer, found, rtol=0, atol=1e-10)


def test_conjugate_gradients_stay_where_the_curvature_is_not_positive() -> None:
    b = random(6)
    assert torch.equal(conjugate_gradient(lambda v: -3 * v, b, 4), b)
    assert torch.equal(conjugate_gradient(lambda v: v, b, 4), b)  # solved before it begins


@pytest.mark.parametrize("proximal", [0.5, 3.0])
def test_direction_on_a_quadratic_is_the_closed_form(proximal: float) -> None:
    # r = wx + c − y of loss r². At the optimum r* = r/(1 + 2s/λ), s = x² + 1, and the direction
    # is 2 r* (x, 1) / (1 + 2s/λ).
    w, c, x = 1.3, 0.2, 0.5
    y = torch.tensor([-0.4, 2.0, 0.9], dtype=torch.float64)
    batch = Batch(torch.full((3, 1, 1), x, dtype=torch.float64), y[:, None, None])
    params = {
        HEAD[0]: torch.tensor([[w]], dtype=torch.float64),
        HEAD[1]: torch.tensor([c], dtype=torch.float64),
    }
    learner = IMAML(inner_lr=0.1, inner_steps=600, proximal=proximal, cg_steps=2)
    problem = toys.bare_problem("regression", 1, 1)
    found = learner.direction(problem, params, Episode(batch, batch), {}, toys.rng()).direction
    shrink = 1 + 2 * (x * x + 1) / proximal
    wanted = float((2 * (w * x + c - y) / shrink**2).mean())
    assert found[HEAD[0]].item() == pytest.approx(wanted * x, rel=1e-10)
    assert found[HEAD[1]].item() == pytest.approx(wanted, rel=1e-10)


def dense_direction(
    learner: IMAML, problem: Problem, params: Params, network: Any, loss: Any, episodes: Episode
) -> Params:
    """Prox by hand, the Hessian row by row, a dense solve, and back through the first head."""
    names = sorted(problem.trainable | set(HEAD))
    maml = reference.MAML(network=network, loss=loss, lr=0.0, steps=0, head=learner.head)
    leaves = {n: v.clone().requires_grad_(n in problem.trainable) for n, v in params.items()}
    sums = {name: torch.zeros_like(params[name]) for name in sorted(problem.trainable)}
    tasks = len(episodes.query.y)
    for index in range(tasks):
        support, query = (half[:2] for half in toys.task(episodes, index))
        begin = maml.adapted(leaves, support[0], support[1], problem.trainable)
        center = {name: begin[name].detach() for name in names}
        phi = dict(center)

        def value(numbers: Params, half: tuple) -> torch.Tensor:
            return loss(reference.linear(numbers, network(numbers, half[0])), half[1])

        for _ in range(learner.inner_steps):
            fast = {n: v.detach().requires_grad_() for n, v in phi.items()}
            grads = torch.autograd.grad(value({**params, **fast}, support), list(fast.values()))
            phi = {
                n: fast[n].detach()
                - learner.inner_lr * (g + learner.proximal * (fast[n].detach() - center[n]))
                for n, g in zip(names, grads, strict=True)
            }
        flat = torch.cat([phi[n].flatten() for n in names]).requires_grad_()
        pieces = flat.split([phi[n].numel() for n in names])
        at = {n: p.view_as(phi[n]) for n, p in zip(names, pieces, strict=True)}
        [g] = torch.autograd.grad(value({**params, **at}, support), [flat], create_graph=True)
        rows = [torch.autograd.grad(one, [flat], retain_graph=True)[0] for one in g]
        [b] = torch.autograd.grad(value({**params, **at}, query), [flat])
        matrix = torch.eye(len(flat), dtype=torch.float64) + torch.stack(rows) / learner.proximal
        solved = torch.linalg.solve(matrix, b).split([phi[n].numel() for n in names])
        total = sum(
            (begin[n] * v.view_as(phi[n])).sum() for n, v in zip(names, solved, strict=True)
        )
        back = torch.autograd.grad(total, [leaves[n] for n in sums], materialize_grads=True)
        sums = {n: sums[n] + part / tasks for n, part in zip(sums, back, strict=True)}
    return sums


def assert_equals_dense(
    learner: IMAML, problem: Problem, network: Any, loss: Any, episodes: Episode
) -> None:
    params = toys.shaken(problem)
    wanted = dense_direction(learner, problem, params, network, loss, episodes)
    assert max(float(v.abs().max()) for v in wanted.values()) > 1e-3
    for chunk in (1, 2):
        cut = dataclasses.replace(problem, chunk=chunk)
        update = learner.direction(cut, params, episodes, {}, toys.rng())
        # Conjugate gradients end at the solution up to the rounding of their recurrences.
        toys.assert_same(update.direction, wanted, atol=1e-9)


def test_direction_on_regressions_equals_the_dense_solve() -> None:
    learner = IMAML(inner_lr=0.02, inner_steps=7, proximal=3.0, cg_steps=80)
    problem = toys.wave_problem((4, 4))
    assert_equals_dense(learner, problem, reference.mlp, reference.mean_square, toys.waves(2))


@pytest.mark.parametrize("head", ["linear", "proto", "shared"])
def test_direction_with_every_head_equals_the_dense_solve(head: Any) -> None:
    learner = IMAML(inner_lr=0.05, inner_steps=3, proximal=4.0, cg_steps=60, head=head)
    waves = toys.wave_problem((4,))
    problem = dataclasses.replace(waves, kind="classification", head=learner.head_size(3))
    y = torch.arange(3).repeat_interleave(2).expand(2, -1)
    episodes = Episode(*(Batch(random(2, 6, 1, seed=seed), y) for seed in (1, 2)))
    assert_equals_dense(learner, problem, reference.mlp, reference.class_averaged, episodes)


def test_at_the_optimum_it_is_the_gradient_through_the_whole_inner_loop() -> None:
    # Equation 6: the implicit gradient is that of the optimum, which 400 steps are as good as at.
    learner = IMAML(inner_lr=0.1, inner_steps=400, proximal=2.0, cg_steps=60)
    problem = toys.bare_problem("classification", 4, 3)
    y = torch.arange(3).repeat_interleave(2)[None]
    episodes = Episode(Batch(random(1, 6, 4), y), Batch(random(1, 6, 4, seed=1), y))
    params = toys.shaken(problem)
    support, query = (half[:2] for half in toys.task(episodes))

    def unrolled(theta: Params, index: int) -> torch.Tensor:
        phi = dict(theta)
        for _ in range(learner.inner_steps):
            away = sum(((phi[n] - theta[n]) ** 2).sum() for n in HEAD)
            value = reference.class_averaged(reference.linear(phi, support[0]), support[1]) + away
            grads = torch.autograd.grad(value, [phi[n] for n in HEAD], create_graph=True)
            phi = {n: phi[n] - learner.inner_lr * g for n, g in zip(HEAD, grads, strict=True)}
        return reference.class_averaged(reference.linear(phi, query[0]), query[1])

    wanted, mean = reference.meta_gradient(unrolled, params, problem.trainable, 1)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted, atol=1e-10)
    torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-10, atol=0)


def test_without_steps_of_either_kind_it_is_the_gradient_at_the_start() -> None:
    learner, problem = IMAML(inner_steps=0, cg_steps=0), toys.conv_problem(3, norm="batch")
    params, episodes = toys.shaken(problem), toys.pictures(2)

    def at_start(theta: Params, index: int) -> torch.Tensor:
        x, y, _ = toys.task(episodes, index).query
        features = reference.ConvNet("batch")(theta, x)
        return reference.class_averaged(reference.linear(theta, features), y)

    wanted, _ = reference.meta_gradient(at_start, params, problem.trainable, 2)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)
