"""A run of `multitask`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import ValidationError

from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import Solved
from metacli.engine.events import Note, Progress, Reporter
from metacli.engine.models import folder as model_folder
from metacli.engine.ranks.team import Team
from metacli.engine.reporting.multi_task_plots import draw_plots
from metacli.engine.results.base import Json
from metacli.engine.results.kept import KeptComparison
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.scoring.multi_task_params import final_params, predictions
from metacli.engine.scoring.multi_task_scores import score, task_score
from metacli.engine.scoring.multi_task_tables import COMPARISON
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.writer import write_json
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.multi_task import relatedness as related
from metacli.engine.training.multi_task.build import MultiTaskBuilt, build_multi_task
from metacli.engine.training.multi_task.compare import (
    compare_with_others,
    together_candidate,
    work_of_guard,
)
from metacli.engine.training.multi_task.divided import divided, require_divisible
from metacli.engine.training.multi_task.error_sizes import residual_spread
from metacli.engine.training.multi_task.relatedness import Relatedness
from metacli.engine.training.multi_task.single_task import start_of_tasks, train_tasks
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import (
    DataFacts,
    Hooks,
    Kind,
    Reached,
    Start,
    Validation,
    multi_task_details,
)
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.schema.load import Loaded
from metacli.schema.multi_task import MultiTaskRecipe


@dataclass(frozen=True)
class MultiTaskRun:
    """Many tasks to be learned together, and each by itself for comparison.

    Args:
        relatedness: which tasks belong together, once it was measured.
        compared_with: what `tasks.json` says, once it was found out.
        team: the processes that the rows are divided over.
    """

    built: MultiTaskBuilt
    relatedness: Relatedness | None = None
    compared_with: Comparison | None = None
    team: Team = field(default_factory=Team)

    verb = "multitask"

    @property
    def recipe(self) -> MultiTaskRecipe:
        return self.built.recipe

    @property
    def metric(self) -> str:
        return self.built.table.metric

    @property
    def kind(self) -> Kind:
        return self.built.kind

    @property
    def data(self) -> DataFacts:
        digest, data = self.built.rows.digest, self.recipe.data
        return DataFacts(digest, digest, {"source": data.source, **data.options, "digest": digest})

    def check(self, name: str) -> None:
        """Its baselines are always the same."""

    def divided(self, team: Team) -> MultiTaskRun:
        require_divisible(together_candidate(self.built), team.size)
        return replace(self, team=team)

    def foretell(self, report: Reporter) -> MultiTaskRun:
        """With the measured relatedness. Says what a guard will train, and warns where sharing is
        likely to hurt."""
        built = self.built
        if self.recipe.guard:
            report(Note(work_of_guard(built), "guard.trainings"))
        if not related.measurable(built.problem, built.rows):
            return self
        report(Progress("relatedness", 0, None))
        found = related.relatedness(self.recipe.relatedness, built.rows, self.recipe.seed)
        warning = related.of_unrelated(found) if self.shares_blindly else None
        if warning is not None:
            report(warning)
        return replace(self, relatedness=found)

    @property
    def shares_blindly(self) -> bool:
        """Every task shapes the network of every other, and nothing learns or tests how much."""
        recipe, method = self.recipe, self.built.method
        learned = isinstance(method, (Solved, MetaWeighted))
        return not (recipe.guard or recipe.groups is not None or learned)

    def prepared(self, workspace: Workspace) -> MultiTaskRun:
        """With the measured relatedness; `groups: auto` becomes the groups that it suggests."""
        found = related.read(workspace.folder) if workspace.resumed else None
        run = replace(self, relatedness=found)
        if found is None:
            run = self.foretell(workspace.report)
            found = run.relatedness
            if found is not None:
                related.write(workspace.folder, found)
        if self.recipe.groups == "auto" and found is not None:
            groups = tuple(tuple(group) for group in found.groups)
            recipe = self.recipe.model_copy(update={"groups": groups})
            return replace(run, built=replace(self.built, recipe=recipe))
        return run

    def start(self) -> Start:
        return start_of_tasks(together_candidate(self.built), self.built.rows)

    def train(
        self, begin: Snapshot, learned: frozenset[str], device: torch.device, hooks: Hooks
    ) -> Snapshot:
        candidate = divided(together_candidate(self.built), self.team)
        return train_tasks(candidate, self.built.rows, begin, learned, device, hooks)

    def validate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Validation:
        """Its scores by task go into the learning curves."""
        rows, metric = self.built.rows, self.built.table.metric
        y = rows.numbers("val")[1]
        found = predictions(self.built.problem, snapshot.params, rows, "val")
        each = tuple(task_score(metric, *one).value for one in zip(y, found, strict=True))
        made = score(metric, y, found)
        return Validation(Estimate(made.value, made.half_width(), made.rows), each)

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        best, built = reached.best, self.built
        if best is None:
            return
        params = final_params(built.problem, best.snapshot.params, built.rows)
        facts = provenance(workspace, self.recipe, self.data.shown, best.snapshot.step)
        made = built.model(self.recipe, params, facts)
        spread = residual_spread(built.problem, best.snapshot.params, built.rows)
        scores = {f"val_{self.metric}": reached.history.best or {}}
        made = replace(made, scores=scores, heads=replace(made.heads, spread=spread))
        model_folder.save(made, workspace.model, replace=True)

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> MultiTaskRun:
        """With each task by itself, simple models, and the guard; kept in `tasks.json`."""
        if reached.best is None:
            return self
        params, shown = reached.best.snapshot.params, self.data.shown
        found = compare_with_others(self.built, params, workspace, shown, reached.steps, control)
        if found is None:
            return self
        write_json(workspace.folder / COMPARISON, found.as_dict())
        curves = [point.model_dump() for point in reached.history.curves]
        matrix = None if self.relatedness is None else self.relatedness.as_dict()
        draw_plots(workspace.folder, found.as_dict(), curves, matrix)
        return replace(self, compared_with=found)

    @property
    def batch_bytes(self) -> int:
        """The rows are in memory already."""
        return 0

    def details(self) -> dict[str, Json]:
        return multi_task_details(self.recipe, len(self.built.table.tasks))

    def comparison(self, folder: Path) -> Comparison | None:
        found = self.compared_with or read_comparison(folder)
        if self.relatedness is None:
            return found
        matrix = self.relatedness.as_dict()
        shown = ("tasks", "measure", "matrix", "groups")
        kept = {key: matrix[key] for key in shown}
        return replace(found, relatedness={**kept, "trained": self.trained_groups})

    @property
    def trained_groups(self) -> bool:
        """Whether the groups that are suggested are those that were trained."""
        groups, found = self.recipe.groups, self.relatedness
        if found is None or groups is None or groups == "auto":
            return False
        return {frozenset(one) for one in groups} == {frozenset(one) for one in found.groups}


def read_comparison(folder: Path) -> Comparison:
    """What the run kept of it; empty where it was not compared yet. Raises BundleError."""
    path = folder / COMPARISON
    if not path.is_file():
        return Comparison()
    try:
        return KeptComparison.model_validate_json(path.read_bytes()).comparison()
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise damaged(path, f"is not what metacli writes: {key}") from None


def make_multi_task_run(loaded: Loaded) -> MultiTaskRun:
    """Everything that can be wrong with the recipe or the data is found here; nothing is written.

    Raises:
        RecipeError, DataError: as `build_multi_task`.
    """
    return MultiTaskRun(build_multi_task(loaded))
