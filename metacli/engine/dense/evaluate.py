"""`evaluate` of a model of dense tasks: the measures of NYUv2 on images that no training has seen,
and Δp against a network for each task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.scenes.generated import CLASSES, SPLITS, Scenes, scenes
from metacli.engine.dense.folder import DenseModel, load_dense
from metacli.engine.dense.intervals import changes
from metacli.engine.dense.run import SINGLE
from metacli.engine.dense.scoring import answers_on, image_losses, truth_of
from metacli.engine.models.opening import is_run
from metacli.engine.results.base import Json
from metacli.engine.results.dense import DenseEvaluation
from metacli.engine.results.evaluate import TaskScore
from metacli.engine.scoring import score_file
from metacli.engine.scoring.dense_measures import dense_scores
from metacli.engine.scoring.intervals import benjamini_hochberg, over_episodes, paired_t, verdict
from metacli.engine.scoring.request import Request
from metacli.errors import UsageProblem
from metacli.nn.dense.targets import TASKS

LOSS = "loss"


@dataclass(frozen=True)
class DenseScorer:
    """A model of dense tasks on images of its own set."""

    path: Path

    @property
    def metric(self) -> str:
        return LOSS

    @property
    def checked(self) -> tuple[str, ...]:
        return (LOSS,)

    def evaluate(self, request: Request) -> DenseEvaluation:
        """Raises UsageProblem for options that mean nothing to dense tasks."""
        request.require_no_order()
        if request.data is not None or request.overrides or not request.wanted.only("split"):
            raise UsageProblem(
                "a model of dense tasks is measured on its own set: --split is taken"
            )
        split = request.wanted.split or "test"
        if split not in SPLITS:
            raise UsageProblem(f"--split is one of {', '.join(SPLITS)}, found {split}")
        model = load_dense(self.path)
        data, options = model.recipe.data, model.options
        count = options.count(split)
        facts = DenseEvaluation(LOSS, data=data.source, split=split, images=count)
        facts = replace(facts, num_tasks=len(TASKS))
        if request.dry_run:
            return replace(facts, dry_run=True)
        result, losses = measured(facts, model, single_of(self.path), scenes(options, split))
        return self.recorded(request, model, result, losses)

    def recorded(
        self, request: Request, model: DenseModel, result: DenseEvaluation, losses: np.ndarray
    ) -> DenseEvaluation:
        """With its score file, which has the loss of each image."""
        run = self.path.parent if is_run(self.path.parent) else None
        path = score_file.place_for(run, self.path, request.out)
        line: dict[str, Json] = {
            "model": str(self.path),
            "units": score_file.units_hash(data=result.data_digest, split=result.split),
            "metric": LOSS,
            "mode": "inductive",
            "unit": "image",
            "data": result.data,
            "split": result.split,
            "data_digest": result.data_digest,
            **score_file.arm_of(model),
        }
        result = replace(result, scores=path)
        score_file.record(path, line, losses.mean(0), result)
        return result


def measured(
    facts: DenseEvaluation, model: DenseModel, alone: DenseModel | None, made: Scenes
) -> tuple[DenseEvaluation, np.ndarray]:
    """The result on some images, compared with the networks apart where there are some; and the
    losses of each task on each image, [T, M]."""
    losses = image_losses(model.problem(), model.params, made)
    truth, mine = truth_of(made), answers_on(model.problem(), model.params, made)
    mean = over_episodes(losses.mean(0))
    found = replace(
        facts,
        mean=mean.mean,
        ci95=mean.ci95,
        inductive=mean,
        data_digest=made.digest,
        measures=dense_scores(truth, mine, len(CLASSES)),
        tasks=rows(losses),
    )
    if alone is None:
        return found, losses
    theirs = answers_on(alone.problem(), alone.params, made)
    changed = changes(truth, mine, theirs, len(CLASSES))
    others = image_losses(alone.problem(), alone.params, made)
    compared = replace(
        found,
        tasks=rows(losses, others),
        single_task=dense_scores(truth, theirs, len(CLASSES)),
        delta_p=changed.together.delta,
        delta_p_ci95=changed.together.ci95,
        task_delta_p=changed.tasks,
    )
    return compared, losses


def single_of(path: Path) -> DenseModel | None:
    """The networks apart that the run of a model trained; None where there is no such run."""
    folder = path.parent / "baselines" / SINGLE
    return load_dense(folder) if is_run(path.parent) and folder.is_dir() else None


def rows(mine: np.ndarray, alone: np.ndarray | None = None) -> tuple[TaskScore, ...]:
    """The mean loss of each task, losses [T, M]; and how it differs from that of the networks
    apart, over images. Verdicts hold for all tasks together (Benjamini and Hochberg)."""
    values = [
        TaskScore(task, LOSS, float(one.mean())) for task, one in zip(TASKS, mine, strict=True)
    ]
    if alone is None:
        return tuple(values)
    found = [paired_t(a - b) for a, b in zip(mine, alone, strict=True)]
    adjusted = benjamini_hochberg([one.p for one in found])
    images = mine.shape[1]
    judged = []
    for task, other, one, p in zip(values, alone, found, adjusted, strict=True):
        said = verdict(one.low, one.high, images, larger_is_better=False)
        judged.append(
            replace(
                task,
                single_task=float(other.mean()),
                delta=one.delta,
                delta_ci95=(one.low, one.high),
                p_adjusted=p,
                verdict="no_difference" if said in ("helped", "hurt") and p > 0.05 else said,
            )
        )
    return tuple(judged)
