"""`evaluate`: how good a model is on tasks it has never seen, or an adapted model on labelled
examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metacli.data.few_shot.source import EpisodeSource
from metacli.data.tables.choice import NOTHING_SAID, stated
from metacli.data.user.open import Reading
from metacli.engine.events import Notice, Progress, Reporter, ignore
from metacli.engine.models.fields import with_fields
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.predicting.rows import evaluate_rows
from metacli.engine.scoring import score_file
from metacli.engine.scoring.baseline_scores import score_baselines, summary
from metacli.engine.scoring.checks import (
    LOWER_IS_BETTER,
    parse_checks,
    require_checks,
    require_known,
)
from metacli.engine.scoring.episodes import EpisodeScores, score_episodes
from metacli.engine.scoring.evaluation_episodes import replace_source, source_of, with_room
from metacli.engine.scoring.multi_task_evaluate import evaluate_tasks
from metacli.engine.scoring.multi_task_user import evaluate_own
from metacli.engine.scoring.protocol import Protocol, protocols
from metacli.engine.scoring.simple_scores import simple_scores
from metacli.engine.storage.paths import require_device
from metacli.errors import CheckFailed, UsageProblem


def evaluate(
    model: str,
    data: str | None = None,
    overrides: Sequence[str] = (),
    *,
    split: str | None = None,
    way: str | int | None = None,
    shot: str | int | None = None,
    query: int | None = None,
    episodes: int = 600,
    expect: bool = False,
    target: str | None = None,
    input: str | None = None,
    fail_under: Sequence[str] = (),
    fail_over: Sequence[str] = (),
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Score a model. It is never changed; the values per unit go into a score file.

    Args:
        data: a data set's name or a pool of class folders (default: what the model was trained on,
            other classes); for an adapted model labelled examples; for a multi-task model labelled
            rows of its tasks (default: the rows that its training left out).
        overrides: fields of the learner, such as `inner_steps=10`, for tasks that it adapts to.
            The scores go into a file of their own, which `compare` takes beside the run.
        way: `5`, or `3-20` to draw it for each episode.
        shot: `1`; `1,2,5,10` for a curve; `1-10` to draw each class's own.
        expect: measure under the recipe's `expect` and compare with its band.
        target: of a table, the column to predict. input: the columns to predict from, with commas
            between them; where they are not called as they were.
        seed: of the episodes (0), not of the run.

    Returns:
        The `result` of the command line's JSON document.

    Raises:
        CheckFailed: `expect`, `fail_under` or `fail_over`; its `result` is complete.
    """
    checks = parse_checks(fail_under, fail_over)
    columns = stated(target, input)
    if columns != NOTHING_SAID and data is None:
        raise UsageProblem("--target and --input name columns of a table: name the table, too")
    if episodes < 1:
        raise UsageProblem(f"--episodes must be 1 or more, found {episodes}")
    opened = open_model(model, require_device(device), report)
    require_known(checks, (metric_of(opened.model),))
    if out is not None:
        score_file.require_place(Path(out), force=force, dry_run=dry_run)
    if overrides and not isinstance(opened.model, FewShotModel):
        raise UsageProblem(f"{overrides[0]}: this model does not adapt when it is measured")
    if isinstance(opened.model, MultiTaskModel):
        if expect or any(one is not None for one in (way, shot, query, seed)):
            raise UsageProblem(
                "a multi-task model is measured on its own tasks: --way, --shot, --query, --seed "
                "and --expect are for episodes"
            )
        if data is not None and split is not None:
            raise UsageProblem(f"--split is of the data that it was trained on, not of {data}")
        if data is None:
            result = evaluate_tasks(opened.having(opened.model), split, out, dry_run, report)
        else:
            tasks = opened.having(opened.model)
            reading = Reading(columns, skip_bad, allow_duplicates)
            result = evaluate_own(tasks, data, reading, out, dry_run, report)
    elif isinstance(opened.model, AdaptedModel):
        if expect or any(one is not None for one in (split, way, shot, query)):
            raise UsageProblem(
                "an adapted model is measured on labelled examples; --split, --way, --shot, "
                "--query and --expect are for episodes"
            )
        if data is None:
            raise UsageProblem(
                "an adapted model is measured on labelled examples",
                hint=f"metacli evaluate {model} FOLDER_OF_CLASSES/",
            )
        adapted = opened.having(opened.model)
        reading = Reading(columns, skip_bad, allow_duplicates)
        result = evaluate_rows(adapted, data, reading, out, dry_run, report)
    else:
        few_shot = opened.having(opened.model)
        if overrides:
            few_shot = opened.having(with_fields(opened.model, overrides))
            out = out or str(score_file.place_of_variant(opened.run, opened.path, overrides))
        reading = Reading(columns, skip_bad, allow_duplicates)
        source = replace_source(few_shot, data, reading)
        wanted = protocols(source.model, split, way, shot, query, episodes, seed, expect)
        if shot is not None and query is None and not expect:
            wanted = with_room(source.model, wanted, report)
        result = over_protocols(source, wanted, out, dry_run, report)
        if expect and not dry_run:
            result = with_expectation(source.model, result)
    if not dry_run:
        require_checks(checks, {result["metric"]: result["mean"]}, result)
    return result


def metric_of(model: AnyModel) -> str:
    """What it is judged by."""
    match model:
        case MultiTaskModel():
            return model.heads.metric
        case AdaptedModel():
            return "mae" if model.kind == "regression" else "accuracy"
        case FewShotModel():
            return "mse" if model.kind == "regression" else "accuracy"


