"""`evaluate` of a few-shot model: its score on episodes of classes that it has never seen,
compared with what no training reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.models.fields import with_fields
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.engine.results.base import Json
from metacli.engine.results.class_tasks import ClassTaskEvaluation
from metacli.engine.results.evaluate import CurvePoint, EpisodeEvaluation, Expected
from metacli.engine.scoring import score_file
from metacli.engine.scoring.baseline_scores import score_baselines, steps_of
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.class_task_evaluate import evaluate_class_tasks
from metacli.engine.scoring.episodes import EpisodeScores, episodes_at_once, score_episodes
from metacli.engine.scoring.evaluation_episodes import (
    replace_source,
    report_left_aside,
    source_of,
    with_room,
)
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.scoring.protocol import Protocol, protocols
from metacli.engine.scoring.request import Request
from metacli.engine.scoring.simple_scores import simple_scores
from metacli.engine.shards.values import Arrays, Named, Values
from metacli.engine.training.few_shot.sources import has_class_tasks
from metacli.errors import CheckFailed, UsageProblem
from metacli.nn.problem import Statistics


def evaluate_episodes(
    opened: Opened[FewShotModel], request: Request
) -> EpisodeEvaluation | ClassTaskEvaluation:
    """The result for the last protocol, with a curve where there are several.

    Raises:
        DataError: data of another kind, without enough classes, or that the model was trained on.
        CheckFailed: the score is outside the recipe's `expect`, when that was asked for.
    """
    out = request.out
    if request.overrides:
        opened = opened.having(with_fields(opened.model, request.overrides))
        out = out or score_file.place_of_variant(opened.run, opened.path, request.overrides)
    opened, wanted = replace_source(opened, request.data, request.reading), request.wanted
    if has_class_tasks(opened.model.recipe):
        if request.values.divides:
            raise UsageProblem(
                "episodes are divided; this model is measured on every row of new tasks",
                hint=f"metacli evaluate {request.model}",
            )
        return evaluate_class_tasks(opened, replace(request, out=out))
    asked = protocols(opened.model, wanted)
    if wanted.shot is not None and wanted.query is None and not wanted.expect:
        asked = with_room(opened.model, asked, request.report)
    sources = [source_of(opened.model, one) for one in asked]  # what is wrong is found at once
    if request.data is not None and wanted.split is None:
        report_left_aside(opened.model, sources[0], request.report)
    results = [
        Measurement(opened, *one, out, request.report, request.values).result(
            dry_run=request.dry_run
        )
        for one in zip(asked, sources, strict=True)
    ]
    curve = tuple(CurvePoint(one.shot or 0, one.mean, one.ci95) for one in results)
    result = replace(results[-1], curve=curve if len(results) > 1 else ())
    if wanted.expect and not request.dry_run:
        return with_expectation(opened.model, result)
    return result


@dataclass(frozen=True)
class Measurement:
    """One model under one protocol."""

    opened: Opened[FewShotModel]
    protocol: Protocol
    source: EpisodeSource
    out: Path | None
    report: Reporter
    values: Values

    def result(self, *, dry_run: bool) -> EpisodeEvaluation:
        """The result, which is also written to the score file; of a dry run what would be
        measured."""
        model, source, total = self.opened.model, self.source, self.protocol.episodes
        problem = model.problem()
        facts = self.described(problem.statistics)
        if dry_run:
            return replace(facts, dry_run=True)
        learner, units = model.learner(), Named(self.values, f"{self.protocol.shot}-shot")

        def compute(first: int, last: int) -> Arrays:
            return score_episodes(
                *(problem, learner, model.params, model.state),
                lambda index: source.episode(first + index),
                last - first,
                detailed=True,
                tick=lambda done: self.report(
                    Progress("evaluating", first + done, total, "episodes")
                ),
            ).as_arrays()

        scores = EpisodeScores.of(
            units.of("model", total, compute, episodes_at_once(problem, learner))
        )
        baselines = score_baselines(self.opened, problem, source, self.protocol, self.report, units)
        baselines |= simple_scores(model, source, scores.inductive, total, self.report, units)
        if units.partial:
            return facts
        result = replace(with_scores(facts, scores), baselines=baselines)
        path = score_file.place_for(self.opened.run, self.opened.path, self.out)
        self.save(path, problem.metric_name, scores, result)
        warn_not_finite(scores.inductive, self.report)
        return replace(result, scores=path)

    def described(self, statistics: Statistics) -> EpisodeEvaluation:
        """What is measured, without a score."""
        model, protocol = self.opened.model, self.protocol
        pool = self.source.pool if isinstance(self.source, ClassEpisodes) else None
        regression = model.kind == "regression"
        way = protocol.way
        return EpisodeEvaluation(
            metric="mse" if regression else "accuracy",
            episodes=protocol.episodes,
            episodes_seed=protocol.seed,
            data=model.recipe.data.source,
            split=protocol.split,
            scheme=None if pool is None else pool.scheme,
            rotations=None if pool is None else rotation_rule(pool),
            way=way,
            shot=protocol.shot,
            query=protocol.query,
            balanced=protocol.balanced,
            statistics=statistics,
            adaptation_steps=model.learner().inner_steps,
            train_seed=model.recipe.seed,
            chance=None if regression or not isinstance(way, int) else 1 / way,
            data_digest=self.source.digest,
        )

    def save(
        self, path: Path, metric: str, scores: EpisodeScores, result: EpisodeEvaluation
    ) -> None:
        """One line for the inductive values, with the result; one for the transductive."""
        protocol = self.protocol
        what: dict[str, Json] = {
            "data_digest": self.source.digest,
            "split": protocol.split,
            "way": protocol.way,
            "shot": protocol.shot,
            "query": protocol.query,
            "balanced": protocol.balanced,
            "seed": protocol.seed,
            "episodes": protocol.episodes,
        }
        line: dict[str, Json] = {
            "model": str(self.opened.path),
            **what,
            "unit": "episode",
            "metric": metric,
            "units": score_file.units_hash(**what),
            **score_file.arm_of(self.opened.model),
        }
        score_file.record(path, {**line, "mode": "inductive"}, scores.inductive, result)
        if scores.together is not None:
            score_file.record(path, {**line, "mode": "transductive"}, scores.together)


def with_scores(facts: EpisodeEvaluation, scores: EpisodeScores) -> EpisodeEvaluation:
    """Means and intervals; the top-level ones are the inductive ones."""
    inductive = over_episodes(scores.inductive)
    return replace(
        facts,
        mean=inductive.mean,
        ci95=inductive.ci95,
        inductive=inductive,
        transductive=None if scores.together is None else over_episodes(scores.together),
        per_step=steps_of(scores),
    )


def rotation_rule(pool: Pool) -> str:
    """How quarter turns make classes of a pool."""
    if pool.random_turns:
        return "drawn for each class of each episode"
    return "none" if pool.turns is None else "every rotation is a class"


def warn_not_finite(values: np.ndarray, report: Reporter) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        named = ", ".join(map(str, bad[:10]))
        message = f"{len(bad)} episode(s) are not finite and not in the mean: {named}"
        report(Notice(message, "evaluate.not_finite"))


def with_expectation(model: FewShotModel, result: EpisodeEvaluation) -> EpisodeEvaluation:
    """The result with PASS or FAIL against the recipe's band. Raises CheckFailed."""
    expected = model.recipe.expect
    assert expected is not None  # `protocols` refuses --expect without one
    together = expected.metric == f"{result.metric}_transductive"
    if expected.metric != result.metric and not together:
        raise UsageProblem(f"the recipe expects {expected.metric}, measured was {result.metric}")
    measured = result.transductive if together else result.inductive
    value = math.nan if measured is None else measured.mean
    low = -math.inf if expected.min is None else expected.min
    high = math.inf if expected.max is None else expected.max
    passed = low <= value <= high
    result = replace(result, expect=Expected(expected.min, expected.max, value, passed))
    if not passed:
        better = value < low if expected.metric in LOWER_IS_BETTER else value > high
        raise CheckFailed(
            f"{expected.metric} is {value:.4f}, {'better than' if better else 'outside'} the "
            f"expected {expected.min} to {expected.max}",
            result=result.as_dict(),
        )
    return result
