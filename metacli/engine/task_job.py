"""One run of `multitask`: what differs from a run of `meta-train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from metacli.data.tasks import TaskRows
from metacli.engine import bundle
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.intervals import Estimate
from metacli.engine.job import Job, provenance
from metacli.engine.loop import Snapshot
from metacli.engine.storage import write_json
from metacli.engine.task_baselines import outside_predictions
from metacli.engine.task_build import (
    TaskBuilt,
    build_tasks,
    describe_tasks,
    make_task_problem,
    single_recipe,
)
from metacli.engine.task_params import (
    final_params,
    on,
    predictions,
    residual_spread,
    validated,
    with_statistics,
)
from metacli.engine.task_scores import score
from metacli.engine.task_single import SINGLE, alone_method, train_best
from metacli.engine.task_tables import (
    COMPARISON,
    estimate_of,
    mean_delta,
    read_comparison,
    table_of,
)
from metacli.errors import BundleError
from metacli.schema.load import Loaded
from metacli.schema.recipe import Recipe
from metacli.types import Batch, Params


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
        method, label = alone_method(problem), f"baseline {SINGLE}"
        made = train_best(
            *(method, problem, self.rows, recipe, steps, self.device, received, report, label)
        )
        if made is None:
            return None
        params, at = made
        facts = {**provenance(self, steps), "best_step": at}
        saved = self.bundle_of(recipe, final_params(problem, params, self.rows), facts)
        bundle.save(saved, folder, replace=True)
        return replace(saved, params=params)

    def write_model(self) -> None:
        best = self.best
        if best is None:
            return
        problem = self.built.problem
        params = final_params(problem, best.snapshot.params, self.rows)
        made = self.bundle_of(self.recipe, params, provenance(self, best.snapshot.step))
        metric = f"val_{self.built.table.metric}"
        spread = residual_spread(problem, best.snapshot.params, self.rows)
        answers = {**made.answers, "spread": spread}
        made = replace(made, scores={metric: self.history.get("best", {})}, answers=answers)
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
