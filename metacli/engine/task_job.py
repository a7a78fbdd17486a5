"""One run of `multitask`: what differs from a run of `meta-train`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from metacli.data.tasks import TaskRows
from metacli.engine import bundle
from metacli.engine.events import Notice, Progress, Reporter, StepDone
from metacli.engine.intervals import Estimate
from metacli.engine.job import Job, provenance
from metacli.engine.loop import Snapshot, train
from metacli.engine.storage import write_json
from metacli.engine.task_baselines import outside_predictions
from metacli.engine.task_build import (
    TaskBuilt,
    build_tasks,
    describe_tasks,
    make_task_problem,
)
from metacli.engine.task_scores import TASK_METRIC, Rows, score, task_score
from metacli.errors import BundleError
from metacli.nn.tasks import TaskProblem
from metacli.schema.load import Loaded
from metacli.schema.recipe import Recipe
from metacli.types import Batch, Params

SINGLE = "single-task"
COMPARISON = "tasks.json"


@dataclass
class TaskJob(Job):
    """A run that trains many tasks together, and each by itself for comparison."""

    verb: ClassVar[str] = "multitask"
    built: TaskBuilt
    comparison: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> TaskRows:
        return self.built.rows

    @cached_property
    def training_rows(self) -> Batch:
        return self.rows.batch("train", dtype=self.built.problem.init(0)["input.mean"].dtype)

    def check(self) -> None:
        """Its baselines are always the same."""

    def fresh(self) -> Params:
        return with_statistics(self.built.problem, self.rows, self.recipe.seed, "train")

    def batch_at(self, step: int) -> Batch:
        return on(self.rows.draw(self.training_rows, step), self.device)

    def estimate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Estimate:
        found = predictions(self.built.problem, snapshot.params, self.rows, "val")
        made = score(self.built.table.metric, self.rows.numbers("val")[1], found)
        return Estimate(made.value, made.half_width(), made.rows)

    def train_baselines(
        self, steps: int, received: Callable[[], int | None], report: Reporter
    ) -> None:
        """The same network for each task by itself, with the same budget; and the simple models
        of `task_baselines`. What they reach on validation is kept in `tasks.json`."""
        best = self.best
        if best is None:
            return
        single = self.single_task(steps, received, report)
        if single is None:
            return
        y = self.rows.numbers("val")[1]
        metric = self.built.table.metric
        problem = self.built.problem
        together = predictions(problem, best.snapshot.params, self.rows, "val")
        apart = predictions(single.problem(), single.params, self.rows, "val")
        found = {SINGLE: estimate_of(metric, y, apart)}
        tick = lambda name: report(Progress(f"baseline {name}", 0, None))  # noqa: E731
        for name, predicted in outside_predictions(self.rows, ("train",), "val", tick):
            found[name] = estimate_of(metric, y, predicted)
            if received() is not None:
                return
        tasks = table_of(metric, self.built.table.tasks, y, together, apart)
        self.comparison = {"tasks": tasks, "baselines": found, **mean_delta(tasks)}
        write_json(self.run / COMPARISON, self.comparison)

    def single_task(
        self, steps: int, received: Callable[[], int | None], report: Reporter
    ) -> bundle.Bundle | None:
        """The trained or reopened single-task model; None when a signal came."""
        folder = self.run / "baselines" / SINGLE
        try:
            if folder.is_dir() and (old := bundle.load(folder)).provenance["steps"] == steps:
                return validated(old, self.rows)
        except BundleError as error:
            report(Notice(f"trained anew: {error.message}", "run.baseline_damaged"))
        recipe = single_recipe(self.recipe)
        problem = make_task_problem(recipe, self.built.inputs, describe_tasks(self.built.table))
        made = self.train_apart(problem, recipe, steps, received, report)
        if made is None:
            return None
        params, at = made
        facts = {**provenance(self, steps), "best_step": at}
        saved = self.bundle_of(recipe, final_params(problem, params, self.rows), facts)
        bundle.save(saved, folder, replace=True)
        return replace(saved, params=params)

    def train_apart(
        self,
        problem: TaskProblem,
        recipe: Recipe,
        steps: int,
        received: Callable[[], int | None],
        report: Reporter,
    ) -> tuple[Params, int] | None:
        """Parameters at the step whose validation over all tasks is best, and that step."""
        from metacli.algorithms.multitask.method import MultiTask, Solved
        from metacli.algorithms.multitask.weighting.fixed import Fixed

        solved = hasattr(problem.sharing, "solve")
        tasks = problem.num_tasks
        # The sum of the losses: each network gets the gradient that it would get by itself.
        total = MultiTask(weighting=Fixed(weights=(float(tasks),) * tasks))
        method: Any = Solved() if solved else total
        params = with_statistics(problem, self.rows, recipe.seed, "train")
        best: list[tuple[float, Params, int]] = []
        y, metric = self.rows.numbers("val")[1], self.built.table.metric
        sign = -1.0 if problem.kind == "regression" else 1.0

        def visit(snapshot: Snapshot) -> None:
            value = score(metric, y, predictions(problem, snapshot.params, self.rows, "val")).value
            if not best or sign * value > sign * best[0][0]:
                kept = {name: v.clone() for name, v in snapshot.params.items()}
                best[:] = [(value, kept, snapshot.step)]

        def tick(event: Any) -> None:
            if isinstance(event, StepDone) and event.step % 50 == 0:
                report(Progress(f"baseline {SINGLE}", event.step, steps, "steps"))

        train(
            method,
            problem,  # type: ignore[arg-type]  # a method and its problem belong together
            self.batch_at,
            recipe.train.model_copy(update={"steps": steps}),
            Snapshot(0, {k: v.to(self.device) for k, v in params.items()}, {}, {}),
            learned=problem.trainable,
            seed=recipe.seed,
            every=recipe.evaluate.every,
            visit=visit,
            stop=lambda: received() is not None,
            report=tick,
        )
        return None if received() is not None else (best[0][1], best[0][2])

    def write_model(self) -> None:
        best = self.best
        if best is None:
            return
        problem = self.built.problem
        params = final_params(problem, best.snapshot.params, self.rows)
        made = self.bundle_of(self.recipe, params, provenance(self, best.snapshot.step))
        metric = f"val_{self.built.table.metric}"
        made = replace(made, scores={metric: self.history.get("best", {})})
        bundle.save(made, self.run / "model", replace=True)

    def bundle_of(self, recipe: Recipe, params: Params, facts: dict[str, Any]) -> bundle.Bundle:
        return bundle.Bundle(
            recipe=recipe,
            params=params,
            state={},
            inputs=self.built.inputs,
            kind="tasks",
            way=len(self.built.table.tasks),
            provenance=facts,
            answers=describe_tasks(self.built.table),
        )

    def details(self) -> dict[str, Any]:
        recipe = self.recipe
        assert recipe.sharing is not None
        assert recipe.weighting is not None
        surgery = {} if recipe.surgery is None else {"surgery": recipe.surgery.name}
        return {
            "data": recipe.data.source,
            "tasks": len(self.built.table.tasks),
            "sharing": recipe.sharing.name,
            "weighting": recipe.weighting.name,
            **surgery,
            "backbone": recipe.backbone.name,
        }

    def extras(self) -> dict[str, Any]:
        found = self.comparison or read_comparison(self.run)
        return {
            "tasks": found.get("tasks", []),
            "mean_delta": found.get("mean_delta"),
            "baselines": found.get("baselines", {}),
            "relatedness": None,
        }


def make_task_job(
    loaded: Loaded,
    name: str,
    run: Path,
    device: torch.device,
    max_time: float | None,
    report: Reporter,
) -> TaskJob:
    """Everything that can be wrong with the recipe or the data is found here."""
    built = build_tasks(loaded)
    source: Any = built.rows
    return TaskJob(built, name, loaded.header, run, device, report, source, source, max_time)


def single_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the same network for each task by itself."""
    assert recipe.sharing is not None
    plain = recipe.plain()
    alone: dict[str, Any] = {"name": "none"}
    if recipe.sharing.name == "mean-ridge":
        alone = {**plain["sharing"], "share": False}
    plain |= {"sharing": alone, "weighting": {"name": "equal"}, "surgery": None}
    return Recipe.model_validate(plain)


