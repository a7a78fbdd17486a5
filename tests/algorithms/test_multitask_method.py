"""One step on all tasks: what its direction is the gradient of, and which gradients a weighting is
shown."""

from __future__ import annotations

import pytest
import torch

from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.surgery.pcgrad import PCGrad
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.algorithms.multitask.weighting.fixed import Fixed
from metacli.algorithms.multitask.weighting.gradnorm import GradNorm
from metacli.algorithms.multitask.weighting.log import Log
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.nn.sharing.soft_l2 import SoftL2
from metacli.types import Batch, Params

T, M, D = 3, 10, 4
STRENGTH = 0.7


def rows() -> Batch:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(T, M, D, generator=draw, dtype=torch.float64)
    return Batch(x, torch.randn(T, M, generator=draw, dtype=torch.float64))


def moved(problem: TaskProblem) -> Params:
    """Float64 parameters away from where they begin, no two tasks alike."""
    draw = torch.Generator().manual_seed(1)
    return {
        name: value.double()
        + (0.3 if name in problem.trainable else 0.0)
        * torch.randn(value.shape, generator=draw, dtype=torch.float64)
        for name, value in problem.init(0).items()
    }


def slopes(problem: TaskProblem, params: Params, weights: list[float]) -> Params:
    """The gradient of Σ w_t L_t / T + penalty, the penalty written out."""
    leaves = {name: params[name].clone().requires_grad_() for name in sorted(problem.trainable)}
    losses = problem.losses({**params, **leaves}, rows())
    total = (torch.tensor(weights, dtype=torch.float64) * losses).mean()
    if isinstance(problem.sharing, SoftL2):
        for value in leaves.values():
            total = total + STRENGTH * (value - value.mean(0)).square().sum() / T
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


@pytest.mark.parametrize("scheme", [SoftL2(strength=STRENGTH), Hard()], ids=["soft", "hard"])
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [2.0, 0.5, 0.5]], ids=["equal", "fixed"])
def test_the_direction_is_the_gradient_of_weighted_losses_and_of_the_pull(
    scheme: SoftL2 | Hard, weights: list[float]
) -> None:
    problem = TaskProblem(scheme, (D, 5), (False,) * T)
    params = moved(problem)
    weighting = Equal() if weights[0] == 1 else Fixed(weights=tuple(weights))
    update = MultiTask(weighting=weighting).direction(
        problem, params, rows(), weighting.init(T)[1], torch.Generator()
    )
    wanted = slopes(problem, params, weights)
    assert update.direction.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(update.direction[name], value, rtol=1e-9, atol=1e-12)
    assert update.metrics["loss"] == pytest.approx(float(problem.losses(params, rows()).mean()))


def test_gradnorm_is_shown_the_norms_at_the_last_of_several_shared_layers() -> None:
    problem = TaskProblem(Hard(), (D, 6, 5), (False,) * T)
    params = moved(problem)
    found = MultiTask(weighting=GradNorm()).norms(problem, params, rows())
    layers = [name for name in problem.shared if name.endswith(".weight")]
    assert len(layers) == 2
    wanted = []
    for task in range(T):
        leaf = params[layers[-1]].clone().requires_grad_()
        loss = problem.losses({**params, layers[-1]: leaf}, rows())[task]
        wanted.append(float(torch.autograd.grad(loss, leaf)[0].norm()))
    assert found is not None
    assert found.tolist() == pytest.approx(wanted, rel=1e-9)
    assert MultiTask(weighting=Equal()).norms(problem, params, rows()) is None


@pytest.mark.parametrize("weighting", [Equal(), Log()], ids=["losses", "logarithms"])
def test_a_surgery_gets_the_gradients_of_the_tasks_terms_and_heads_keep_the_objectives(
    weighting: Equal | Log,
) -> None:
    problem = TaskProblem(Hard(), (D, 5), (False,) * T)
    params = moved(problem)
    method = MultiTask(weighting=weighting, surgery=PCGrad())
    update = method.direction(problem, params, rows(), {}, torch.Generator().manual_seed(3))
    gradients, heads = [], []
    for task in range(T):
        names = (*problem.shared, "heads.weight")
        leaves = {name: params[name].clone().requires_grad_() for name in names}
        loss = problem.losses({**params, **leaves}, rows())[task]
        term = (loss + 1e-8).log() if isinstance(weighting, Log) else loss
        *found, head = torch.autograd.grad(term, list(leaves.values()))
        gradients.append(torch.cat([one.flatten() for one in found]))
        heads.append(head / T)
    wanted = PCGrad().combine(torch.stack(gradients), torch.Generator().manual_seed(3))
    made = torch.cat([update.direction[name].flatten() for name in problem.shared])
    torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(update.direction["heads.weight"], sum(heads), rtol=1e-9, atol=1e-12)
