"""A run of `meta-train` on sets of classifications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.class_build import ClassSetBuilt
from metacli.engine.sets.class_folder import save_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import class_joined, class_scored
from metacli.engine.sets.class_sources import GROUP
from metacli.engine.sets.model import on_device
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import (
    DataFacts,
    Hooks,
    Kind,
    Reached,
    Start,
    Validation,
    start_of,
    train_run,
)
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import SetEpisode


@dataclass(frozen=True)
class ClassSetRun:
    """A learner to be trained on sets of classifications, and validated jointly on the same ones
    at every time."""

    built: ClassSetBuilt

    verb = "meta-train"

    @property
    def recipe(self) -> MetaMultiTaskRecipe:
        return self.built.recipe

    @property
    def metric(self) -> str:
        return self.built.facts.metric

    @property
    def kind(self) -> Kind:
        return "regression" if self.metric == "mse" else "classification"

    @property
    def data(self) -> DataFacts:
        built, data = self.built, self.recipe.data
        shown: dict[str, Json] = {"source": data.source, **data.options}
        return DataFacts(
            built.train.digest, built.val.digest, {**shown, "digest": built.train.digest}
        )

    def check(self, name: str) -> None:
        """`build_class_sets` has found everything."""

    def prepared(self, workspace: Workspace) -> ClassSetRun:
        """There is nothing to be found out."""
        return self

    def start(self) -> Start:
        problem = self.built.problem
        return start_of(self.built.learner.init, problem, problem.init(self.recipe.seed))

    def train(
        self, begin: Snapshot, learned: frozenset[str], device: torch.device, hooks: Hooks
    ) -> Snapshot:
        built = self.built

        def batch_at(step: int) -> SetEpisode:
            return on_device(built.train.meta_batch_at(step), device)

        return train_run(built.learner, built.problem, batch_at, self.recipe, begin, learned, hooks)

    def validate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Validation:
        built, params = self.built, snapshot.params
        device = next(iter(params.values())).device
        parts = []
        for group in range(-(-self.recipe.evaluate.episodes // GROUP)):
            episodes = on_device(built.val.meta_batch_at(group), device)
            with torch.no_grad():
                sees = together(episodes.roles)
                found = built.learner.respond(built.problem, params, episodes, sees)
            parts.append(class_scored(found, episodes))
            tick((group + 1) * GROUP)
        return Validation(over_episodes(class_joined(parts).of(self.metric)))

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        best = reached.best
        if best is None:
            return
        made = ClassSetModel(
            self.recipe,
            best.snapshot.params,
            best.snapshot.state,
            self.built.facts,
            {f"val_{self.metric}": reached.history.best or {}},
            provenance(workspace, self.recipe, self.data.shown, best.snapshot.step),
        )
        save_classes(made, workspace.model, replace=True)

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> ClassSetRun:
        """`evaluate` compares it with the same model, each task alone."""
        return self

    @property
    def batch_bytes(self) -> int:
        """At least one number for each set of a step."""
        return 4 * self.recipe.train.meta_batch

    def details(self) -> dict[str, Json]:
        recipe = self.recipe
        return {"data": recipe.data.source, "learner": recipe.algorithm.name}

    def comparison(self, folder: Path) -> Comparison | None:
        """`evaluate` makes it."""
        return None
