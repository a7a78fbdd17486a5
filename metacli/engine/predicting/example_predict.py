"""`predict` of an adapted model: one prediction for each input, whatever the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from metacli.data.tables.coded import dense, encoded
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.reader import Table
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.parts import Rejection
from metacli.engine.predicting.finite import not_finite
from metacli.engine.predicting.inputs import LINES, Item, Wanted, images_of, tables_of
from metacli.engine.predicting.limits import AUTO, NONE_OF_THESE, threshold
from metacli.engine.predicting.outside import Outside, Seen, outside
from metacli.engine.predicting.rows import calibrated, on_device_of, outputs
from metacli.engine.predicting.together import outputs_together, require_together
from metacli.engine.results.predict import Prediction, Predictions, RowError
from metacli.errors import DataError

ROWS, IMAGES = 256, 64  # at a time
Limit: TypeAlias = float | Literal["auto"] | None
Answer = Callable[[Tensor, Outside | None], list[Prediction]]
"""x [M, ...], and how far outside it lies -> a prediction for each row, without its name."""


@dataclass(frozen=True)
class ExamplePredictor:
    """Predictions of an adapted model.

    Args:
        together: all images, or all rows of a table, have a part in each answer.
    """

    model: AdaptedModel
    together: bool = False

    def predict(
        self,
        items: Sequence[Item],
        reject: str | float | None,
        stdin: bytes | None,
        report: Reporter,
    ) -> Predictions:
        """Raises UsageProblem for a limit that there is none of."""
        if self.together:
            require_together(self.model)
        model, limit = self.model, threshold(self.model.confidence, reject)
        rows: list[Prediction] = []
        seen = Seen()
        for part in self.parts(items, limit, stdin, seen):
            rows += part
            report(Progress("predicting", len(rows), None, "rows"))
        seen.report(report, intervals=model.confidence.residual is not None)
        known = model.confidence
        return Predictions(
            rows=tuple(rows),
            reject=known.reject if limit == AUTO else limit,
            labels=model.classes or (),
            calibration=known.calibration,
            target=model.columns.target,
            unit=model.columns.unit,
            coverage=None if known.residual is None else known.residual.coverage,
            together=self.together or None,
        )

    def parts(
        self, items: Sequence[Item], limit: Limit, stdin: bytes | None, seen: Seen
    ) -> Iterator[list[Prediction]]:
        """Rows of predictions, some at a time."""
        answer = self.answer(limit)
        if self.model.inputs.reader is None:
            images = images_of(items, self.model.inputs.image(), stdin)
            while part := list(islice(images, None if self.together else IMAGES)):
                yield of_images(self.model, part, answer)
            return
        for name, table in tables_of(items, wanted_of(self.model), stdin):
            if isinstance(table, DataError):
                yield [Prediction(name, error=plain(table))]
                continue
            if self.together:  # a row that cannot be read is an error: others would miss it
                x, names = rows_of(self.model, table, np.arange(len(table))), range(len(table))
                pairs = zip(names, answer(x, None), strict=True)
                yield [one.called(table.row(number)) for number, one in pairs]
                continue
            for first in range(0, len(table), ROWS):
                rows = np.arange(first, min(first + ROWS, len(table)))
                yield list(of_rows(self.model, table, rows, answer, seen))

    def answer(self, limit: Limit) -> Answer:
        """Values of a regression, labels otherwise."""
        if self.model.kind == "regression":
            return lambda x, far: values(self.model, x, far)
        say = outputs_together if self.together else outputs
        return lambda x, far: labels(self.model, x, say(self.model, x), limit)


def wanted_of(model: AdaptedModel) -> Wanted:
    """The rows that it takes."""
    encoder = model.inputs.encoder
    if isinstance(encoder, Encoding):
        return Wanted(encoder.names)
    return Wanted((model.columns.input or LINES,), texts=True)


def of_images(
    model: AdaptedModel, images: Sequence[tuple[str, np.ndarray | DataError]], answer: Answer
) -> list[Prediction]:
    """Predictions for some images; what cannot be read has its error."""
    good = [pixels for _, pixels in images if isinstance(pixels, np.ndarray)]
    found = iter(answer(on_device_of(model, np.stack(good)), None) if good else ())
    return [
        Prediction(name, error=plain(one))
        if isinstance(one, DataError)
        else next(found).called(name)
        for name, one in images
    ]


def of_rows(
    model: AdaptedModel, table: Table, numbers: np.ndarray, answer: Answer, seen: Seen
) -> Iterator[Prediction]:
    """Predictions for some rows; where one cannot be read, each is tried by itself."""
    names = [table.row(int(number)) for number in numbers]
    try:
        x = rows_of(model, table, numbers)
        far = outside(x.cpu().numpy(), model.confidence.span, model.inputs.encoder)
        found = answer(x, far)
    except DataError as error:
        if len(numbers) == 1 or error.code in ("table.columns", "table.no_column"):
            yield from (Prediction(name, error=plain(error)) for name in names)
            return
        for number in numbers:
            yield from of_rows(model, table, number[None], answer, seen)
        return
    seen.add(names, far, model.inputs.encoder)
    yield from (one.called(name) for name, one in zip(names, found, strict=True))


def rows_of(model: AdaptedModel, table: Table, numbers: np.ndarray) -> Tensor:
    """Some rows as the network takes them, [M, F]. Raises DataError for a bad cell."""
    part = table.rows(numbers)
    text = model.inputs.kind == "text"
    rows = tuple(part.texts(text_column(model, part))) if text else part
    encoder = model.inputs.encoder
    assert encoder is not None  # images come from elsewhere
    return on_device_of(model, dense(encoded(rows, encoder)))


def text_column(model: AdaptedModel, table: Table) -> str:
    """The column that was adapted on, or `text`, or the only one."""
    for name in (model.columns.input, LINES):
        if name in table.columns:
            return str(name)
    if len(table.columns) == 1:
        return table.columns[0]
    return table.require(model.columns.input or LINES)


def labels(model: AdaptedModel, x: Tensor, logits: Tensor, limit: Limit) -> list[Prediction]:
    """Label and probabilities of each row of x [M, ...], of its logits [M, N]."""
    assert model.classes is not None
    chances = calibrated(model, logits)
    good = torch.isfinite(logits).all(1).tolist()
    without = rejected(model, logits, chances, limit)
    found = []
    for row, none in enumerate(without):
        if not good[row]:
            found.append(Prediction("", error=lost(model, x[row])))
            continue
        named = dict(zip(model.classes, chances[row].tolist(), strict=True))
        best = max(named, key=lambda label: named[label])
        found.append(Prediction("", NONE_OF_THESE if none else best, named))
    return found


def numbers(model: AdaptedModel, x: Tensor) -> np.ndarray:
    """The answers in the user's units, float64 [M]."""
    raw = outputs(model, x)[:, 0].cpu().double().numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        return model.inputs.unscaled.decode(raw)


