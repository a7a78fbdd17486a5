"""A run of `meta-train` on sets of classifications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from metacli.algorithms.meta_multitask.protocol import together
from metacli.data.sets.classes import ClassSets
from metacli.engine.encoders.parameters import with_encoder
from metacli.engine.events import Progress
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.arms.class_tuning import SETS as ARM_SETS
from metacli.engine.sets.arms.class_tuning import ClassTuning
from metacli.engine.sets.arms.tuned import ARMS_FOLDER, save_tuned
from metacli.engine.sets.class_build import ClassSetBuilt
from metacli.engine.sets.class_folder import save_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import class_joined, class_scored
from metacli.engine.sets.class_sources import GROUP, AskedSets, class_source, ends
from metacli.engine.sets.model import on_device
from metacli.engine.sets.run_frame import SetRunFrame
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import (
    Kind,
    Reached,
    Validation,
)
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.types import SetEpisode


@dataclass(frozen=True)
class ClassSetRun(SetRunFrame[ClassSetBuilt]):
    """A learner to be trained on sets of classifications, and validated jointly on the same ones
    at every time."""

    @property
    def metric(self) -> str:
        return self.built.facts.metric

    @property
    def kind(self) -> Kind:
        return "regression" if self.metric == "mse" else "classification"

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
            with_encoder(self.recipe, best.snapshot.params),
            best.snapshot.state,
            self.built.facts,
            {f"val_{self.metric}": reached.history.best or {}},
            provenance(workspace, self.recipe, self.data.shown, best.snapshot.step),
        )
        save_classes(made, workspace.model, replace=True)

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> ClassSetRun:
        """The settings of the arms that the recipe asks for, below `baselines/arms`."""
        best = reached.best
        if best is None or control.stopped or not self.recipe.baselines:
            return self
        save_tuned(self.tuning(best.snapshot, control).tuned(), workspace.baselines / ARMS_FOLDER)
        return self

    def tuning(self, snapshot: Snapshot, control: Control) -> ClassTuning:
        """What `compared` chooses, on the CPU, on other validation sets than those of training."""
        built, recipe = self.built, self.recipe
        params = {name: value.cpu() for name, value in snapshot.params.items()}
        wanted = tuple(one.replace("-", "_") for one in recipe.baselines)
        done: list[str] = []

        def tick(arm: str) -> None:
            control.report(Progress(f"arm {arm}", len(done), len(wanted) + 2, "arms"))
            done.append(arm)

        def validation(shot: int) -> SetEpisode:
            asked = AskedSets(size=shot, seed=2, group=ARM_SETS)
            return class_source(recipe, "val", asked).meta_batch_at(0)

        assert isinstance(built.train, ClassSets)
        shots = sorted({*ends(built.train.shot)})
        return ClassTuning(
            learner=built.learner,
            problem=built.problem,
            params=params,
            points=shots,
            validation=validation,
            training=built.train,
            arms=wanted,
            tick=tick,
            stopped=lambda: control.stopped,
        )
