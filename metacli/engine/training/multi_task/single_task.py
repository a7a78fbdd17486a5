"""Training a multi-task network, by a run's loop or outside of it: the single-task baseline, and
whatever else a run compares itself with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask, Solved
from metacli.algorithms.multitask.weighting.fixed import Fixed
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.events import Event, Progress, StepDone
from metacli.engine.scoring.multi_task_params import on, predictions, with_statistics
from metacli.engine.scoring.multi_task_scores import score
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.runs import Hooks, Start, start_of, train_run
from metacli.engine.training.signals import Control
from metacli.nn.multi_task import TaskProblem
from metacli.nn.selected import is_solved
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.types import Batch, Episode, Params

SINGLE = "single-task"
TRAININGS = 2  # of each network that the guard compares
FURTHER = 1 << 20  # between the seeds of these, beyond those of a study
TaskMethod = MultiTask | Solved | MetaWeighted


@dataclass(frozen=True)
class Candidate:
    """A network of all tasks and how it is trained: the run's own, or each task by itself."""

    name: str
    problem: TaskProblem
    method: TaskMethod
    recipe: MultiTaskRecipe


def repetitions(candidate: Candidate, count: int) -> list[Candidate]:
    """The candidate for each of its trainings, from a seed of its own; one where its solution is
    exact."""
    if is_solved(candidate.problem):
        return [candidate]
    recipe = candidate.recipe
    seeds = [recipe.seed + FURTHER * number for number in range(count)]
    return [replace(candidate, recipe=recipe.model_copy(update={"seed": seed})) for seed in seeds]


def alone_method(problem: TaskProblem) -> TaskMethod:
    """How networks that never meet are trained: each gets the gradient that it would get by
    itself."""
    if is_solved(problem):
        return Solved()
    tasks = problem.num_tasks
    return MultiTask(weighting=Fixed(weights=(float(tasks),) * tasks))


def start_of_tasks(candidate: Candidate, rows: MultiTaskRows) -> Start:
    """Fresh θ with the statistics of the training rows."""
    problem = candidate.problem
    params = with_statistics(problem, rows, candidate.recipe.seed, "train")
    return start_of(candidate.method.init, problem, params)


def train_tasks(
    candidate: Candidate,
    rows: MultiTaskRows,
    begin: Snapshot,
    learned: frozenset[str],
    device: torch.device,
    hooks: Hooks,
) -> Snapshot:
    """The loop on training rows, and on validation rows too where the method follows their loss."""
    problem, method, recipe = candidate.problem, candidate.method, candidate.recipe
    dtype = begin.params["input.mean"].dtype
    rows_at = draws(rows, dtype, device)
    if not isinstance(method, MetaWeighted):
        return train_run(method, problem, rows_at, recipe, begin, learned, hooks)
    val = on(rows.batch("val", dtype=dtype), device)

    def episode_at(step: int) -> Episode:
        return Episode(rows_at(step), val)

    return train_run(method, problem, episode_at, recipe, begin, learned, hooks)


def draws(rows: MultiTaskRows, dtype: torch.dtype, device: torch.device) -> Callable[[int], Batch]:
    """The training rows of each step."""
    whole = rows.batch("train", dtype=dtype)
    return lambda step: on(rows.draw(whole, step), device)


def train_best(
    candidate: Candidate,
    rows: MultiTaskRows,
    steps: int,
    device: torch.device,
    control: Control,
    label: str,
) -> tuple[Params, int] | None:
    """Parameters at the step whose validation over all tasks is best, and that step; None when a
    signal came.

    Args:
        label: what the progress says is being trained.
    """
    problem, recipe = candidate.problem, candidate.recipe
    start = start_of_tasks(candidate, rows)
    best: list[tuple[float, Params, int]] = []
    y, metric = rows.numbers("val")[1], rows.table.metric
    sign = -1.0 if problem.kind == "regression" else 1.0

    def visit(snapshot: Snapshot) -> None:
        value = score(metric, y, predictions(problem, snapshot.params, rows, "val")).value
        if not best or sign * value > sign * best[0][0]:
            kept = {name: v.clone() for name, v in snapshot.params.items()}
            best[:] = [(value, kept, snapshot.step)]

    def tick(event: Event) -> None:
        if isinstance(event, StepDone) and event.step % 50 == 0:
            control.report(Progress(label, event.step, steps, "steps"))

    train = recipe.train.model_copy(update={"steps": steps})
    shorter = replace(candidate, recipe=recipe.model_copy(update={"train": train}))
    begin = Snapshot(0, {k: v.to(device) for k, v in start.params.items()}, start.state, {})
    hooks = Hooks(visit, lambda: control.stopped, tick)
    train_tasks(shorter, rows, begin, start.learned, device, hooks)
    return None if control.stopped else (best[0][1], best[0][2])