def over_protocols(
    opened: Opened[FewShotModel],
    wanted: list[Protocol],
    out: str | None,
    dry_run: bool,
    report: Reporter,
) -> dict[str, Any]:
    """The result of the last protocol, with a curve where there are several."""
    sources = [source_of(opened.model, one) for one in wanted]  # what is wrong is found at once
    results = [
        one_protocol(opened, protocol, source, out, dry_run, report)
        for protocol, source in zip(wanted, sources, strict=True)
    ]
    curve = [{"shot": r["shot"], "mean": r["mean"], "ci95": r["ci95"]} for r in results]
    return {**results[-1], "curve": curve if len(results) > 1 else []}


def one_protocol(
    opened: Opened[FewShotModel],
    protocol: Protocol,
    source: EpisodeSource,
    out: str | None,
    dry_run: bool,
    report: Reporter,
) -> dict[str, Any]:
    model = opened.model
    problem = model.problem()
    digest = source.digest
    facts = described(model, problem.statistics, protocol, digest, source)
    if dry_run:
        return {**facts, "dry_run": True, "mean": None, "ci95": None}
    found = score_episodes(
        problem,
        model.learner(),
        model.params,
        model.state,
        source.episode,
        protocol.episodes,
        detailed=True,
        tick=lambda done: report(Progress("evaluating", done, protocol.episodes, "episodes")),
    )
    baselines = score_baselines(opened, problem, source, protocol, report)
    baselines |= simple_scores(model, source, found.inductive, report)
    path = score_file.place_for(opened.run, opened.path, out)
    said = {**facts, **summary(found), "baselines": baselines}
    save(path, opened, protocol, digest, problem.metric_name, found, said)
    warn_not_finite(found.inductive, report)
    return {**said, "scores": str(path)}


def described(
    model: FewShotModel, statistics: str, protocol: Protocol, digest: str, source: EpisodeSource
) -> dict[str, Any]:
    """The part of a result that says what was measured."""
    pool = getattr(source, "pool", None)
    regression = model.kind == "regression"
    plain = lambda span: span if isinstance(span, int) else list(span)  # noqa: E731
    way = protocol.way
    chance = None if regression else 1 / way if isinstance(way, int) else None
    return {
        "metric": "mse" if regression else "accuracy",
        "episodes": protocol.episodes,
        "episodes_seed": protocol.seed,
        "data": model.recipe.data.source,
        "split": protocol.split,
        "scheme": None if pool is None else pool.scheme,
        "rotations": None if pool is None else rotation_rule(pool),
        "way": plain(way),
        "shot": plain(protocol.shot),
        "query": protocol.query,
        "balanced": protocol.balanced,
        "statistics": statistics,
        "adaptation_steps": model.learner().inner_steps,
        "train_seed": model.recipe.seed,
        "chance": chance,
        "curve": [],
        "tasks": [],
        "data_digest": digest,
        "expect": None,
    }


def rotation_rule(pool: Any) -> str:
    if pool.random_turns:
        return "drawn for each class of each episode"
    return "none" if pool.turns is None else "every rotation is a class"


def save(
    path: Path,
    opened: Opened[FewShotModel],
    protocol: Protocol,
    digest: str,
    metric: str,
    found: EpisodeScores,
    said: dict[str, Any],
) -> None:
    """One line for the inductive values, with what `evaluate` said; one for the transductive."""
    what = {
        "data_digest": digest,
        "split": protocol.split,
        "way": protocol.way,
        "shot": protocol.shot,
        "query": protocol.query,
        "balanced": protocol.balanced,
        "seed": protocol.seed,
        "episodes": protocol.episodes,
    }
    line = {
        "model": str(opened.path),
        **what,
        "unit": "episode",
        "metric": metric,
        "units": score_file.units_hash(**what),
        **score_file.arm_of(opened.model),
    }
    score_file.record(path, {**line, "mode": "inductive"}, found.inductive, said)
    if found.together is not None:
        score_file.record(path, {**line, "mode": "transductive"}, found.together)


def warn_not_finite(values: np.ndarray, report: Reporter) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        named = ", ".join(map(str, bad[:10]))
        report(
            Notice(
                f"{len(bad)} episode(s) are not finite and not in the mean: {named}",
                "evaluate.not_finite",
            )
        )


def with_expectation(model: FewShotModel, result: dict[str, Any]) -> dict[str, Any]:
    """The result with PASS or FAIL against the recipe's band. Raises CheckFailed."""
    expected = model.recipe.expect
    assert expected is not None
    if (
        expected.metric != result["metric"]
        and expected.metric != f"{result['metric']}_transductive"
    ):
        raise UsageProblem(f"the recipe expects {expected.metric}, measured was {result['metric']}")
    value = result["mean"]
    if expected.metric.endswith("_transductive"):
        value = result["transductive"]["mean"]
    low = -np.inf if expected.min is None else expected.min
    high = np.inf if expected.max is None else expected.max
    better_than_band = value < low if expected.metric in LOWER_IS_BETTER else value > high
    passed = bool(low <= value <= high)
    result = {
        **result,
        "expect": {"min": expected.min, "max": expected.max, "value": value, "passed": passed},
    }
    if not passed:
        side = "better than" if better_than_band else "outside"
        raise CheckFailed(
            f"{expected.metric} is {value:.4f}, {side} the expected "
            f"{expected.min} to {expected.max}",
            result=result,
        )
    return result
