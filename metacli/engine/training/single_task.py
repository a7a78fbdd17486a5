"""Training a multi-task network to its best validation outside the run's own loop: the single-task
baseline, and whatever else a run compares itself with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.events import Progress, Reporter, StepDone
from metacli.engine.scoring.multi_task_params import on, predictions, with_statistics
from metacli.engine.scoring.multi_task_scores import score
from metacli.engine.training.loop import Snapshot, train
from metacli.nn.multi_task import TaskProblem
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.types import Episode, Params

SINGLE = "single-task"


def alone_method(problem: TaskProblem) -> Any:
    """How networks that never meet are trained: each gets the gradient that it would get by
    itself."""
    from metacli.algorithms.multitask.method import MultiTask, Solved
    from metacli.algorithms.multitask.weighting.fixed import Fixed

    if hasattr(problem.sharing, "solve"):
        return Solved()
    tasks = problem.num_tasks
    return MultiTask(weighting=Fixed(weights=(float(tasks),) * tasks))


def batches(
    method: Any, rows: MultiTaskRows, dtype: torch.dtype, device: torch.device
) -> Callable[[int], Any]:
    """What each step learns from: a batch of training rows, beside the validation rows where the
    method follows their loss."""
    whole = rows.batch("train", dtype=dtype)
    if not getattr(method, "needs_validation", False):
        return lambda step: on(rows.draw(whole, step), device)
    val = on(rows.batch("val", dtype=dtype), device)
    return lambda step: Episode(on(rows.draw(whole, step), device), val)


def train_best(
    method: Any,
    problem: TaskProblem,
    rows: MultiTaskRows,
    recipe: MultiTaskRecipe,
    steps: int,
    device: torch.device,
    received: Callable[[], int | None],
    report: Reporter,
    name: str,
) -> tuple[Params, int] | None:
    """Parameters at the step whose validation over all tasks is best, and that step; None when a
    signal came.

    Args:
        name: what the progress says is being trained.
    """
    params = with_statistics(problem, rows, recipe.seed, "train")
    own, state = method.init(problem, params)
    batch_at = batches(method, rows, params["input.mean"].dtype, device)
    best: list[tuple[float, Params, int]] = []
    y, metric = rows.numbers("val")[1], rows.table.metric
    sign = -1.0 if problem.kind == "regression" else 1.0

    def visit(snapshot: Snapshot) -> None:
        value = score(metric, y, predictions(problem, snapshot.params, rows, "val")).value
        if not best or sign * value > sign * best[0][0]:
            kept = {name: v.clone() for name, v in snapshot.params.items()}
            best[:] = [(value, kept, snapshot.step)]

    def tick(event: Any) -> None:
        if isinstance(event, StepDone) and event.step % 50 == 0:
            report(Progress(name, event.step, steps, "steps"))

    train(
        method,
        problem,
        batch_at,
        recipe.train.model_copy(update={"steps": steps}),
        Snapshot(0, {k: v.to(device) for k, v in {**params, **own}.items()}, state, {}),
        learned=problem.trainable | frozenset(own),
        seed=recipe.seed,
        every=recipe.evaluate.every,
        visit=visit,
        stop=lambda: received() is not None,
        report=tick,
    )
    return None if received() is not None else (best[0][1], best[0][2])
