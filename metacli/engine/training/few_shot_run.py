"""One training run: what is trained, where, from which state, and what it says about itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.events import Reporter
from metacli.engine.models import folder as model_folder
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.episodes import score_episodes, to_device
from metacli.engine.scoring.intervals import Estimate, over_episodes
from metacli.engine.training import checkpoint, journal
from metacli.engine.training.build import Built, batches_for, build, make_source
from metacli.engine.training.loop import Snapshot
from metacli.nn.problem import Problem
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded
from metacli.types import Params

VALIDATION_SEED = 0


@dataclass
class Job:
    """A run that is ready to train. Its methods are what differs between the kinds of runs; these
    are `meta-train`'s.

    Args:
        resumed: goes on with what the folder holds; otherwise the folder is new, or to be replaced.
        named: the folder is the one of `-o`. force: what is in it may be replaced.
        max_time: seconds for the training.
        begin: the checkpoint to go on from. best: the one with the best validation.
        history: what is remembered from checkpoint to checkpoint.
    """

    verb: ClassVar[str] = "meta-train"

    built: Built
    name: str
    header: str
    run: Path
    device: torch.device
    report: Reporter
    train_source: EpisodeSource
    val_source: EpisodeSource
    max_time: float | None
    resumed: bool = False
    named: bool = False
    force: bool = False
    begin: checkpoint.Saved | None = None
    best: checkpoint.Saved | None = None
    history: dict[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> FewShotRecipe:
        return self.built.recipe

    @property
    def state(self) -> Path:
        return self.run / "state"

    def check(self) -> None:
        """What else can be wrong before anything is written. Raises RecipeError."""
        from metacli.engine.training.baselines import check_baselines

        check_baselines(self)

    def prepare(self, report: Reporter) -> None:
        """What has to be found out under the run's lock before training begins."""

    def fresh(self) -> Params:
        """θ before the first step."""
        return self.built.problem.init(self.recipe.seed)

    def batch_at(self, step: int) -> Any:
        """What a step learns from, on the run's device."""
        source = batches_for(self.built.learner, self.train_source)
        return to_device(source.meta_batch_at(step), self.device)

    def estimate(self, snapshot: Snapshot, tick: Callable[[int], None]) -> Estimate:
        """The validation of a state; `tick` is told how many episodes are done."""
        scores = score_episodes(
            self.built.problem,
            self.built.deployed,
            snapshot.params,
            snapshot.state,
            self.val_source.episode,
            self.recipe.evaluate.episodes,
            tick=tick,
        )
        return over_episodes(scores.inductive)

    def train_baselines(
        self, steps: int, received: Callable[[], int | None], report: Reporter
    ) -> None:
        """What the run is compared with, trained as long; kept below `baselines/`."""
        from metacli.engine.training.baselines import train_baselines

        train_baselines(self, steps, received, report)

    def write_model(self) -> None:
        write_model(self, self.built.problem)

    def details(self) -> dict[str, Any]:
        """What `RunStarted` says of this kind of run."""
        recipe = self.recipe
        return {
            "data": recipe.data.source,
            "learner": recipe.algorithm.name,
            "backbone": recipe.backbone.name,
            "execution": f"{recipe.train.execution}, {recipe.train.chunk} task(s) at a time",
        }

    def extras(self) -> dict[str, Any]:
        """What the result has beside what every run's has."""
        return {}


def make_job(
    loaded: Loaded,
    name: str,
    run: Path,
    device: torch.device,
    max_time: float | None,
    report: Reporter,
) -> Job:
    """Everything that can be wrong with the recipe or the data is found here; nothing is written.

    Validation episodes are the same for every run.
    """
    if loaded.recipe.kind == "multitask":
        from metacli.engine.training.multi_task_run import make_task_job

        return make_task_job(loaded, name, run, device, max_time, report)
    built = build(loaded)
    recipe = built.recipe
    asked = recipe.evaluate
    val = make_source(
        recipe, "val", way=asked.way, shot=asked.shot, query=asked.query, seed=VALIDATION_SEED
    )
    train = make_source(recipe, "train")
    return Job(built, name, loaded.header, run, device, report, train, val, max_time)


def digest_of(source: EpisodeSource) -> str:
    return source.digest


def provenance(job: Job, step: int) -> dict[str, Any]:
    """Where a model came from, for its `model.json`."""
    return {
        "recipe": job.name,
        "created": journal.now(),
        "steps": step,
        "seed": job.recipe.seed,
        "versions": journal.versions(),
        "threads": torch.get_num_threads(),
        "device": str(job.device),
        "data": data_facts(job),
    }


def data_facts(job: Job) -> dict[str, Any]:
    """What was trained on. Class names of a user's own folder, which may change between training
    and evaluation."""
    data = job.recipe.data
    facts = {"source": data.source, **data.options, "digest": digest_of(job.train_source)}
    if data.source in DATASETS or not isinstance(job.train_source, ClassEpisodes):
        return facts
    return {**facts, "classes": list(job.train_source.pool.classes)}


def write_model(job: Job, problem: Problem) -> None:
    """`RUN/model` from the best state; nothing where no state was validated yet."""
    best = job.best
    if best is None:
        return
    made = FewShotModel(
        recipe=job.recipe,
        params=best.snapshot.params,
        state=best.snapshot.state,
        inputs=job.built.inputs,
        kind=job.built.kind,
        way=job.built.way,
        scores={f"val_{problem.metric_name}": job.history.get("best", {})},
        provenance=provenance(job, best.snapshot.step),
    )
    model_folder.save(made, job.run / "model", replace=True)


def result_of(job: Job, status: str, step: int | None = None) -> dict[str, Any]:
    """The `result` of the command line's JSON document."""
    metric = f"val_{job.built.problem.metric_name}"
    best = job.history.get("best")
    return {
        "run": str(job.run),
        "model": str(job.run / "model") if (job.run / "model").is_dir() else None,
        "status": status,
        "steps": job.history.get("step", 0) if step is None else step,
        "metrics": {metric: best} if best else {},
        "best_step": job.history.get("best_step"),
        **job.extras(),
        "resume_command": f"metacli {job.verb} --resume {shlex.quote(str(job.run))}",
    }
