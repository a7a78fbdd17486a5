"""A run of `meta-train` on sets of tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.events import Progress
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.arms.tuned import ARMS_FOLDER, save_tuned
from metacli.engine.sets.arms.tuning import Tuning
from metacli.engine.sets.build import VALIDATION_GROUP, SetBuilt, build_sets
from metacli.engine.sets.folder import save
from metacli.engine.sets.model import SetModel, on_device
from metacli.engine.sets.scoring import answers_of, scored
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
from metacli.schema.load import Loaded
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import SetEpisode


@dataclass(frozen=True)
class SetRun:
    """A learner to be trained on sets of tasks, and validated jointly on the same ones at every
    time."""

    built: SetBuilt

    verb = "meta-train"

    @property
    def recipe(self) -> MetaMultiTaskRecipe:
        return self.built.recipe

    @property
    def metric(self) -> str:
        return "mse"

    @property
    def kind(self) -> Kind:
        return "regression"

    @property
    def data(self) -> DataFacts:
        built, data = self.built, self.recipe.data
        shown: dict[str, Json] = {"source": data.source, **data.options}
        return DataFacts(
            built.train.digest, built.val.digest, {**shown, "digest": built.train.digest}
        )

    def check(self, name: str) -> None:
        """`build_sets` has found everything."""

    def prepared(self, workspace: Workspace) -> SetRun:
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
        answer = answers_of(self.built.learner, self.built.problem, snapshot.params)
        device = next(iter(snapshot.params.values())).device
        groups = -(-self.recipe.evaluate.episodes // VALIDATION_GROUP)
        errors = []
        for group in range(groups):
            episodes = on_device(self.built.val.meta_batch_at(group), device)
            errors.append(scored(answer(episodes, together(episodes.roles)), episodes.query).error)
            tick((group + 1) * VALIDATION_GROUP)
        return Validation(over_episodes(np.concatenate(errors)))

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        best = reached.best
        if best is None:
            return
        built, recipe = self.built, self.recipe
        made = SetModel(
            recipe,
            best.snapshot.params,
            best.snapshot.state,
            built.train.names,
            built.train.inputs,
            {f"val_{self.metric}": reached.history.best or {}},
            provenance(workspace, recipe, self.data.shown, best.snapshot.step),
        )
        save(made, workspace.model, replace=True)

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> SetRun:
        """The settings of the arms of `evaluate`, below `baselines/arms`."""
        best = reached.best
        if best is None or control.stopped:
            return self
        save_tuned(self.tuning(best.snapshot, control).tuned(), workspace.baselines / ARMS_FOLDER)
        return self

    def tuning(self, snapshot: Snapshot, control: Control) -> Tuning:
        """What `compared` chooses, on sets of the recipe's source, on the CPU."""
        built, recipe = self.built, self.recipe
        params = {name: value.cpu() for name, value in snapshot.params.items()}
        wanted = tuple(one.replace("-", "_") for one in recipe.baselines)
        count = len(wanted) + 2
        done: list[str] = []

        def tick(arm: str) -> None:
            control.report(Progress(f"arm {arm}", len(done), count, "arms"))
            done.append(arm)

        return Tuning(
            *(built.learner, built.problem, params, built.points),
            *(built.validation, built.train.meta_batch_at, wanted),
            tick=tick,
            stopped=lambda: control.stopped,
        )

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


def make_set_run(loaded: Loaded) -> SetRun:
    """Everything that can be wrong with the recipe is found here; nothing is written.

    Raises:
        RecipeError, DataError: as `build_sets`.
    """
    return SetRun(build_sets(loaded))
