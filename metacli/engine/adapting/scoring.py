"""How good an adapted model is, and whether its source helps: every example that is scored was held
out of what the model adapted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.transfer.fine_tune import FineTune
from metacli.algorithms.transfer.transfer import Transfer as TransferMethod
from metacli.data.user.ordering import autocorrelation
from metacli.engine.adapting.calibration import Answer, answered, learned_from
from metacli.engine.adapting.featured import Seen
from metacli.engine.adapting.held_out import (
    HeldOut,
    OfFolds,
    Predict,
    compare,
    confusion,
    held_out,
    held_out_before,
    of_folds,
    residual_bound,
    score_of,
    score_of_numbers,
)
from metacli.engine.adapting.reading import Examples
from metacli.engine.adapting.refitting import for_support, refitted
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.simple import BLIND, simple_models
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.splits import (
    Split,
    last_rows,
    repeated_folds,
    stratified_folds,
    times_and_rows,
)
from metacli.engine.adapting.splits import holdout as hold_share
from metacli.engine.adapting.time_order import last_value_before
from metacli.engine.adapting.transfer import from_scratch, settled
from metacli.engine.events import Notice
from metacli.engine.models.parts import UNKNOWN, Confidence, Residual
from metacli.engine.predicting.finite import worst_column
from metacli.engine.results.adapt import NoScore, Score, Transfer
from metacli.errors import DataError
from metacli.nn.problem import Problem
from metacli.threads import one_thread
from metacli.types import Batch

SCRATCH = FineTune(lr=1e-3, steps=200, head_rate=1.0)
FEWEST = 10  # held-out examples from which an interval is reported
ROWS = 64  # predicted at a time
ORDER = "order"  # how rows were held out whose order counts


@dataclass(frozen=True)
class Measured:
    """What held-out examples say of the model, of its source, and of later predictions.

    Args:
        found: the predictions that the score is of; None where nothing was held out.
        splits: of the support, what they are of; () where that is a query.
    """

    score: Score
    transfer: Transfer
    confidence: Confidence
    found: HeldOut | None = None
    splits: tuple[Split, ...] = ()


@dataclass(frozen=True)
class HowHeldOut:
    """Splits of the support, what that is called, and why there are none."""

    splits: tuple[Split, ...]
    how: str
    why: str | None = None


def measured(
    source: Source,
    examples: Examples,
    request: Request,
    seen: Seen | None = None,
    chosen: HeldOut | None = None,
    said: OfFolds | None = None,
) -> Measured:
    """The score on the query of a task that has one, on a share, or by k-fold.

    Args:
        seen: the same as the source adapts to it.
        chosen: what a choice of the source, made again in each fold, says of the examples that the
            fold held out; its score is the score.
        said: what the source itself says of them, where that is known.
    """
    seen = Seen(source, examples) if seen is None else seen
    held = how_held_out(source, examples.support.y, request)
    with threads_for(seen.source):
        found, confidence = of_support(seen.source, seen.examples, held, said)
    found = found if chosen is None else chosen
    unit = unit_of(source)
    support, query = examples.support, examples.query
    if query is not None and request.holdout is None:
        held = replace(held, how="query", why=None)
        run: Callable[[Predict], HeldOut] = lambda one: on_query(one, support, query, unit)  # noqa: E731
        adapts = native(seen.source, len(examples.labels))
        assert seen.examples.query is not None  # as `query` itself
        with threads_for(seen.source):
            found = on_query(adapts, seen.examples.support, seen.examples.query, unit)
    else:
        run = lambda one: held_out(one, support.x, support.y, held.splits, unit)  # noqa: E731
    if found is None:
        return Measured(no_score(examples, held.why), Transfer(), confidence)
    if request.order is None and (query is None or request.holdout is not None):
        report_order(found, held, examples, request)
    score, splits = scored(found, examples, held.how), () if held.how == "query" else held.splits
    if not request.compare:
        return Measured(score, Transfer(compared=False), confidence, found, splits)
    transfer = against_others(source, found, run, examples, held.how, request)
    return Measured(score, transfer, confidence, found, splits)


def threads_for(source: Source) -> AbstractContextManager[None]:
    """One thread where all that is adapted is a head on features that are there: no image passes a
    network."""
    frozen = isinstance(source.learner, TransferMethod) and source.learner.frozen
    there = source.features is not None or source.inputs.kind != "image"
    return one_thread() if frozen and there else nullcontext()


def how_held_out(source: Source, labels: Tensor, request: Request) -> HowHeldOut:
    """How the score is obtained from the support."""
    y = labels.cpu().numpy()
    if request.order is not None:
        return in_order(y, source, request)
    if source.kind == "regression":  # every row may stand anywhere
        y = np.zeros(len(y), int)
    if request.holdout is not None:
        splits = hold_share(y, request.holdout, request.seed)
        why = None if splits else "every class has a single example"
        return HowHeldOut(tuple(splits), f"holdout:{request.holdout:g}", why)
    if request.folds == 0:
        return HowHeldOut((), "none", "--folds 0 holds nothing out")
    folds = dealt(source, request.folds)(y, request.seed)
    if not folds:
        why = "every class has a single example, so none can be held out; add more or a query/ "
        return HowHeldOut((), "none", f"{why}folder")
    times, _ = times_and_rows(folds)
    return HowHeldOut(tuple(folds), f"kfold:{len(folds) // times}")


def in_order(y: np.ndarray, source: Source, request: Request) -> HowHeldOut:
    """The last rows, each block predicted from those before it."""
    splits = last_rows(len(y), request.holdout)
    if source.kind == "classification":  # a class that was not seen before cannot be adapted to
        every = len(np.unique(y))
        splits = [one for one in splits if len(np.unique(y[one.support])) == every]
    why = None if splits else "there are too few rows before the last ones"
    return HowHeldOut(tuple(splits), f"{ORDER}:{len(splits)}" if splits else "none", why)


def dealt(source: Source, most: int | None = None) -> Callable[[np.ndarray, int], list[Split]]:
    """How folds are dealt: once where their number is given, or where the whole network is trained
    in each, under every setting."""
    if most is not None:
        return partial(stratified_folds, most=most)
    trains = isinstance(source.learner, TransferMethod) and not source.learner.frozen
    return stratified_folds if trains else repeated_folds


def of_support(
    source: Source, examples: Examples, held: HowHeldOut, said: OfFolds | None = None
) -> tuple[HeldOut | None, Confidence]:
    """Predictions on the support's held-out examples, which may be those `said`, and what they say
    about later ones."""
    x, y, _ = examples.support
    if not held.splits:
        return None, UNKNOWN
    regression = source.kind == "regression"
    if said is None or not said.are_of(held.splits):
        answer = values_by(source) if regression else answers_of(source, len(examples.labels))
        said = of_folds(answer, x, y, held.splits)
    if regression:
        found = held_out_before(said, y, unit_of(source))
        enough = found.examples >= FEWEST
        return found, Confidence(residual=bound_of(found, held)) if enough else UNKNOWN
    asked = answered(said, y)
    return asked.held_out(), learned_from(asked)


def bound_of(found: HeldOut, held: HowHeldOut) -> Residual:
    """How far answers are off: of rows in an order as far as in the worst block."""
    return residual_bound(found, by_split=held.how.startswith(ORDER))


def native(source: Source, classes: int) -> Predict:
    """`answers_of` as probabilities; of a regression the values themselves."""
    if source.kind == "regression":
        return values_by(source)
    answer = answers_of(source, classes)
    return lambda support, x: torch.softmax(answer(support, x), 1)


def answers_of(source: Source, classes: int) -> Answer:
    """The source's own adaptation, or the transfer method in its place, as a function of a support.
    What that picks by validation it picks inside the support."""
    return adapting(source, source.problem(classes))


def values_by(source: Source) -> Predict:
    """The same for a regression, [M, 1] as the network gives them; the last value of rows with
    dates is that of the time before."""
    adapts = adapting(source, source.problem())

    def predict(support: Batch, x: Tensor) -> Tensor:
        before = last_value_before(source, support, x)
        return adapts(support, x) if before is None else before

    return predict


def adapting(source: Source, problem: Problem) -> Answer:
    """Adapts to each support from the source, and answers with what the network gives."""

    @torch.no_grad()
    def answer(support: Batch, x: Tensor) -> Tensor:
        change = for_support(source, support.x)
        support, x = changed_by(change, source.with_names(support)), change(x)
        learner = settled(source.learner, problem, source.params, source.state, support)
        phi = learner.adapt(problem, source.params, support, source.state)
        found = torch.cat([learner.predict(problem, phi, part) for part in x.split(ROWS)])
        require_finite(source, found, x)
        return found

    return answer


def changed_by(change: Callable[[Tensor], Tensor], support: Batch) -> Batch:
    """The same examples after a change of their rows."""
    return Batch(change(support.x), support.y)


def require_finite(source: Source, found: Tensor, x: Tensor) -> None:
    """Raises DataError for predictions [M, ...] that are not finite, naming the column to blame: a
    score of them would say nothing."""
    bad = torch.nonzero(~torch.isfinite(found).flatten(1).all(1)).flatten().tolist()
    if bad:
        row = x[bad[0]].cpu().numpy()
        worst = worst_column(source.inputs.encoder, row)
        raise DataError(
            f"{len(bad)} of {len(x)} predictions are not finite" + (f": {worst}" if worst else ""),
            code="adapt.not_finite",
            hint="bring the column nearer to the range of the training data, or leave it out",
        )


def scratch(source: Source, seed: int) -> Predict:
    """The same network, trained on the support alone from random weights."""
    problem = replace(source, method="fine-tune", options={}).problem()
    if problem.statistics == "running":  # random weights have none yet
        problem = replace(problem, statistics="support")
    start = from_scratch(problem, source.params, seed)

    @torch.no_grad()
    def predict(support: Batch, x: Tensor) -> Tensor:
        phi = SCRATCH.adapt(problem, start, support, {})
        found = torch.cat([SCRATCH.predict(problem, phi, part) for part in x.split(ROWS)])
        return torch.softmax(found, 1) if source.kind == "classification" else found

    return predict


def against_others(
    source: Source,
    found: HeldOut,
    run: Callable[[Predict], HeldOut],
    examples: Examples,
    how: str,
    request: Request,
) -> Transfer:
    """The differences to simple models, and to the better one of those that learn."""
    named = simple_models(source, len(examples.labels))
    with one_thread():
        others = {n: run(one if n in BLIND else refitted(source, one)) for n, one in named.items()}
    first = next(iter(others))
    if request.baseline:
        name = "the same network from scratch"
        others[name] = run(scratch(source, request.seed))
        first = max((first, name), key=lambda one: others[one].quality.mean())
    compared = {name: compare(found, other, name, how) for name, other in others.items()}
    return Transfer(compared[first], tuple(compared.values()))


def report_order(found: HeldOut, held: HowHeldOut, examples: Examples, request: Request) -> None:
    """Says where rows look as if their order counted, as random folds flatter then."""
    why = None if examples.ordered is None else f"they stand in the order of {examples.ordered}"
    if why is None and found.unit is not None:
        rows = np.concatenate([one.query for one in held.splits])
        apart = np.zeros(len(examples.support.y))
        np.add.at(apart, rows, found.residuals / found.times)
        near = autocorrelation(apart)
        why = None if near is None else f"neighbours err alike (autocorrelation {near:.2f})"
    if why is not None:
        name = examples.ordered or "rows"
        message = (
            f"the rows look ordered: {why}. Random folds flatter such rows: the score is that of "
            f"gaps, not of what comes next; --order {name} holds out the last rows"
        )
        request.report(Notice(message, "adapt.ordered"))


def scored(found: HeldOut, examples: Examples, how: str) -> Score:
    """Accuracy with its confusions, or the absolute error."""
    if found.unit is not None:
        return score_of_numbers(found, how, examples.facts.unit)
    classes = len(examples.labels)
    return replace(score_of(found, how, classes), confusion=confusion(found, classes))


def no_score(examples: Examples, why: str | None) -> NoScore:
    if examples.labels:
        return NoScore("accuracy", why, 1 / len(examples.labels))
    return NoScore("mae", why, None)


def on_query(predict: Predict, support: Batch, query: Batch, unit: float | None) -> HeldOut:
    """What is predicted for the query after adapting to all of the support."""
    found = predict(support, query.x)
    y = query.y.cpu().numpy().reshape(-1)
    return HeldOut(found.cpu().numpy(), y, (len(y),), unit)


def unit_of(source: Source) -> float | None:
    """What the network's 1 is in the units of the user; None for classes."""
    return source.inputs.unscaled.scale if source.kind == "regression" else None


def held_out_score(source: Source, examples: Examples, splits: Sequence[Split]) -> float:
    """Accuracy, or minus the mean absolute error, on what the splits hold out."""
    predict = native(source, len(examples.labels))
    x, y, _ = examples.support
    return float(held_out(predict, x, y, splits, unit_of(source)).quality.mean())
