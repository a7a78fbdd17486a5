"""A run of `meta-train` on sets of tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.events import Progress
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.arms.tuned import ARMS_FOLDER, save_tuned
from metacli.engine.sets.arms.tuning import Tuning
from metacli.engine.sets.build import VALIDATION_GROUP, SetBuilt, build_sets
from metacli.engine.sets.folder import save
from metacli.engine.sets.model import SetModel, on_device
from metacli.engine.sets.run_frame import SetRunFrame
from metacli.engine.sets.scoring import answers_of, scored
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import (
    Kind,
    Reached,
    Validation,
)
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.schema.load import Loaded


@dataclass(frozen=True)
class SetRun(SetRunFrame[SetBuilt]):
    """A learner to be trained on sets of tasks, and validated jointly on the same ones at every
    time."""

    @property
    def metric(self) -> str:
        return "mse"

    @property
    def kind(self) -> Kind:
        return "regression"

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
            learner=built.learner,
            problem=built.problem,
            params=params,
            points=built.points,
            validation=built.validation,
            training=built.train.meta_batch_at,
            arms=wanted,
            tick=tick,
            stopped=lambda: control.stopped,
        )


def make_set_run(loaded: Loaded) -> SetRun:
    """Everything that can be wrong with the recipe is found here; nothing is written.

    Raises:
        RecipeError, DataError: as `build_sets`.
    """
    return SetRun(build_sets(loaded))
