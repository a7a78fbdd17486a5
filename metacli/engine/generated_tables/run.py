"""A run of `meta-train` on generated tables, which makes a network like the one that comes with
metacli."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from metacli.algorithms.meta.tables_prior import TablesPrior
from metacli.data.tables_prior.generated import (
    FEWEST_ROWS,
    MOST_CLASSES,
    MOST_ROWS,
    QUERY,
    GeneratedTables,
)
from metacli.engine.generated_tables.fitting import Group, PriorFitting, table_losses
from metacli.engine.models import folder as model_folder
from metacli.engine.models.beginnings import own_start
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.training.few_shot.build import FewShotBuilt, build_few_shot
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.problems import Problems
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import (
    DataFacts,
    Hooks,
    Kind,
    OfOneProcess,
    Reached,
    Start,
    Validation,
    start_of,
    train_run,
)
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded

VALIDATION = ("validation", 0)
EACH = 2  # tables of a group in validation, so that large groups do not count for more


@dataclass(frozen=True)
class TablesRun(OfOneProcess):
    """`train.meta_batch` groups of tables to a step, `evaluate.episodes` groups to validate on."""

    built: FewShotBuilt
    learner: TablesPrior
    tables: GeneratedTables
    held_out: GeneratedTables

    verb = "meta-train"
    trains_on = "generated tables"

    @property
    def recipe(self) -> FewShotRecipe:
        return self.built.recipe

    @property
    def metric(self) -> str:
        return "log_loss"

    @property
    def kind(self) -> Kind:
        return "regression"

    @property
    def data(self) -> DataFacts:
        source, digest = self.recipe.data.source, self.tables.digest
        return DataFacts(digest, digest, {"source": source, "digest": digest})

    def start(self) -> Start:
        """The network alone: what is learned beside it is about tables that are related."""
        return start_of(partial(own_start, self.learner), self.built.problem, {})

    def train(
        self, begin: Snapshot, learned: frozenset[str], device: torch.device, hooks: Hooks
    ) -> Snapshot:
        def batch_at(step: int) -> list[Group]:
            count = self.recipe.train.meta_batch
            return [group_of(self.tables, step * count + one, device) for one in range(count)]

        method = PriorFitting(self.learner)
        return train_run(method, self.built.problem, batch_at, self.recipe, begin, learned, hooks)

    @torch.no_grad()
    def validate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Validation:
        """−log q of a row, the mean over a few tables of each group; intervals over groups."""
        device = next(iter(snapshot.params.values())).device
        losses = []
        for number in range(self.recipe.evaluate.episodes):
            group = group_of(self.held_out, number, device, EACH)
            losses.append(float(table_losses(snapshot.params, group).mean()))
            tick(number + 1)
        return Validation(over_episodes(np.array(losses)))

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        best = reached.best
        if best is None:
            return
        facts = provenance(workspace, self.recipe, self.data.shown, best.snapshot.step)
        scores = {f"val_{self.metric}": reached.history.best or {}}
        made = self.built.model(best.snapshot, facts, scores)
        model_folder.save(made, workspace.model, replace=True)

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> TablesRun:
        """With nothing: `adapt` compares it on a table."""
        return self

    @property
    def batch_bytes(self) -> int:
        """The largest group has fewer than a million numbers."""
        return 0

    def details(self) -> dict[str, Json]:
        recipe = self.recipe
        return {
            "data": recipe.data.source,
            "learner": recipe.algorithm.name,
            "backbone": recipe.backbone.name,
        }

    def comparison(self, folder: Path) -> Comparison | None:
        return None


def group_of(
    source: GeneratedTables, number: int, device: torch.device, most: int | None = None
) -> Group:
    """A group as tensors, its first `most` tables."""
    made = source.at(number)
    cells, y = (torch.from_numpy(one[:most]).to(device) for one in (made.cells, made.y))
    return Group(cells, y, made.shape.support, made.shape.classes)


def rows_of(recipe: FewShotRecipe) -> tuple[int, int]:
    """Rows with a label, at least and at most."""
    shot = recipe.episodes.shot
    return (shot, shot) if isinstance(shot, int) else shot


def make_tables_run(loaded: Loaded, device: str = "cpu") -> TablesRun:
    """Everything that can be wrong with the recipe is found here; nothing is written.

    Raises:
        RecipeError: with every problem found.
    """
    built, problems = build_few_shot(loaded, device), Problems(loaded)
    recipe, learner = built.recipe, built.learner
    check(recipe, learner, problems)
    problems.raise_any()
    assert isinstance(learner, TablesPrior)
    span = rows_of(recipe)
    return TablesRun(
        built,
        learner,
        GeneratedTables(("train", recipe.seed), span),
        GeneratedTables(VALIDATION, span),
    )


def check(recipe: FewShotRecipe, learner: object, problems: Problems) -> None:
    """What the generator and the network are not for."""
    source, episodes = recipe.data.source, recipe.episodes
    least, most = rows_of(recipe)
    if not isinstance(learner, TablesPrior):
        message = f"the tables of {source} have nothing in common, not even their columns"
        problems.add("algorithm.name", message, "algorithm.name=tables-prior")
    if episodes.way != (2, MOST_CLASSES):
        message = f"{source} has tables of 2 to {MOST_CLASSES} classes, and of values"
        problems.add("episodes.way", message, f"episodes.way=[2,{MOST_CLASSES}]")
    if not FEWEST_ROWS <= least <= most <= MOST_ROWS:
        message = f"{source} has tables of {FEWEST_ROWS} to {MOST_ROWS} rows with a label"
        problems.add("episodes.shot", message, f"episodes.shot=[{FEWEST_ROWS},{MOST_ROWS}]")
    if episodes.query != QUERY or episodes.per != "task":
        message = f"{source} asks {QUERY} rows of a whole table"
        problems.add("episodes.query", message, f"episodes.query={QUERY} episodes.per=task")
    if recipe.baselines:
        message = f"nothing else learns from {source}"
        problems.add("baselines", message, "leave baselines out")