def with_statistics(problem: TaskProblem, rows: TaskRows, seed: int, *splits: str) -> Params:
    """Fresh θ with the statistics of these rows."""
    params, found = problem.init(seed), rows.standard(*splits)
    dtype = params["input.mean"].dtype
    return {
        **params,
        "input.mean": torch.from_numpy(found.x_mean).to(dtype),
        "input.scale": torch.from_numpy(found.x_scale).to(dtype),
        "target.mean": torch.from_numpy(found.y_mean).to(dtype),
        "target.scale": torch.from_numpy(found.y_scale).to(dtype),
    }


def final_params(problem: TaskProblem, params: Params, rows: TaskRows) -> Params:
    """What is shipped: where there is an exact solution, that of training and validation rows
    together, with the penalties that were chosen on training rows; otherwise θ as it was
    validated."""
    if not hasattr(problem.sharing, "refit"):
        return params
    fresh = with_statistics(problem, rows, 0, "train", "val")
    batch = problem.standardised(fresh, rows.batch("train", "val", dtype=torch.float64))
    return {**fresh, **problem.sharing.refit(batch, params["ridge.penalties"])}


def validated(made: bundle.Bundle, rows: TaskRows) -> bundle.Bundle:
    """A shipped model as it was when it had not seen the validation rows."""
    problem: Any = made.problem()
    if not hasattr(problem.sharing, "refit"):
        return made
    fresh = with_statistics(problem, rows, 0, "train")
    batch = problem.standardised(fresh, rows.batch("train", dtype=torch.float64))
    again = problem.sharing.refit(batch, made.params["ridge.penalties"])
    return replace(made, params={**fresh, **again})


