"""The one training loop. It names no algorithm, prints nothing, and tells what happened by events.

A step is a pure function of (θ, memory, step number): the batch, the learning rate and the random
numbers are all made from the step, so what has to be saved to resume is a `Snapshot` and nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from metacli.algorithms.learner import Method
from metacli.data.draws import stream
from metacli.engine.events import Reporter, StepDone
from metacli.engine.training.dropping import StepDropped
from metacli.errors import RunFailed
from metacli.schema.blocks import Train
from metacli.trees import all_finite
from metacli.types import Params, State, Update

OPTIMIZER = "optimizer."
Network = TypeVar("Network")
Data = TypeVar("Data")


@dataclass(frozen=True)
class Snapshot:
    """Everything after `step` steps. `optimizer` holds the optimiser's tensors as
    `<parameter>/<name>`."""

    step: int
    params: Params
    state: State
    optimizer: Params


Droppable = Callable[[Callable[[], Snapshot]], AbstractContextManager[None]]


@dataclass(frozen=True)
class Pace:
    """How a run goes with the time.

    Args:
        elapsed_share: share of a time limit that is spent, 0..1; the learning-rate schedule ends
            with it.
        droppable: the block of each step, which may raise StepDropped: then the state before it
            is visited, and training ends. It gets a function that gives that state.
    """

    elapsed_share: Callable[[], float] = lambda: 0.0
    droppable: Droppable = lambda rescue: nullcontext()


def train(
    method: Method[Network, Data],
    problem: Network,
    batch_at: Callable[[int], Data],
    settings: Train,
    begin: Snapshot,
    *,
    learned: frozenset[str],
    seed: int,
    every: int,
    visit: Callable[[Snapshot], None],
    stop: Callable[[], bool],
    report: Reporter,
    pace: Pace | None = None,
) -> Snapshot:
    """Train until `settings.steps`, or until `stop()` says so after a step.

    Args:
        learned: names of the parameters that the optimiser sees.
        visit: called every `every` steps and at the end; it validates and saves.
        pace: of a run with a time limit, or that signals end.

    Raises:
        RunFailed: a loss or direction is not finite; raised before the optimiser's step.
    """
    # By name: a norm over all parameters rounds by their order, which a saved state does not keep.
    params = {name: begin.params[name].detach().clone() for name in sorted(begin.params)}
    state = begin.state
    moved = {name: params[name] for name in params if name in learned}
    optimizer = make_optimizer(settings, moved)
    restore_optimizer(optimizer, moved, begin.optimizer)
    step, pace = begin.step, pace or Pace()

    def now() -> Snapshot:
        return Snapshot(step, params, state, optimizer_tensors(optimizer, moved))

    while step < settings.steps:
        try:
            with pace.droppable(now):
                rng = step_rng(seed, step)
                update = method.direction(problem, params, batch_at(step), state, rng)
                require_finite(update, step)
        except StepDropped:
            visit(now())
            break
        set_rate(optimizer, settings, step, pace.elapsed_share())
        apply(optimizer, moved, update, settings.clip)
        params.update(update.replace)
        state = update.state
        step += 1
        report(StepDone(step, settings.steps, {k: float(v) for k, v in update.metrics.items()}))
        ending = stop() or step == settings.steps
        if ending or step % every == 0:
            visit(now())
            ending = ending or stop()  # a signal while visiting: no further step
        if ending:
            break
    return now()


def step_rng(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step. Hashed: torch keeps only the low 32 bits of a seed."""
    return torch.Generator().manual_seed(stream("step", seed, step).random_raw())


def apply(
    optimizer: torch.optim.Optimizer, moved: Params, update: Update, clip: float | None
) -> None:
    """One optimiser step along the direction."""
    for name, value in moved.items():
        value.grad = update.direction.get(name)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([v for v in moved.values() if v.grad is not None], clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def require_finite(update: Update, step: int) -> None:
    """Stop before anything is spoiled. Raises RunFailed with the step, to be replayed."""
    bad = [name for name, value in update.metrics.items() if not bool(torch.isfinite(value).all())]
    if not bad and all_finite(update.direction):
        return
    what = f"{bad[0]} is not finite" if bad else "the gradient is not finite"
    raise RunFailed(
        f"{what} at step {step + 1}",
        code="run.not_finite",
        where=f"step {step + 1}",
        hint="a smaller train.lr or algorithm.inner_lr, or train.clip=10; the last state is kept",
    )


def make_optimizer(settings: Train, moved: Params) -> torch.optim.Optimizer:
    values: list[Tensor] = list(moved.values())
    lr, decay = settings.lr, settings.weight_decay
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(values, lr, momentum=settings.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(values, lr, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(values, lr, weight_decay=decay)


def set_rate(optimizer: torch.optim.Optimizer, settings: Train, step: int, elapsed: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = settings.lr * rate_factor(settings, step, elapsed)


def rate_factor(settings: Train, step: int, elapsed: float = 0.0) -> float:
    """What the schedule multiplies the learning rate by at 0-based `step`."""
    share = min(1.0, max(step / settings.steps, elapsed))
    if settings.schedule == "linear":
        return 1.0 - share
    if settings.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    if settings.schedule == "step":
        every = settings.schedule_every or max(1, settings.steps // 3)
        return settings.schedule_factor ** (step // every)
    return 1.0


def optimizer_tensors(optimizer: torch.optim.Optimizer, moved: Params) -> Params:
    """The optimiser's memory by parameter name."""
    found: Params = {}
    for name, value in moved.items():
        for key, item in optimizer.state.get(value, {}).items():
            if item is not None:
                found[f"{name}/{key}"] = torch.as_tensor(item)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, moved: Params, saved: Params) -> None:
    """Put back what `optimizer_tensors` took out."""
    for full, item in saved.items():
        name, _, key = full.rpartition("/")
        optimizer.state[moved[name]][key] = item.clone()
