"""`evaluate` of a few-shot model on classification tasks that it has never seen: each is adapted to
a few of its rows, and all of its others are asked. What is independent are the tasks, so every
interval is over them.

Letters: T tasks, R draws of a support, M rows, N classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from metacli.data.few_shot.class_tasks import ClassTaskEpisodes
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.models.folder import load_few_shot
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.engine.results.base import Json
from metacli.engine.results.class_tasks import ClassTaskEvaluation, ClassTaskScore
from metacli.engine.results.evaluate import Baseline, CurvePoint
from metacli.engine.scoring import score_file
from metacli.engine.scoring.baseline_scores import adapted_as_often, untrained
from metacli.engine.scoring.class_measures import MEASURES, class_measures
from metacli.engine.scoring.class_task_baselines import Answer, simple_answers
from metacli.engine.scoring.episodes import to_device
from metacli.engine.scoring.evaluation_episodes import class_tasks_asked
from metacli.engine.scoring.intervals import Estimate, compared, over_episodes, paired_t
from metacli.engine.scoring.protocol import Protocol, protocols
from metacli.engine.scoring.request import Request
from metacli.types import Batch, Episode

DRAWS = 20  # of a support of each task, at most
MOST_ROWS, MOST_IMAGES = 10_000, 500  # rows of a task that are asked, drawn at random
CHANCE = {"auc": 0.5, "delta_auprc": 0.0}


def evaluate_class_tasks(opened: Opened[FewShotModel], request: Request) -> ClassTaskEvaluation:
    """The result for the last protocol, with a curve where there are several.

    Raises:
        DataError: tasks that are too small, were trained on, or have other columns or labels.
        UsageProblem: `--expect`, which is for episodes of classes.
    """
    asked = protocols(opened.model, request.wanted)
    sources = [class_tasks_asked(opened.model, one) for one in asked]  # what is wrong is found now
    results = [
        Tasks(opened, one, source, request.out, request.wanted.query, request.report).result(
            dry_run=request.dry_run
        )
        for one, source in zip(asked, sources, strict=True)
    ]
    curve = tuple(CurvePoint(one.shot or 0, one.mean, one.ci95) for one in results)
    return replace(results[-1], curve=curve if len(results) > 1 else ())


@dataclass(frozen=True)
class Tasks:
    """One model under one protocol.

    Args:
        query: rows of each class that are asked; None: all that are not in the support.
    """

    opened: Opened[FewShotModel]
    protocol: Protocol
    source: ClassTaskEpisodes
    out: Path | None
    query: int | None
    report: Reporter

    @property
    def draws(self) -> int:
        return min(DRAWS, max(1, self.protocol.episodes // len(self.source.tasks.tasks)))

    def result(self, *, dry_run: bool) -> ClassTaskEvaluation:
        """The result, which is also written to the score file; of a dry run what would be
        measured."""
        facts = self.described()
        if dry_run:
            return replace(facts, dry_run=True)
        ours = self.scored("evaluating", answer_of(self.opened.model), self.draws)
        baselines = self.baselines(ours)
        result = with_scores(facts, ours, baselines, self.source)
        path = score_file.place_for(self.opened.run, self.opened.path, self.out)
        self.save(path, ours, result)
        for one in result.bad:
            self.report(Notice(one, "evaluate.bad_result"))
        return replace(result, scores=path)

    def described(self) -> ClassTaskEvaluation:
        """What is measured, without a score."""
        model, protocol, tasks = self.opened.model, self.protocol, self.source.tasks
        shared = tasks.shared or ()
        return ClassTaskEvaluation(
            metric=tasks.metric,
            data=model.recipe.data.source,
            split=protocol.split,
            data_digest=tasks.digest,
            query=self.query,
            statistics=model.problem().statistics,
            chance=CHANCE.get(tasks.metric, 1 / self.source.way),
            num_tasks=len(tasks.tasks),
            draws=self.draws,
            episodes=self.draws * len(tasks.tasks),
            episodes_seed=protocol.seed,
            way=self.source.way,
            shot=protocol.shot,
            per=self.source.per,
            train_seed=model.recipe.seed,
            adaptation_steps=model.learner().inner_steps,
            labels=shared,
            left_out=tasks.left_out,
        )

    def scored(self, what: str, answer: Answer, draws: int) -> Scores:
        """Every measure of every draw of every task."""
        found: dict[str, list[list[float]]] = {}
        total = draws * len(self.source.tasks.tasks)
        positive = self.source.tasks.shared is not None and self.source.way == 2
        for task in range(len(self.source.tasks.tasks)):
            rows = []
            for draw in range(draws):
                support, query = self.episode(task, draw)
                scores = answer(support, query.x)
                rows.append(class_measures(scores, query.y.numpy(), positive=positive))
                self.report(Progress(what, task * draws + draw + 1, total, "supports"))
            for name in rows[0]:
                found.setdefault(name, []).append([one[name] for one in rows])
        return {name: np.array(values) for name, values in found.items()}

    def episode(self, task: int, draw: int) -> Episode:
        """A support of a task, and the rows that are asked; the same for whatever is measured."""
        source = self.source
        key = (*source.seed, "draw", source.tasks.tasks[task], draw)
        shot = source.shot if isinstance(source.shot, int) else source.shot[1]
        if self.query is not None:
            source = replace(source, query=self.query)
        members = source.drawn(task, shot, key, rest=self.query is None)
        most = MOST_IMAGES if source.tasks.encoder is None else MOST_ROWS
        asked = members.query
        if len(asked) > most:
            asked = asked[np.linspace(0, len(asked) - 1, most).astype(int)]
        return Episode(source.batch(members, members.support), source.batch(members, asked))

    def baselines(self, ours: Scores) -> dict[str, Baseline]:
        """What no training reaches, what the run trained for comparison, and simple models of the
        same rows, on the same supports and queries."""
        model, draws = self.opened.model, self.draws
        params, state = untrained(model, model.problem())
        begin = replace(model, params={**model.params, **params}, state=state)
        answers: dict[str, Answer] = {"untrained": answer_of(begin)}
        if self.opened.run is not None:
            for folder in sorted((self.opened.run / "baselines").glob("*")):
                other = adapted_as_often(load_few_shot(folder), model)
                answers[folder.name] = answer_of(other)
        answers |= simple_answers(model, self.source.tasks)
        metric = self.source.tasks.metric
        return {
            name: baseline(ours[metric], self.scored(f"baseline {name}", one, draws)[metric])
            for name, one in answers.items()
        }

    def save(self, path: Path, ours: Scores, result: ClassTaskEvaluation) -> None:
        """A line for each measure, with a value for each task."""
        protocol = self.protocol
        what: dict[str, Json] = {
            "data_digest": self.source.digest,
            "split": protocol.split,
            "way": protocol.way,
            "shot": protocol.shot,
            "query": self.query,
            "per": self.source.per,
            "seed": protocol.seed,
            "draws": self.draws,
        }
        line: dict[str, Json] = {
            "model": str(self.opened.path),
            **what,
            "unit": "task",
            "units": score_file.units_hash(**what),
            **score_file.arm_of(self.opened.model),
            "mode": "inductive",
        }
        for name, values in ours.items():
            of_it = result if name == result.metric else None
            score_file.record(path, {**line, "metric": name}, values.mean(1), of_it)


Scores = dict[str, np.ndarray]
"""Every measure, [T, R]."""


def answer_of(model: FewShotModel) -> Answer:
    """Adapts a model to a support and answers, row by row."""
    problem, learner = model.problem(), model.learner()
    device = next(iter(model.params.values())).device

    @torch.no_grad()
    def answer(support: Batch, x: torch.Tensor) -> np.ndarray:
        half, asked = to_device(Episode(support, Batch(x, torch.zeros(len(x)))), device)
        phi = learner.adapt(problem, model.params, half, model.state)
        found: np.ndarray = learner.predict(problem, phi, asked.x).cpu().numpy()
        return found

    return answer


def baseline(ours: np.ndarray, theirs: np.ndarray) -> Baseline:
    """Its mean over the tasks, and how the model compares with it, task by task."""
    differences = ours.mean(1) - theirs.mean(1)
    units = len(differences)
    against = compared(paired_t(differences), units)
    return Baseline(over_episodes(theirs.mean(1)), against=against, units=units)


def with_scores(
    facts: ClassTaskEvaluation,
    ours: Scores,
    baselines: Mapping[str, Baseline],
    source: ClassTaskEpisodes,
) -> ClassTaskEvaluation:
    """Means and intervals over the tasks, a row for each, and what is wrong with them."""
    over = {name: over_episodes(ours[name].mean(1)) for name in MEASURES if name in ours}
    main = over[facts.metric]
    return replace(
        facts,
        mean=main.mean,
        ci95=main.ci95 if main.n > 1 else None,
        inductive=main,
        baselines=baselines,
        measures=over,
        tasks=tuple(task_score(facts, ours, source, task) for task in range(facts.num_tasks)),
        bad=tuple(what_is_bad(facts, main, baselines)),
    )


def task_score(
    facts: ClassTaskEvaluation, ours: Scores, source: ClassTaskEpisodes, task: int
) -> ClassTaskScore:
    values = over_episodes(ours[facts.metric][task])
    counts = source.tasks.counts(task)
    rates = counts / counts.sum()
    return ClassTaskScore(
        name=source.tasks.tasks[task],
        metric=facts.metric,
        value=values.mean,
        ci95=values.ci95 if values.n > 1 else None,
        rows=int(counts.sum()),
        rates=dict(zip(source.tasks.labels[task], rates.tolist(), strict=True)),
        measures={name: float(np.nanmean(one[task])) for name, one in ours.items()},
    )


def what_is_bad(
    facts: ClassTaskEvaluation, score: Estimate, baselines: Mapping[str, Baseline]
) -> Sequence[str]:
    """Scores that do not show that anything was learned, in words."""
    found = []
    shown = f"{facts.metric} {score.mean:.3f}"
    if score.n > 1:
        shown += f" ± {score.ci95:.3f}"
    chance = facts.chance or 0.0
    low = score.mean - (score.ci95 if score.n > 1 else 0.0)
    if not low > chance:
        found.append(
            f"{shown} over {score.n} unseen tasks is not shown to be better than chance, {chance:g}"
        )
    for name, one in baselines.items():
        if name != "untrained" and one.score.mean >= score.mean:
            found.append(
                f"{shown} on unseen tasks is no better than {name}, {one.score.mean:.3f}, on the "
                "same examples"
            )
    return found
