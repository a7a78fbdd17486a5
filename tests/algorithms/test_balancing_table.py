"""Every weighting and surgery of the table, and the method that holds them: a new line is covered
without a line here."""

from __future__ import annotations

import json

import pytest
import torch

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.algorithms.multitask.method import MultiTask, jacobian
from metacli.algorithms.multitask.surgery.db_mtl import DBMTL
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.algorithms.multitask.weighting.gradnorm import GradNorm
from metacli.algorithms.multitask.weighting.log import Log
from metacli.autodiff import task_rows
from metacli.errors import UsageProblem
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.nn.sharing.soft_l2 import SoftL2
from metacli.nn.sharing.soft_pairwise import SoftPairwise
from metacli.trees import flatten, pick
from metacli.types import Batch

TASKS = 3
REQUIRED = {"fixed": {"weights": (1.0,) * TASKS}}  # fields without a default


def of_the_table(kind: str) -> list[Weighting] | list[Surgery]:
    """Every entry, so that a new line is covered without a line here."""
    lines = [(name, ALGORITHMS[name]) for name in names("multitask")]
    found = [
        entry.load()(**REQUIRED.get(name, {}))
        for name, entry in lines
        if entry.module.startswith(f"multitask.{kind}.")
    ]
    assert len(found) > 6
    return found


WEIGHTINGS = of_the_table("weighting")
SURGERIES = of_the_table("surgery")
name_of = lambda one: type(one).__name__  # noqa: E731


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(seed: int, tasks: int = 4, size: int = 6) -> torch.Tensor:
    return torch.randn(tasks, size, generator=rng(seed), dtype=torch.float64)


LENGTHS = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
GIVEN = torch.tensor([0.3, 2.0, 1.1], dtype=torch.float64)
WITHOUT_VALIDATION = [one for one in WEIGHTINGS if not one.needs_validation]
every_weighting = pytest.mark.parametrize("weighting", WEIGHTINGS, ids=name_of)
every_surgery = pytest.mark.parametrize("surgery", SURGERIES, ids=name_of)


