"""`evaluate` of a model of dense tasks: the measures of NYUv2 on images that no training has seen,
and Δp against a network for each task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.catalogue.registry import find, make_options
from metacli.data.scenes.generated import SPLITS, SceneOptions, scenes
from metacli.engine.dense.folder import DenseModel, load_dense
from metacli.engine.dense.run import SINGLE
from metacli.engine.dense.scoring import image_losses, scores_on
from metacli.engine.models.opening import is_run
from metacli.engine.results.dense import DenseEvaluation
from metacli.engine.results.evaluate import TaskScore
from metacli.engine.scoring.dense_measures import delta_p
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
        data = model.recipe.data
        options = make_options(find(data.source), data.options)
        assert isinstance(options, SceneOptions)
        count = options.count(split)
        facts = DenseEvaluation(LOSS, data=data.source, split=split, images=count)
        facts = replace(facts, num_tasks=len(TASKS))
        if request.dry_run:
            return replace(facts, dry_run=True)
        made = scenes(options, split)
        losses = image_losses(model.problem(), model.params, made)
        mean = over_episodes(losses.mean(0))
        scores = scores_on(model.problem(), model.params, made)
        found = replace(
            facts,
            mean=mean.mean,
            ci95=mean.ci95,
            inductive=mean,
            data_digest=made.digest,
            measures=scores,
            tasks=rows(losses),
        )
        alone = single_of(self.path)
        if alone is None:
            return found
        theirs = scores_on(alone.problem(), alone.params, made)
        others = image_losses(alone.problem(), alone.params, made)
        return replace(
            found,
            tasks=rows(losses, others),
            single_task=theirs,
            delta_p=delta_p(scores, theirs),
        )


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
