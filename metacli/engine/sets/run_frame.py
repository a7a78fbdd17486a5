"""What runs of `meta-train` on sets have in common, whatever their tasks are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.sets.build import SetBuilt
from metacli.engine.sets.class_build import ClassSetBuilt
from metacli.engine.sets.model import on_device
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.runs import (
    DataFacts,
    Hooks,
    OfOneProcess,
    Start,
    start_of,
    train_run,
)
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import SetEpisode

B = TypeVar("B", SetBuilt, ClassSetBuilt)


@dataclass(frozen=True)
class SetRunFrame(OfOneProcess, Generic[B]):
    """A learner of sets to be trained. A child validates it and writes its model."""

    built: B

    verb = "meta-train"
    trains_on = "sets of tasks"

    @property
    def recipe(self) -> MetaMultiTaskRecipe:
        return self.built.recipe

    @property
    def data(self) -> DataFacts:
        built, data = self.built, self.recipe.data
        shown: dict[str, Json] = {"source": data.source, **data.options}
        return DataFacts(
            built.train.digest, built.val.digest, {**shown, "digest": built.train.digest}
        )

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