def steps_of(weighting: Weighting, losses: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """The slopes of each step, every loss 5 % smaller than in the one before."""
    own, state = weighting.init(len(losses))
    own = {name: value.to(losses.dtype) for name, value in own.items()}
    norms = LENGTHS.to(losses.dtype) if weighting.needs_norms else None
    found = []
    for step in range(steps):
        leaf = (losses * 0.95**step).requires_grad_()
        value, state = weighting.objective(leaf, norms, own, state, rng(step))
        assert value.shape == ()
        assert value.dtype == losses.dtype
        state = json.loads(json.dumps(state, allow_nan=False))  # as it is saved
        found.append(torch.autograd.grad(value, leaf)[0])
    return found


@every_weighting
def test_no_weighting_raises_a_loss_or_is_not_finite(weighting):
    for slope in steps_of(weighting, GIVEN, 40):
        assert torch.isfinite(slope).all()
        assert (slope >= 0).all()
        assert slope.sum() > 0


@every_weighting
def test_a_weighting_gives_the_same_again_and_leaves_its_inputs_alone(weighting):
    losses = GIVEN.clone()
    first, second = (steps_of(weighting, losses, 15) for _ in range(2))
    assert torch.equal(losses, GIVEN)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_weighting
def test_a_loss_of_zero_leaves_the_others_finite(weighting):
    losses = torch.tensor([0.0, 1.0, 2.0])
    for slope in steps_of(weighting, losses, 15):
        assert torch.isfinite(slope).all()


@every_weighting
def test_a_weighting_is_called_by_itself(weighting):
    if weighting.needs_validation:
        with pytest.raises(UsageProblem, match="validation"):
            weighting(GIVEN)
        return
    own, state = weighting.init(TASKS)
    own = {name: value.double() for name, value in own.items()}
    norms = LENGTHS if weighting.needs_norms else None
    found, after = weighting(GIVEN, params=own, norms=norms, rng=rng())
    wanted, memory = weighting.objective(GIVEN, norms, own, state, rng())
    assert torch.equal(found, wanted)
    assert after == memory


@every_surgery
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_surgery_keeps_shape_and_type_and_gives_the_same_again(surgery, dtype):
    g = rows(0).to(dtype)
    before = g.clone()
    first, second = surgery.combine(g, rng(1)), surgery(g, rng(1))
    assert torch.equal(g, before)
    assert torch.equal(first, second)
    assert (first.shape, first.dtype) == ((6,), dtype)
    assert torch.isfinite(first).all()


@every_surgery
def test_a_single_task_keeps_its_direction(surgery):
    g = rows(2, tasks=1)
    d = surgery.combine(g, rng())
    torch.testing.assert_close(d / d.norm(), g[0] / g[0].norm(), rtol=1e-6, atol=1e-6)


@every_surgery
def test_tasks_that_agree_keep_their_direction(surgery):
    g = rows(2, tasks=1).expand(3, -1)
    d = surgery.combine(g, rng())
    torch.testing.assert_close(d / d.norm(), g[0] / g[0].norm(), rtol=1e-6, atol=1e-6)


@every_surgery
def test_a_direction_lies_in_the_span_of_the_gradients_and_helps_on_the_whole(surgery):
    for seed in range(3):
        g = rows(seed, tasks=3)
        d = surgery.combine(g, rng())
        inside = g.T @ torch.linalg.lstsq(g.T, d[:, None]).solution
        torch.testing.assert_close(inside[:, 0], d, rtol=1e-6, atol=1e-6)
        assert g.mean(0) @ d > -1e-9


@every_surgery
def test_gradients_of_zero_give_a_finite_direction(surgery):
    assert surgery.combine(torch.zeros(3, 5), rng()).tolist() == [0.0] * 5
    mixed = torch.cat([rows(0)[:2].float(), torch.zeros(1, 6)])
    assert torch.isfinite(surgery.combine(mixed, rng())).all()


# The method that holds them


def problem_and_batch() -> tuple[TaskProblem, dict[str, torch.Tensor], Batch]:
    problem = TaskProblem(Hard(), (4, 6), (False, False, True))
    x = torch.randn(3, 9, 4, generator=rng(3))
    y = torch.randn(3, 9, generator=rng(4))
    y[2] = (y[2] > 0).float()
    return problem, problem.init(0), Batch(x, y)


@pytest.mark.parametrize("weighting", WITHOUT_VALIDATION, ids=name_of)
def test_a_step_moves_everything_that_is_learned_and_the_loss_falls(weighting):
    problem, params, batch = problem_and_batch()
    method = MultiTask(weighting=weighting)
    own, state = method.init(problem, params)
    theta = {**params, **own}
    losses = []
    for step in range(30):
        update = method.direction(problem, theta, batch, state, rng(step))
        assert set(update.direction) == problem.trainable | set(own)
        theta = {**theta, **{k: theta[k] - 0.1 * d for k, d in update.direction.items()}}
        state = update.state
        losses.append(float(update.metrics["loss"]))
    assert losses[-1] < 0.9 * losses[0]


@every_surgery
def test_surgery_changes_the_trunk_and_leaves_the_heads_to_the_objective(surgery):
    problem, params, batch = problem_and_batch()
    plain = MultiTask(weighting=Equal()).direction(problem, params, batch, {}, rng()).direction
    balanced = MultiTask(weighting=Equal(), surgery=surgery)
    step = balanced.direction(problem, params, batch, {}, rng()).direction
    for name in ("heads.weight", "heads.bias"):
        torch.testing.assert_close(step[name], plain[name])
    J = jacobian(problem, params, pick(params, problem.shared), batch)
    torch.testing.assert_close(flatten(pick(step, problem.shared)), surgery.combine(J, rng()))


def test_the_rows_of_the_jacobian_are_the_gradients_of_each_task():
    problem, params, batch = problem_and_batch()
    shared = pick(params, problem.shared)
    J = task_rows(lambda theta: problem.losses({**params, **theta}, batch), shared)
    torch.testing.assert_close(J, jacobian(problem, params, shared, batch))
    plain = MultiTask(weighting=Equal()).direction(problem, params, batch, {}, rng()).direction
    torch.testing.assert_close(J.mean(0), flatten(pick(plain, problem.shared)))


def test_gradnorm_looks_at_the_last_of_the_shared_layers():
    problem = TaskProblem(Hard(), (4, 6, 5), (False, False))
    params, batch = problem.init(0), Batch(torch.randn(2, 9, 4, generator=rng(1)), rows(2, 2, 9))
    found = MultiTask(weighting=GradNorm()).norms(problem, params, batch)
    last = {"trunk.1.weight": params["trunk.1.weight"]}
    wanted = jacobian(problem, params, last, batch).norm(dim=1)
    first = jacobian(problem, params, {"trunk.0.weight": params["trunk.0.weight"]}, batch)
    torch.testing.assert_close(found, wanted)
    assert (found - first.norm(dim=1)).abs().min() > 1e-3


@pytest.mark.parametrize("scheme", [SoftL2(strength=0.7), SoftPairwise(strength=0.7)], ids=name_of)
def test_the_pull_of_soft_sharing_is_a_part_of_every_step(scheme):
    problem = TaskProblem(scheme, (4, 6), (False, False, False))
    params = {
        name: value + 0.1 * torch.randn(value.shape, generator=rng(5)).to(value)
        for name, value in problem.init(0).items()
    }
    batch = Batch(torch.randn(3, 9, 4, generator=rng(3)), torch.randn(3, 9, generator=rng(4)))
    step = MultiTask(weighting=Equal()).direction(problem, params, batch, {}, rng()).direction
    leaves = {n: params[n].clone().requires_grad_() for n in problem.trainable}
    now = {**params, **leaves}
    total = problem.losses(now, batch).mean() + problem.penalty(leaves)
    grads = torch.autograd.grad(total, list(leaves.values()))
    for (name, _), wanted in zip(leaves.items(), grads, strict=True):
        torch.testing.assert_close(step[name], wanted)
    pull = torch.autograd.grad(problem.penalty(leaves), leaves["heads.weight"])[0]
    assert pull.abs().max() > 1e-2


def test_dual_balancing_is_the_algorithm_with_logarithms_lengths_and_its_average():
    problem, params, batch = problem_and_batch()
    method = MultiTask(weighting=Log(eps=1e-12), surgery=DBMTL(beta=0.8))
    own, state = method.init(problem, params)
    assert [name for name in own if name.startswith("surgery.")] == ["surgery.gradients.0"]
    theta, average = {**params, **own}, None
    for step in range(3):
        shared = pick(theta, problem.shared)
        each = task_rows(lambda at, now=theta: problem.losses({**now, **at}, batch).log(), shared)
        average = each if average is None else 0.8 * average + 0.2 * each
        lengths = average.norm(dim=1, keepdim=True)
        wanted = lengths.max() * (average / lengths).mean(0)
        update = method.direction(problem, theta, batch, state, rng(step))
        found = flatten(pick(update.direction, problem.shared))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
        theta = {**theta, **{k: theta[k] - 0.1 * d for k, d in update.direction.items()}}
        theta, state = {**theta, **update.replace}, update.state


def test_dual_balancing_is_blind_to_the_scale_of_a_loss():
    g = rows(3, tasks=3)
    lengths = DBMTL().combine(g, rng()).norm()
    scaled = g * torch.tensor([[1.0], [1e-3], [1e-2]], dtype=torch.float64)
    a, b = DBMTL().combine(g, rng()), DBMTL().combine(scaled, rng())
    torch.testing.assert_close(a / a.norm(), b / b.norm())
    assert lengths <= g.norm(dim=1).max()
