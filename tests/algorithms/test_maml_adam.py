"""MAML with inner Adam: the steps are torch's, and the gradient goes through the moments."""

from __future__ import annotations

import pytest
import torch
import toys

from metacli.algorithms.meta.maml_adam import MAMLAdam

pytestmark = pytest.mark.usefixtures("one_thread")


def setting():
    problem = toys.conv_problem(3, norm="group")
    return problem, toys.shaken(problem), toys.pictures(1)


def test_its_steps_are_those_of_torchs_adam() -> None:
    problem, params, episodes = setting()
    support = toys.task(episodes).support
    learner = MAMLAdam(inner_lr=0.01, inner_steps=4, eps=1e-12)
    found = learner.adapt(problem, params, support)
    moved = {n: v.clone().requires_grad_() for n, v in params.items() if n in problem.trainable}
    optimizer = torch.optim.Adam(moved.values(), 0.01, eps=1e-12)
    for _ in range(4):
        optimizer.zero_grad()
        problem.loss_on({**params, **moved}, support).backward()
        optimizer.step()
    for name, value in moved.items():
        grad = value.grad.abs() > 1e-9  # where it is 0, one has no step and the other rounding
        torch.testing.assert_close(found[name][grad], value.detach()[grad], rtol=1e-6, atol=1e-7)


def test_the_direction_is_the_slope_of_the_query_loss_after_the_steps() -> None:
    problem, params, episodes = setting()
    learner = MAMLAdam(inner_lr=0.01, inner_steps=3, eps=1e-2)

    def at(theta) -> torch.Tensor:
        return learner.direction(problem, theta, episodes, {}, toys.rng()).metrics["query_loss"]

    step = learner.direction(problem, params, episodes, {}, toys.rng()).direction
    rng = toys.rng(3)
    along = {n: torch.randn(v.shape, generator=rng, dtype=v.dtype) for n, v in step.items()}
    ends = [
        at({**params, **{n: params[n] + s * v for n, v in along.items()}}) for s in (1e-6, -1e-6)
    ]
    found = torch.stack([(step[n] * along[n]).sum() for n in along]).sum()
    torch.testing.assert_close(found, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8)


def test_a_unit_that_is_idle_leaves_the_gradient_finite() -> None:
    problem, params, episodes = setting()
    idle = {n: torch.full_like(v, -100.0) for n, v in params.items() if n.endswith("norm.bias")}
    assert idle
    dead = {**params, **idle}
    step = MAMLAdam(inner_steps=2).direction(problem, dead, episodes, {}, toys.rng()).direction
    assert all(torch.isfinite(value).all() for value in step.values())


def test_the_first_step_is_as_long_for_every_scale_of_the_loss() -> None:
    problem = toys.bare_problem("regression", 2, 1)
    params = {"head.weight": torch.zeros(1, 2).double(), "head.bias": torch.zeros(1).double()}
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    for scale in (1.0, 1000.0):
        support = toys.Batch(x, scale * x[:, :1])
        phi = MAMLAdam(inner_lr=0.1, inner_steps=1, eps=1e-12).adapt(problem, params, support)
        torch.testing.assert_close(phi["head.weight"].abs(), torch.full((1, 2), 0.1).double())
