"""A run of `meta-train` on sets of classifications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.class_build import ClassSetBuilt
from metacli.engine.sets.class_folder import save_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import class_joined, class_scored
from metacli.engine.sets.class_sources import GROUP
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