def values(model: AdaptedModel, x: Tensor, far: Outside | None = None) -> list[Prediction]:
    """A number in the user's units, and from where to where: as far as held-out predictions were
    off. Outside of what was seen nobody knows whether a trend goes on or stays where it was last
    seen: the interval holds both answers, and is wider the farther out the row lies."""
    found, low, high = intervals(model, x, far)
    known = model.confidence.residual
    return [
        Prediction(
            "",
            float(value),
            low=None if known is None else float(low[row]),
            high=None if known is None else float(high[row]),
        )
        if np.isfinite(value)
        else Prediction("", error=lost(model, x[row]))
        for row, value in enumerate(found)
    ]


def intervals(
    model: AdaptedModel, x: Tensor, far: Outside | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers, and the ends of their intervals, float64 [M] each; the answers themselves where the
    model knows no interval."""
    found = numbers(model, x)
    known = model.confidence.residual
    low, high = found, found
    if known is not None and far is not None and far.rows.any():
        at = far.rows
        low, high = found.copy(), found.copy()
        nearest = numbers(model, on_device_of(model, far.inside[at]))
        low[at], high[at] = np.fmin(found[at], nearest), np.fmax(found[at], nearest)
    off = np.full(len(found), 0.0 if known is None else known.residual)
    off = off if far is None else off * far.wider
    return found, low - off, high + off


def rejected(model: AdaptedModel, logits: Tensor, chances: Tensor, limit: Limit) -> list[bool]:
    """Which rows get no label."""
    if limit is None:
        return [False] * len(logits)
    without = unlike(model, logits) if limit == AUTO else chances.max(1).values < limit
    return list(map(bool, without))


def unlike(model: AdaptedModel, logits: Tensor) -> Tensor:
    """Which rows are less like any class than known examples are, bool [M]."""
    limit = model.confidence.reject
    assert isinstance(limit, Rejection)
    return logits.max(1).values < limit.logit


def lost(model: AdaptedModel, x: Tensor) -> RowError:
    """Why an example has no prediction."""
    return not_finite(model.inputs.encoder, x.cpu().numpy())


def plain(error: DataError) -> RowError:
    return RowError(error.code, error.message)
