"""One run of `multitask`: what differs from a run of `meta-train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.models import folder as model_folder
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.reporting.multi_task_plots import draw_plots
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import (
    final_params,
    predictions,
    residual_spread,
    validated,
    with_statistics,
)
from metacli.engine.scoring.multi_task_scores import score, task_score
from metacli.engine.scoring.multi_task_tables import (
    COMPARISON,
    MEAN_DELTA,
    estimate_of,
    mean_delta,
    read_comparison,
    table_of,
)
from metacli.engine.storage.writer import write_json
from metacli.engine.training import relatedness as related
from metacli.engine.training.few_shot_run import Job, provenance
from metacli.engine.training.guard import Arm, Decision, decide
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.multi_task_build import (
    TaskBuilt,
    build_tasks,
    describe_tasks,
    single_recipe,
    trained_problem,
)
from metacli.engine.training.single_task import SINGLE, alone_method, batches, train_best
from metacli.errors import BundleError
from metacli.nn.selected import ChosenProblem
from metacli.schema.load import Loaded
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.types import Params


@dataclass
class TaskJob(Job):
    """A run that trains many tasks together, and each by itself for comparison."""

    verb: ClassVar[str] = "multitask"
    built: TaskBuilt
    comparison: dict[str, Any] = field(default_factory=dict)
    related: dict[str, Any] | None = None

    @property
    def recipe(self) -> MultiTaskRecipe:  # type: ignore[override]
        return self.built.recipe

    @property
    def rows(self) -> MultiTaskRows:
        return self.built.rows

    def check(self) -> None:
        """Its baselines are always the same."""

    def prepare(self, report: Reporter) -> None:
        """Which tasks belong together; `groups: auto` becomes the groups that are suggested."""
        found = related.read(self.run) if self.resumed else None
        if found is None and related.measurable(self.built):
            report(Progress("relatedness", 0, None))
            found = related.relatedness(self.recipe.relatedness, self.rows, self.recipe.seed)
            related.write(self.run, found)
        self.related = found
        if self.recipe.groups == "auto" and found is not None:
            groups = tuple(tuple(group) for group in found["groups"])
            recipe = self.recipe.model_copy(update={"groups": groups})
            self.built = replace(self.built, recipe=recipe)

    def fresh(self) -> Params:
        return with_statistics(self.built.problem, self.rows, self.recipe.seed, "train")

    @cached_property
    def batches(self) -> Callable[[int], Any]:
        dtype = self.built.problem.init(0)["input.mean"].dtype
        return batches(self.built.learner, self.rows, dtype, self.device)

    def batch_at(self, step: int) -> Any:
        return self.batches(step)

    def estimate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Estimate:
        """The validation; its scores by task go into the learning curves."""
        y = self.rows.numbers("val")[1]
        found = predictions(self.built.problem, snapshot.params, self.rows, "val")
        metric = self.built.table.metric
        each = [task_score(metric, *one).value for one in zip(y, found, strict=True)]
        line = {"step": snapshot.step, "values": each}
        self.history = {**self.history, "curves": [*self.history.get("curves", []), line]}
        made = score(metric, y, found)
        return Estimate(made.value, made.half_width(), made.rows)

    def train_baselines(
        self, steps: int, received: Callable[[], int | None], report: Reporter
    ) -> None:
        """The same network for each task by itself, with the same budget; the simple models of
        `task_baselines`; and the guard. What they reach on validation is kept in `tasks.json`."""
        best = self.best
        if best is None:
            return
        single = self.single_task(steps, received, report)
        if single is None:
            return
        y, metric, names = (
            self.rows.numbers("val")[1],
            self.built.table.metric,
            self.built.table.tasks,
        )
        together = predictions(self.built.problem, best.snapshot.params, self.rows, "val")
        apart = predictions(single.problem(), single.params, self.rows, "val")
        found = {SINGLE: estimate_of(metric, y, apart)}
        tick = lambda name: report(Progress(f"baseline {name}", 0, None))  # noqa: E731
        for name, predicted in outside_predictions(self.rows, ("train",), "val", tick):
            found[name] = estimate_of(metric, y, predicted)
            if received() is not None:
                return
        decisions = self.guarded(steps, received, report) if self.recipe.guard else None
        if self.recipe.guard and decisions is None:
            return
        facts: dict[str, Any] = {}
        if decisions is not None:
            found["unguarded"] = estimate_of(metric, y, together)
            together = [
                a if one.shares else b for one, a, b in zip(decisions, together, apart, strict=True)
            ]
            self.ship_guarded([one.as_dict()["answer"] for one in decisions])
            facts = {"metrics": {f"val_{metric}": estimate_of(metric, y, together)}}
        tasks = table_of(metric, names, y, together, apart)
        for row, decision in zip(tasks, decisions or [], strict=False):
            row["guard"] = decision.as_dict()
        self.comparison = {"tasks": tasks, "baselines": found, **mean_delta(tasks), **facts}
        write_json(self.run / COMPARISON, self.comparison)
        draw_plots(self.run, self.comparison, self.history.get("curves", []), self.related)

    def guarded(
        self, steps: int, received: Callable[[], int | None], report: Reporter
    ) -> list[Decision] | None:
        """Which tasks share; None when a signal came."""
        recipe = single_recipe(self.recipe)
        problem = trained_problem(recipe, self.built.inputs, describe_tasks(self.built.table))
        together = Arm("together", self.built.problem, self.built.learner, self.recipe)
        alone = Arm("alone", problem, alone_method(problem), recipe)
        return decide(together, alone, self.rows, steps, self.device, received, report)

    def ship_guarded(self, answers: list[str]) -> None:
        """The model that answers for each task with the network that was chosen for it."""
        together = model_folder.load_multi_task(self.run / "model")
        alone = model_folder.load_multi_task(self.run / "baselines" / SINGLE)
        made = replace(together, heads=replace(together.heads, guard=tuple(answers)))
        problem = made.problem()
        assert isinstance(problem, ChosenProblem)
        joined = problem.joined(together.params, alone.params)
        if not hasattr(self.built.problem.sharing, "refit"):  # shipped as it was validated
            spread = residual_spread(problem, joined, self.rows)
            made = replace(made, heads=replace(made.heads, spread=spread))
        model_folder.save(replace(made, params=joined), self.run / "model", replace=True)

    def single_task(
        self, steps: int, received: Callable[[], int | None], report: Reporter
    ) -> MultiTaskModel | None:
        """The trained or reopened single-task model; None when a signal came."""
        folder = self.run / "baselines" / SINGLE
        try:
            old = model_folder.load_multi_task(folder) if folder.is_dir() else None
            if old is not None and old.provenance["steps"] == steps:
                return validated(old, self.rows)
        except BundleError as error:
            report(Notice(f"trained anew: {error.message}", "run.baseline_damaged"))
        recipe = single_recipe(self.recipe)
        problem = trained_problem(recipe, self.built.inputs, describe_tasks(self.built.table))
        method, label = alone_method(problem), f"baseline {SINGLE}"
        made = train_best(
            *(method, problem, self.rows, recipe, steps, self.device, received, report, label)
        )
        if made is None:
            return None
        params, at = made
        facts = {**provenance(self, steps), "best_step": at}
        saved = self.model_of(recipe, final_params(problem, params, self.rows), facts)
        model_folder.save(saved, folder, replace=True)
        return replace(saved, params=params)

    def write_model(self) -> None:
        best = self.best
        if best is None:
            return
        problem = self.built.problem
        params = final_params(problem, best.snapshot.params, self.rows)
        made = self.model_of(self.recipe, params, provenance(self, best.snapshot.step))
        metric = f"val_{self.built.table.metric}"
        spread = residual_spread(problem, best.snapshot.params, self.rows)
        heads = replace(made.heads, spread=spread)
        made = replace(made, scores={metric: self.history.get("best", {})}, heads=heads)
        model_folder.save(made, self.run / "model", replace=True)

    def model_of(
        self, recipe: MultiTaskRecipe, params: Params, facts: dict[str, Any]
    ) -> MultiTaskModel:
        return MultiTaskModel(
            recipe=recipe,
            params=params,
            inputs=self.built.inputs,
            heads=describe_tasks(self.built.table),
            provenance=facts,
        )

    def details(self) -> dict[str, Any]:
        recipe = self.recipe
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
        shown = ("tasks", "measure", "matrix", "groups")
        related = {key: self.related[key] for key in shown} if self.related else None
        return {
            "tasks": found.get("tasks", []),
            **{key: found.get(key) for key in MEAN_DELTA},
            "baselines": found.get("baselines", {}),
            "relatedness": related,
            **({"metrics": found["metrics"]} if "metrics" in found else {}),
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
