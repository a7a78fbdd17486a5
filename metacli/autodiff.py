"""The only file that differentiates: gradients inside a task, and their mean over the tasks of a
meta-batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from metacli.threads import on_workers
from metacli.trees import detach, flatten, unflatten
from metacli.types import Batch, Episode, Metrics, Params

Found = TypeVar("Found")
TaskLoss = Callable[[Params, Episode], tuple[Tensor, Metrics]]
"""(θ, one episode) -> (loss, metrics), both differentiable scalars."""


def grad(loss: Callable[[Params], Tensor], params: Params) -> Params:
    """∇ loss(params). Differentiable itself, also inside `torch.vmap`."""
    recorded = torch.is_grad_enabled() and any(value.requires_grad for value in params.values())
    if not recorded or transformed():
        result: Params = torch.func.grad(loss)(params)
        return result
    # The same with fewer layers for every operation to pass. Views, as one parameter may be made of
    # another (a head of class means), whose gradient does not go through it.
    views = {name: value.view_as(value) for name, value in params.items()}
    found = torch.autograd.grad(
        loss(views), list(views.values()), create_graph=True, materialize_grads=True
    )
    return dict(zip(views, found, strict=True))


def constant_grad(loss: Callable[[Params], Tensor], params: Params) -> Params:
    """∇ loss(params) as a constant, for first-order methods. `grad` records its backward pass in
    any case, which this does only where it has to."""
    if transformed():
        return detach(grad(loss, detach(params)))
    leaves = attached(params)
    with torch.enable_grad():
        value = loss(leaves)
    found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def stops_second_derivatives(loss: Callable[[Params], Tensor], params: Params) -> bool:
    """Whether ∇ loss has an operation inside that torch was asked to differentiate once
    (`once_differentiable`): a second derivative leaves its part out without a word."""
    with torch.enable_grad():
        theta = attached(params)
        slopes = torch.autograd.grad(
            loss(theta), list(theta.values()), create_graph=True, materialize_grads=True
        )
    left = [slope.grad_fn for slope in slopes if slope.grad_fn is not None]
    seen = set(left)
    while left:
        node = left.pop()
        if node.name().endswith("Error"):
            return True
        parents = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= parents
        left += parents
    return False


def transformed() -> bool:
    """Whether this runs inside `torch.vmap` or its kin, where no leaf can be made."""
    try:
        torch.empty(0).requires_grad_()
    except RuntimeError:
        return True
    return False


def num_tasks(episodes: Episode) -> int:
    """B of a meta-batch."""
    return episodes.query.x.shape[0]


def slice_tasks(episodes: Episode, start: int, stop: int) -> Episode:
    """Tasks start..stop-1 of a meta-batch, as a meta-batch."""
    return map_batches(lambda value: value[start:stop], episodes)


def one_task(episodes: Episode, index: int) -> Episode:
    """Task `index` of a meta-batch, without the leading axis."""
    return map_batches(lambda value: value[index], episodes)


def unpadded(task: Episode) -> Episode:
    """The rows that count: a task by itself has no need to carry padding through the network."""
    support, query = (
        half if half.mask is None else Batch(half.x[half.mask], half.y[half.mask]) for half in task
    )
    return Episode(support, query)


def map_batches(fn: Callable[[Tensor], Tensor], episodes: Episode) -> Episode:
    """fn applied to every tensor of support and query."""
    support, query = (
        Batch(fn(half.x), fn(half.y), None if half.mask is None else fn(half.mask))
        for half in episodes
    )
    return Episode(support, query)


def over_tasks(fn: Callable[[Episode], Found], episodes: Episode, chunk: int) -> list[Found]:
    """fn of every task: `chunk` tasks at a time through `torch.vmap`; chunk 1 is a plain loop, the
    reference.

    Returns a list with one result per chunk; with chunk > 1 each result has a leading task axis.
    """
    return [run_chunk(fn, part, chunk) for part in divided(episodes, chunk)]


def divided(episodes: Episode, chunk: int) -> list[Episode]:
    """A meta-batch as meta-batches of `chunk` tasks; the last may be smaller."""
    total = num_tasks(episodes)
    return [slice_tasks(episodes, at, min(at + chunk, total)) for at in range(0, total, chunk)]


def run_chunk(fn: Callable[[Episode], Found], part: Episode, chunk: int) -> Found:
    """fn of the tasks of one chunk, which is a single task without its axis where `chunk` is 1."""
    if chunk == 1:
        return fn(one_task(part, 0))
    found: Found = torch.vmap(fn, in_dims=(map_axes(part),), randomness="different")(part)
    return found


SMALL = 80_000  # numbers in the examples of one task: 100 images of 28x28


def in_order(fn: Callable[[Episode], Found], parts: list[Episode]) -> Iterator[Found]:
    """fn of every part, in order. As many parts at a time as torch has threads, each on one thread
    alone: a task is too small to be divided well. One after the other where a part is one small
    task, whose operations are so short that threads would wait for each other's turn in Python.
    """
    threads, first = torch.get_num_threads(), parts[0]
    if threads == 1 or len(parts) == 1 or first.query.x.device.type != "cpu":
        return map(fn, parts)
    if num_tasks(first) == 1 and first.support.x.numel() + first.query.x.numel() < SMALL:
        return map(fn, parts)
    return on_workers(fn, parts, threads)


def map_axes(episodes: Episode) -> Episode:
    """vmap's in_dims: axis 0 of every tensor, None where there is no mask."""
    return Episode(*(type(half)(*(None if v is None else 0 for v in half)) for half in episodes))  # type: ignore[arg-type]


