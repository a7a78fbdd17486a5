"""`adapt DATA` without a source: every source on this machine is tried on folds of the examples,
and the best one is adapted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.transfer.blend import Blend
from metacli.algorithms.transfer.transfer import Transfer
from metacli.engine.adapting.calibration import Answered
from metacli.engine.adapting.choosing.core import Candidate, Choice, Targets, Tried, choose
from metacli.engine.adapting.choosing.options import Option, default_of
from metacli.engine.adapting.class_names import named
from metacli.engine.adapting.feature_source import COLUMNS
from metacli.engine.adapting.featured import Seen, featured
from metacli.engine.adapting.held_out import HeldOut, OfFolds, score_of, score_of_numbers
from metacli.engine.adapting.reading import Examples, read
from metacli.engine.adapting.refitting import for_support
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import changed_by, how_held_out, unit_of
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.splits import Split, times_and_rows
from metacli.engine.adapting.time_order import last_value_before
from metacli.engine.events import Notice, Progress, ignore
from metacli.engine.results.adapt import ChosenSource, ClassScore, RegressionScore, TriedSource
from metacli.threads import one_thread
from metacli.types import Batch

BLENDED = ("linear-probe", "boosted-trees", "random-forest")  # what a blend is the mean of


@dataclass(frozen=True)
class Ready:
    """An option with the examples as its source reads them, and as its network sees them."""

    option: Option
    examples: Examples
    seen: Seen


@dataclass(frozen=True)
class Chosen:
    """What `adapt` goes on with.

    Args:
        source: with every setting of its head.
        held: what each fold's own choice says of the examples that it held out; None where
            nothing was.
        said: what the source says of them, adapted without them.
    """

    source: Source
    examples: Examples
    held: HeldOut | None
    result: ChosenSource
    said: OfFolds | None


def choose_source(
    options: Sequence[Option], request: Request, splits: Sequence[Split] | None = None
) -> Chosen:
    """The best option for the task.

    Args:
        splits: what is held out; None: what suits the sources.

    Raises:
        DataError: as `read`.
    """
    begin = time.process_time()
    ready = prepare(options, request)
    default = default_of(options)
    first = ready[default]
    y = first.examples.support.y
    if splits is None:
        splits = how_held_out(first.option.source, y, request).splits
    judge = judge_of(first.option.source, first.examples, splits)
    made = tried_in_turn(ready, judge.targets, splits, default, request, begin)
    for name in made.left_out:
        message = (
            f"{name} was left out: it would take more than what is left of {request.budget:g} s of "
            "processor time; --budget SECONDS gives more"
        )
        request.report(Notice(message, "adapt.left_out"))
    best = next(one for one in ready if str(one.option) == made.best.candidate.name)
    source = replace(best.option.source, options=dict(vars(made.best.setting)))
    seconds = time.process_time() - begin
    tried = tuple(judge.best_first([judge.result_of(one) for one in made.tried]))
    name, method = best.option.name, best.option.method
    result = ChosenSource(name, method, tried, made.left_out, seconds, judge.metric)
    said = OfFolds(tuple(splits), np.concatenate(made.best.said)) if splits else None
    return Chosen(source, best.examples, judge.held_of(made.answers), result, said)


def prepare(options: Sequence[Option], request: Request) -> list[Ready]:
    """Every file is decoded once for each kind of input, and every network run once."""
    examples: dict[str, Examples] = {}
    seen: dict[str, Seen] = {}
    ready: list[Ready] = []
    for one in options:
        key = str(one.source.inputs.as_dict())
        if key not in examples:
            once = request if not examples else replace(request, report=ignore)  # findings
            examples[key] = read(one.source, once)
        if one.name not in seen:
            seen[one.name] = featured(one.source, examples[key], request.report)
        as_seen = seen[one.name]
        source = named(one.source, examples[key].labels, request.device)
        bare = replace(source, params=as_seen.source.params, features=as_seen.source.features)
        ready.append(Ready(one, examples[key], replace(as_seen, source=bare)))
    return ready


def tried_in_turn(
    ready: Sequence[Ready],
    targets: Targets,
    splits: Sequence[Split],
    default: int,
    request: Request,
    begin: float,
) -> Choice[Transfer]:
    done = 0

    def tell(name: str) -> None:
        nonlocal done
        request.report(Progress(f"trying {name}", done, len(ready), "sources"))
        done += 1

    with one_thread():
        known = Known({}, {})
        return choose(
            [candidate_of(one, known) for one in ready],
            targets,
            splits,
            default=default,
            seed=request.seed,
            budget=request.budget - (time.process_time() - begin),
            clock=time.process_time,
            tell=tell,
        )


class Known(NamedTuple):
    """What earlier candidates computed and later ones ask for again.

    Args:
        said: what a method of `BLENDED`, adapted to some columns of some rows, said of others.
        changes: what makes rows as a source reads them to those of an encoder that was fitted to
            some rows alone.
    """

    said: dict[tuple[str, bytes, bytes], Mapping[Transfer, Tensor]]
    changes: dict[tuple[str, bytes], Callable[[Tensor], Tensor]]


def candidate_of(ready: Ready, known: Known) -> Candidate[Transfer]:
    """The option, adapted in all of its settings."""
    source, support = ready.seen.source, ready.seen.examples.support
    problem, learner = source.problem(len(ready.examples.labels)), source.learner
    assert isinstance(learner, Transfer)

    def as_adapted(rows: np.ndarray, query: np.ndarray) -> tuple[Batch, Tensor]:
        """Examples to adapt to, with the names of their classes where those count, and others, as
        what was fitted to the former reads them."""
        part, key = (
            Batch(support.x[rows], support.y[rows]),
            (str(source.opened.path), rows.tobytes()),
        )
        change = known.changes.get(key)
        if change is None:
            change = known.changes[key] = for_support(source, part.x)
        return changed_by(change, source.with_names(part)), change(support.x[query])

    @torch.no_grad()
    def explore(rows: np.ndarray, query: np.ndarray) -> Mapping[Transfer, np.ndarray]:
        bare = Batch(support.x[rows], support.y[rows])
        before = last_value_before(source, bare, support.x[query])
        if before is not None:
            return {learner.usual(): before.double().cpu().numpy()}
        at = (rows.tobytes(), query.tobytes())
        parts = [known.said.get((one, *at), {}) for one in BLENDED]
        if isinstance(learner, Blend) and all(parts):
            said = {one: logits for each in parts for one, logits in each.items()}
            return as_arrays(learner.explored(problem, said).items())
        part, asked = as_adapted(rows, query)
        found = dict(learner.explore(problem, source.params, part, source.state, asked))
        if ready.option.name == COLUMNS and ready.option.method in BLENDED:
            known.said[ready.option.method, *at] = found
        return as_arrays(found.items())

    @torch.no_grad()
    def explore_each(splits: Sequence[Split]) -> list[Mapping[Transfer, np.ndarray]]:
        asked = (as_adapted(one.support, one.query) for one in splits)
        each = learner.explore_each(problem, source.params, asked, source.state)
        return [as_arrays(one) for one in each]

    together = explore_each if learner.together else None
    return Candidate(str(ready.option), explore, learner.usual(), together, ready.option.margin)


def as_arrays(found: Iterable[tuple[Transfer, Tensor]]) -> dict[Transfer, np.ndarray]:
    return {one: logits.double().cpu().numpy() for one, logits in found}


@dataclass(frozen=True)
class Judge:
    """What answers for held-out examples are worth.

    Args:
        classes: 0 of a regression. unit: what a 1 of its targets is to the user, whose word for it
            is `name`; None for classes.
    """

    targets: Targets
    splits: Sequence[Split]
    classes: int
    unit: float | None
    name: str | None

    @property
    def metric(self) -> str:
        return "mae" if self.targets.regression else "accuracy"

    def held_of(self, answers: np.ndarray | None) -> HeldOut | None:
        """Answers for what the splits hold out, in their order; None where there are none."""
        if answers is None:
            return None
        truth = np.concatenate([self.targets.y[one.query] for one in self.splits])
        sizes = tuple(len(one.query) for one in self.splits)
        times, rows = times_and_rows(self.splits)
        if self.targets.regression:
            return HeldOut(answers, truth, sizes, self.unit, times, rows)
        return Answered(answers, truth, sizes, times, rows).held_out()

    def result_of(self, one: Tried[Transfer]) -> TriedSource:
        source, _, method = one.candidate.name.partition(" + ")
        held = self.held_of(np.concatenate(one.answers) if one.answers else None)
        if held is None:
            return TriedSource(source, method, None, None, None, one.seconds)
        score = self.score_of(held)
        return TriedSource(source, method, score.value, score.low, score.high, one.seconds)

    def score_of(self, held: HeldOut) -> ClassScore | RegressionScore:
        if self.targets.regression:
            return score_of_numbers(held, "kfold", self.name)
        return score_of(held, "kfold", self.classes)

    def best_first(self, tried: Sequence[TriedSource]) -> list[TriedSource]:
        sign = 1 if self.targets.regression else -1
        return sorted(tried, key=lambda one: sign * (one.value or 0.0))


def judge_of(source: Source, examples: Examples, splits: Sequence[Split]) -> Judge:
    """Of the task as one of the sources reads it."""
    y = examples.support.y.cpu().numpy()
    regression = source.kind == "regression"
    targets = Targets(y[:, 0].astype(np.float64) if regression else y, regression)
    unit = unit_of(source)
    return Judge(targets, splits, len(examples.labels), unit, examples.facts.unit)
