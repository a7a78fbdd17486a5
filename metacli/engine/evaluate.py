"""`evaluate`: how good a model is on tasks it has never seen, or an adapted model on labelled
examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import torch

from metacli.engine.dense.evaluate import DenseScorer
from metacli.engine.events import Reporter, ignore
from metacli.engine.many.evaluating import evaluate_each
from metacli.engine.many.models import models_below
from metacli.engine.models.model import AnyModel, FewShotModel
from metacli.engine.models.named import dense_model_at, set_model_at
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.ranks.launched import launched
from metacli.engine.ranks.private_folder import private_folder
from metacli.engine.ranks.scores import TeamValues
from metacli.engine.ranks.team import joined
from metacli.engine.results.class_tasks import ClassTaskEvaluation
from metacli.engine.results.evaluate import Evaluation
from metacli.engine.results.evaluate_many import Evaluations
from metacli.engine.results.shards import ShardResult
from metacli.engine.scoring.checks import Check, require_checks, require_known
from metacli.engine.scoring.request import EpisodeOptions, MoreOptions, Request, Settings
from metacli.engine.scoring.scorer import EpisodeScorer, Scorer, scorer_of
from metacli.engine.sets.scorer import set_scorer_at
from metacli.engine.shards.evaluating import evaluate_part
from metacli.engine.shards.shard import Shard, parsed
from metacli.engine.storage.paths import require_device
from metacli.engine.training.dropping import StepDropped
from metacli.engine.training.outcome import rank_lost
from metacli.errors import UsageProblem
from metacli.schema.overrides import Overrides, spelled


def evaluate(
    model: str | Path,
    data: str | Path | None = None,
    overrides: Overrides = (),
    *,
    split: str | None = None,
    way: str | int | None = None,
    shot: str | int | None = None,
    query: int | None = None,
    episodes: int = 600,
    seed: int | None = None,
    expect: bool = False,
    report: Reporter = ignore,
    **more: Unpack[MoreOptions],
) -> Evaluation | Evaluations | ShardResult:
    """Score a model, or each model of a folder on the task of its name. None is ever changed; the
    values per unit go into a score file.

    Args:
        data: a data set's name or a pool of class folders (default: what the model was trained on,
            other classes); for an adapted model labelled examples; for a multi-task model labelled
            rows of its tasks (default: the rows that its training left out); for a folder of models
            a folder of tasks.
        overrides: fields of the learner, such as `{"inner_steps": 10}`, for tasks that it adapts
            to. The scores go into a file of their own, which `compare` takes as well as the run.
        way: `5`, or `3-20` to draw it for each episode.
        shot: `1`; `1,2,5,10` for a curve; `1-10` to draw each class's own.
        seed: of the episodes (0), not of the run.
        expect: measure under the recipe's `expect` and compare with its band.
        more: `fail_under`, `fail_over`, `target`, `input`, `skip_bad`, `allow_duplicates`,
            `follow_links`, `order`, `out`, `force`, `device`, `dry_run`, `shard`; see `Settings`.

    Raises:
        DataError: some tasks of a folder could not be evaluated; its `result` has every row.
        CheckFailed: `expect`, `fail_under` or `fail_over`; its `result` is complete.
    """
    settings = Settings(**more)
    checks = settings.checks()
    wanted = EpisodeOptions(split, way, shot, query, episodes, seed, expect)
    wanted.require_episodes()
    asked = Request(
        *(str(model), None if data is None else str(data), spelled(overrides), wanted),
        reading=settings.reading(),
        dry_run=settings.dry_run,
        report=report,
        order=settings.order,
    )
    sets, models = set_model_at(str(model)), models_below(model)
    device = require_device(settings.device)
    if (shard := parsed(settings.shard)) is not None:
        opened = None if models or sets else open_model(str(model), device, report)
        return part_of(opened, asked, shard, settings)
    if launched().size > 1:
        return by_ranks(asked, settings, checks)
    if models is not None and sets is None:
        return evaluate_each(models, replace(asked, out=settings.place()), checks, device)
    scorer = scorer_at(str(model), sets, device, report)
    require_known(checks, scorer.checked)
    result = scorer.evaluate(replace(asked, out=settings.place()))
    return result if asked.dry_run else checked(result, checks)


def checked(result: Evaluation, checks: Sequence[Check]) -> Evaluation:
    """Raises CheckFailed."""
    values = result.checked() if isinstance(result, ClassTaskEvaluation) else {}
    require_checks(checks, {result.metric: result.mean, **values}, result)
    return result


def scorer_at(model: str, sets: Path | None, device: torch.device, report: Reporter) -> Scorer:
    """How the model is measured, asked of its folder."""
    if (dense := dense_model_at(model)) is not None:
        return DenseScorer(dense)
    return set_scorer_at(sets) if sets else scorer_of(open_model(model, device, report))


def part_of(
    opened: Opened[AnyModel] | None, request: Request, shard: Shard, settings: Settings
) -> ShardResult:
    """The scores of a part of the episodes. Raises UsageProblem for what has none."""
    model = None if opened is None else opened.model
    if opened is None or not isinstance(model, FewShotModel):
        raise UsageProblem("--shard divides the episodes that a few-shot model is measured on")
    if settings.out is None:
        raise UsageProblem("--shard writes a folder for merge: -o is missing", hint="-o FOLDER")
    if settings.checks():
        raise UsageProblem("--fail-under and --fail-over are of all episodes, not of a shard")
    request.require_no_order()
    return evaluate_part(
        opened.having(model), request, shard, Path(settings.out), force=settings.force
    )


def by_ranks(request: Request, settings: Settings, checks: Sequence[Check]) -> Evaluation:
    """The episodes divided over the processes that were started together; rank 0 writes and checks.

    Raises:
        UsageProblem: a model that is not measured on episodes.
        RunFailed: another process ended.
    """
    with joined(launched()) as team, private_folder(team) as place:
        request = request if place is None else replace(request, report=ignore)
        opened = open_model(request.model, require_device(settings.device), request.report)
        model = opened.model
        if not isinstance(model, FewShotModel):
            raise UsageProblem("processes divide the episodes that a few-shot model is measured on")
        scorer = EpisodeScorer(opened.having(model))
        require_known(checks, scorer.checked)
        out = settings.place() if place is None else place.with_suffix(".jsonl")
        try:
            result = scorer.evaluate(replace(request, out=out, values=TeamValues(team)))
        except StepDropped:  # or one that is lost
            raise rank_lost(team.size, None) from None
    return result if request.dry_run or place is not None else checked(result, checks)