def mean_gradient(
    fn: TaskLoss, params: Params, episodes: Episode, chunk: int
) -> tuple[Params, Metrics]:
    """∇_θ (1/B) Σ_i L_i(θ) and the mean metrics over the B tasks of a meta-batch.

    The graph of one chunk is freed before the next is built, so `chunk` bounds the memory.
    """
    total = num_tasks(episodes)
    theta = attached(params)
    part_of = lambda part: part_gradient(fn, theta, part, chunk, total)  # noqa: E731
    return added(in_order(part_of, divided(episodes, chunk)))


Part = tuple[Params, Metrics]
"""What one chunk adds to the mean gradient, or direction, and to the mean metrics."""


def attached(params: Params) -> Params:
    """The same numbers, of which a gradient can be asked."""
    return {key: value.detach().requires_grad_() for key, value in params.items()}


def part_gradient(fn: TaskLoss, theta: Params, part: Episode, chunk: int, total: int) -> Part:
    """(1/total) times ∇_θ of the sum of the losses of one chunk, and the metrics likewise."""
    one = lambda task: fn(theta, unpadded(task) if chunk == 1 else task)  # noqa: E731
    loss, metrics = run_chunk(one, part, chunk)
    grads = torch.autograd.grad(loss.sum() / total, list(theta.values()), materialize_grads=True)
    found = {name: value.detach().sum() / total for name, value in metrics.items()}
    return dict(zip(theta, grads, strict=True)), found


def mean_direction(
    fn: Callable[[Episode], tuple[Params, Metrics]], episodes: Episode, chunk: int
) -> tuple[Params, Metrics]:
    """The mean over tasks of a direction that is not a gradient (Reptile's θ - φ), and the mean
    metrics."""
    total, parts = num_tasks(episodes), divided(episodes, chunk)
    one = lambda part: part_direction(fn, part, chunk, total)  # noqa: E731
    return added(in_order(one, parts))


def part_direction(
    fn: Callable[[Episode], tuple[Params, Metrics]], part: Episode, chunk: int, total: int
) -> Part:
    """(1/total) times the sum of the directions of one chunk, and the metrics likewise."""
    found: Part = ({}, {})
    for sums, values in zip(found, run_chunk(fn, part, chunk), strict=True):
        for name, value in values.items():
            whole = value.detach() if chunk == 1 else value.detach().sum(0)
            sums[name] = whole / total
    return found


def added(parts: Iterable[Part]) -> Part:
    """The parts added in their order."""
    found: Part = ({}, {})
    for part in parts:
        for sums, values in zip(found, part, strict=True):
            for name, value in values.items():
                sums[name] = sums[name] + value if name in sums else value
    return found


def gradient(
    fn: Callable[[Params], tuple[Tensor, Tensor]], params: Params
) -> tuple[Params, Tensor]:
    """∇ of the scalar that fn gives first, zero where it does not depend; and the detached rest."""
    theta = attached(params)
    value, rest = fn(theta)
    grads = torch.autograd.grad(value, list(theta.values()), materialize_grads=True)
    return dict(zip(theta, grads, strict=True)), rest.detach()


def task_rows(fn: Callable[[Params], Tensor], params: Params) -> Tensor:
    """J [T, P]: the gradient of each of the T losses, in the order of `flatten`."""
    theta = attached(params)
    losses = fn(theta)
    rows = [
        torch.autograd.grad(loss, list(theta.values()), retain_graph=True, materialize_grads=True)
        for loss in losses
    ]
    return torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows])


def copied_rows(fn: Callable[[Params], Tensor], params: Params, tasks: int) -> Tensor:
    """J [T, P] as `task_rows`, by one backward pass: every task gets a copy of the parameters,
    [T, ...], so that the gradient of the sum of the losses holds each task's own.

    Args:
        fn: losses [T] of parameters with a leading task axis.
    """
    theta = {
        key: value.detach().expand(tasks, *value.shape).clone().requires_grad_()
        for key, value in params.items()
    }
    rows = torch.autograd.grad(fn(theta).sum(), list(theta.values()), materialize_grads=True)
    return torch.cat([part.reshape(tasks, -1) for part in rows], 1)


def task_gradients(fn: Callable[[Params], Tensor], params: Params) -> Params:
    """The gradient of each of the T losses: every parameter with a leading [T]."""
    theta = attached(params)
    rows = [
        torch.autograd.grad(loss, list(theta.values()), retain_graph=True, materialize_grads=True)
        for loss in fn(theta)
    ]
    parts = zip(*rows, strict=True)
    return {key: torch.stack(each) for key, each in zip(theta, parts, strict=True)}


Add = Callable[[Tensor], Tensor]
"""A tensor to the sum of it and of those that other processes give at the same time."""


def added_up(fn: Callable[[Params], Tensor], params: Params, add: Add) -> Tensor:
    """add(fn(params)), a function of the parameters that all processes have alike: its gradient is
    `add` of the gradients, too. To be differentiated once; every process has to do so."""
    moved = {name: value for name, value in params.items() if value.requires_grad}
    if not moved or not torch.is_grad_enabled():
        return add(fn(params))
    vector = flatten(moved)
    vector.register_hook(add)
    mine = fn({**params, **unflatten(vector, moved)})
    return add(mine.detach()) + (mine - mine.detach())  # the second part is zero, and has a slope