@torch.no_grad()
def predictions(problem: Any, params: Params, rows: TaskRows, split: str) -> list[np.ndarray]:
    """For each task's rows of a split, without padding."""
    batch = rows.batch(split, dtype=params["input.mean"].dtype)
    found = problem.predict(params, batch.x.to(params["input.mean"].device)).cpu().double().numpy()
    if batch.mask is None:
        return list(found)
    return [one[keep] for one, keep in zip(found, batch.mask.numpy(), strict=True)]


def on(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return Batch(*(None if v is None else v.to(device) for v in batch))  # type: ignore[arg-type]


def estimate_of(metric: str, y: Rows, predicted: Rows) -> dict[str, float]:
    made = score(metric, y, predicted)
    return Estimate(made.value, made.half_width(), made.rows).as_dict()


def table_of(
    metric: str, names: tuple[str, ...], y: Rows, together: Rows, apart: Rows
) -> list[dict[str, Any]]:
    """One row for each task: its score, that of its single-task model, and the difference."""
    found = []
    for name, *one in zip(names, y, together, apart, strict=True):
        value = task_score(metric, one[0], one[1]).value
        single = task_score(metric, one[0], one[2]).value
        found.append(
            {
                "name": name,
                "metric": TASK_METRIC[metric],
                "value": value,
                "single_task": single,
                "delta": value - single,
            }
        )
    return found


def mean_delta(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean difference to the single-task models over the tasks."""
    known = [task["delta"] for task in tasks if np.isfinite(task["delta"])]
    return {"mean_delta": float(np.mean(known)) if known else None}


def read_comparison(run: Path) -> dict[str, Any]:
    path = run / COMPARISON
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found
