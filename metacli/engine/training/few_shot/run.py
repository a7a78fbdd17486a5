"""A run of `meta-train`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from metacli.algorithms.learner import Method
from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.class_tasks import ClassTaskEpisodes
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.encoders.parameters import to_train
from metacli.engine.events import Note, Reporter
from metacli.engine.models import folder as model_folder
from metacli.engine.models.beginnings import own_start
from metacli.engine.ranks.team import Team
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.episodes import episodes_at_once, score_episodes, to_device
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.training.few_shot.baselines import check_baselines, train_baselines
from metacli.engine.training.few_shot.build import FewShotBuilt, build_few_shot
from metacli.engine.training.few_shot.divided import DividedTasks, require_divisible
from metacli.engine.training.few_shot.sources import (
    appearance_of_training,
    batches_for,
    make_source,
    validation_source,
)
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.precision import products_of
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
from metacli.nn.problem import Problem
from metacli.schema.blocks import Data
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded
from metacli.types import Episode


@dataclass(frozen=True)
class FewShotRun:
    """A learner to be trained on episodes, and validated on the same ones at every time.

    Args:
        team: the processes that the tasks and the validation episodes are divided over.
    """

    built: FewShotBuilt
    train_source: EpisodeSource
    val_source: EpisodeSource
    team: Team = field(default_factory=Team)

    verb = "meta-train"

    @property
    def recipe(self) -> FewShotRecipe:
        return self.built.recipe

    @property
    def metric(self) -> str:
        return self.built.problem.metric_name

    @property
    def kind(self) -> Kind:
        return self.built.kind

    @property
    def data(self) -> DataFacts:
        shown = shown_data(self.recipe.data, self.train_source)
        return DataFacts(self.train_source.digest, self.val_source.digest, shown)

    def check(self, name: str) -> None:
        check_baselines(self.built, name)

    def divided(self, team: Team) -> FewShotRun:
        built = self.built
        tasks = self.recipe.train.meta_batch
        require_divisible(built.learner, built.problem, tasks, team.size)
        return replace(self, team=team)

    def foretell(self, report: Reporter) -> FewShotRun:
        """That a program is made."""
        if self.built.compiling is not None:
            report(Note(self.built.compiling, "run.compiled"))
        return self

    def prepared(self, workspace: Workspace) -> FewShotRun:
        """There is nothing to be found out."""
        return self.foretell(workspace.report)

    def start(self) -> Start:
        problem = self.built.problem
        fresh = to_train(self.recipe, problem.init(self.recipe.seed))
        return start_of(partial(own_start, self.built.learner), problem, fresh)

    def train(
        self, begin: Snapshot, learned: frozenset[str], device: torch.device, hooks: Hooks
    ) -> Snapshot:
        built, team, tasks = self.built, self.team, self.recipe.train.meta_batch
        source, mine = batches_for(built.learner, self.train_source), team.share(tasks)

        def batch_at(step: int) -> Episode:
            return to_device(source.part_at(step, *mine), device)

        method: Method[Problem, Episode] = built.learner
        if team.size > 1:
            method = DividedTasks(built.learner, team, tasks)
        with products_of(self.recipe.train.precision, device):
            return train_run(method, built.problem, batch_at, self.recipe, begin, learned, hooks)

    def validate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Validation:
        built, team, total = self.built, self.team, self.recipe.evaluate.episodes
        unit = episodes_at_once(built.problem, built.deployed)

        def scores(first: int, last: int) -> np.ndarray:
            return score_episodes(
                *(built.problem, built.deployed, snapshot.params, snapshot.state),
                lambda index: self.val_source.episode(first + index),
                last - first,
                tick=lambda done: tick(min(done * team.size, total)),
            ).inductive

        return Validation(over_episodes(team.collected(scores, total, unit)))

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        best = reached.best
        if best is None:
            return
        facts = provenance(workspace, self.recipe, self.data.shown, best.snapshot.step)
        facts |= appearance_of_training(self.train_source)
        scores = {f"val_{self.metric}": reached.history.best or {}}
        made = self.built.model(best.snapshot, facts, scores)
        model_folder.save(made, workspace.model, replace=True)

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> FewShotRun:
        """The learners of the recipe's `baselines`, trained on the same episodes."""
        shown = self.data.shown
        train_baselines(self.built, self.train_source, workspace, shown, reached.steps, control)
        return self

    @property
    def batch_bytes(self) -> int:
        """Pixels are bytes, other numbers four of them."""
        recipe, inputs = self.recipe, self.built.inputs
        episodes = recipe.episodes
        shot = episodes.shot if isinstance(episodes.shot, int) else episodes.shot[1]
        rows = (self.built.way if self.kind == "classification" else 1) * (shot + episodes.query)
        numbers = recipe.train.meta_batch * rows * math.prod(inputs.shape)
        return numbers * (1 if inputs.kind == "image" else 4)

    def details(self) -> dict[str, Json]:
        recipe = self.recipe
        return {
            "data": recipe.data.source,
            "learner": recipe.algorithm.name,
            "backbone": recipe.backbone.name,
            "execution": f"{recipe.train.execution}, tasks at a time: {recipe.train.chunk}",
        }

    def comparison(self, folder: Path) -> Comparison | None:
        """`evaluate` compares it with its baselines."""
        return None


def make_few_shot_run(loaded: Loaded, device: str = "cpu") -> FewShotRun:
    """Everything that can be wrong with the recipe or the data is found here; nothing is written.

    Raises:
        RecipeError, DataError: as `build_few_shot`.
    """
    built = build_few_shot(loaded, device)
    return FewShotRun(built, make_source(built.recipe, "train"), validation_source(built.recipe))


def shown_data(data: Data, source: EpisodeSource) -> dict[str, Json]:
    """What was trained on. Class names of a user's own folder, which may change between training
    and evaluation."""
    facts: dict[str, Json] = {"source": data.source, **data.options, "digest": source.digest}
    if isinstance(source, ClassTaskEpisodes):
        return {**facts, "tasks": [*source.tasks.tasks], "left_out": [*source.tasks.left_out]}
    if data.source in DATASETS or not isinstance(source, ClassEpisodes):
        return facts
    return {**facts, "classes": list(source.pool.classes)}
