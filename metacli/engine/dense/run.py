"""A run of `multitask` on dense tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.weighting.fixed import Fixed
from metacli.engine.dense.build import APART, DenseBuilt, problem_of
from metacli.engine.dense.folder import DenseModel, load_dense, save_dense
from metacli.engine.dense.scoring import image_losses, scores_on
from metacli.engine.events import Event, Progress, StepDone
from metacli.engine.results.base import Json
from metacli.engine.results.train import Comparison
from metacli.engine.scoring.dense_measures import MEASURES, delta_p
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import (
    DataFacts,
    Hooks,
    Kind,
    OfOneProcess,
    Reached,
    Start,
    Validation,
    multi_task_details,
    start_of,
    train_run,
)
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.nn.dense.targets import TASKS
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.types import Batch, Episode

SINGLE = "single-task"


@dataclass(frozen=True)
class DenseRun(OfOneProcess):
    """Dense tasks to be learned together, and each by a network of its own for comparison.

    Args:
        compared_with: the two on validation images, once it was found out.
    """

    built: DenseBuilt
    compared_with: Comparison | None = None

    verb = "multitask"
    trains_on = "dense tasks"

    @property
    def metric(self) -> str:
        return "loss"

    @property
    def kind(self) -> Kind:
        return "regression"

    @property
    def recipe(self) -> MultiTaskRecipe:
        return self.built.recipe

    @property
    def data(self) -> DataFacts:
        built, data = self.built, self.recipe.data
        digests = (built.train.digest, built.val.digest)
        shown: dict[str, Json] = {"source": data.source, **data.options, "digest": digests[0]}
        return DataFacts(*digests, shown)

    def start(self) -> Start:
        built = self.built
        return start_of(
            built.method.init, built.problem, built.start(built.problem, self.recipe.seed)
        )

    def train(
        self, begin: Snapshot, learned: frozenset[str], device: torch.device, hooks: Hooks
    ) -> Snapshot:
        built, method, problem = self.built, self.built.method, self.built.problem

        def batch_at(step: int) -> Batch:
            return moved(built.draw(step), device)

        def episode_at(step: int) -> Episode:
            return Episode(batch_at(step), moved(built.draw(step, "other"), device))

        if isinstance(method, MetaWeighted):
            return train_run(method, problem, episode_at, self.recipe, begin, learned, hooks)
        return train_run(method, problem, batch_at, self.recipe, begin, learned, hooks)

    def validate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Validation:
        """The mean loss over the tasks, of each image; and of each task."""
        found = image_losses(self.built.problem, snapshot.params, self.built.val, tick)
        return Validation(over_episodes(found.mean(0)), tuple(found.mean(1).tolist()))

    def write_model(self, workspace: Workspace, reached: Reached) -> None:
        best = reached.best
        if best is None:
            return
        facts = provenance(workspace, self.recipe, self.data.shown, best.snapshot.step)
        learned = {k: v for k, v in best.snapshot.params.items() if k in self.names}
        scores = {f"val_{self.metric}": reached.history.best or {}}
        sharing = self.recipe.sharing.name
        save_dense(DenseModel(self.recipe, learned, sharing, scores, facts), workspace.model)

    @property
    def names(self) -> frozenset[str]:
        """Of the network's parameters and statistics."""
        return frozenset(self.built.problem.init(0))

    def compared(self, workspace: Workspace, reached: Reached, control: Control) -> DenseRun:
        """With a network for each task, trained for as many steps."""
        if reached.best is None:
            return self
        folder = workspace.folder / "baselines" / SINGLE
        if not folder.is_dir():
            single = self.trained_apart(reached.steps, workspace.device, control)
            if single is None:
                return self
            facts = provenance(workspace, self.recipe, self.data.shown, single.step)
            kept = {k: v for k, v in single.params.items() if not k.startswith("weighting.")}
            save_dense(DenseModel(self.recipe, kept, APART, {}, facts), folder)
        alone = load_dense(folder)
        mine = scores_on(self.built.problem, reached.best.snapshot.params, self.built.val)
        theirs = scores_on(alone.problem(), alone.params, self.built.val)
        rows: list[dict[str, Json]] = [
            {
                "name": task,
                "metric": name,
                "value": mine[task][name],
                "single_task": theirs[task][name],
                "delta": mine[task][name] - theirs[task][name],
            }
            for task in TASKS
            for name in MEASURES[task]
        ]
        baselines = {"delta_p": {"mean": delta_p(mine, theirs), "ci95": None, "n": None}}
        return replace(self, compared_with=Comparison(tuple(rows), baselines=baselines))

    def trained_apart(self, steps: int, device: torch.device, control: Control) -> Snapshot | None:
        """The state of networks apart whose validation is best; None when a signal came."""
        problem, tasks = problem_of(self.recipe, APART), len(TASKS)
        method = MultiTask(weighting=Fixed(weights=(float(tasks),) * tasks))  # each its own step
        start = start_of(method.init, problem, self.built.start(problem, self.recipe.seed))
        best: list[tuple[float, Snapshot]] = []

        def visit(snapshot: Snapshot) -> None:
            value = float(image_losses(problem, snapshot.params, self.built.val).mean())
            if not best or value < best[0][0]:
                params = {name: one.clone() for name, one in snapshot.params.items()}
                best[:] = [(value, replace(snapshot, params=params))]

        def tick(event: Event) -> None:
            if isinstance(event, StepDone) and event.step % 50 == 0:
                control.report(Progress(f"baseline {SINGLE}", event.step, steps, "steps"))

        train = self.recipe.train.model_copy(update={"steps": steps})
        recipe = self.recipe.model_copy(update={"train": train})
        begin = Snapshot(0, {k: v.to(device) for k, v in start.params.items()}, start.state, {})
        hooks = Hooks(visit, lambda: control.stopped, tick)

        def batch_at(step: int) -> Batch:
            return moved(self.built.draw(step), device)

        train_run(method, problem, batch_at, recipe, begin, start.learned, hooks)
        return None if control.stopped else best[0][1]

    @property
    def batch_bytes(self) -> int:
        """The images are in memory already."""
        return 0

    def details(self) -> dict[str, Json]:
        return multi_task_details(self.recipe, len(TASKS))

    def comparison(self, folder: Path) -> Comparison | None:
        return self.compared_with


def moved(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.x.to(device), batch.y.to(device))
