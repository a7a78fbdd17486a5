"""A user's task as tensors: its files decoded for the source's own input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from metacli.data.files import shown
from metacli.data.image_changes import changed
from metacli.data.images import ImageSpec, read_pixels
from metacli.data.tables.encoding import Encoding
from metacli.data.user.appearance import Appearance, appearance_of
from metacli.data.user.loading import Examples as TaskExamples
from metacli.data.user.open import Content, Listing, RowSpec, Task, look
from metacli.data.user.ordering import ROWS, looks_ordered, ranks
from metacli.engine.adapting.any_way import any_way_hint
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.unlike import differences, learned_from
from metacli.engine.events import Notice, Progress, Reporter, report_findings
from metacli.engine.models.hashes import example_hash
from metacli.engine.models.parts import Columns, Span
from metacli.engine.results.adapt import TaskFacts
from metacli.errors import DataError, first_names
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch

SAMPLE = 12  # images whose look is compared, evenly spaced: medians hardly move with more


@dataclass(frozen=True)
class Examples:
    """A task's examples on the device.

    Args:
        support: x [M, ...], y labels [M]; of a regression y [M, 1] as the network sees it.
        labels: class names in the order of the numbers; () for a regression.
        hashes: of the support's examples.
        ordered: the column by which the rows stand in order; None where none is seen.
        span: the lowest and highest of each number of the support, float64 [F] each; None for
            images and texts.
    """

    facts: TaskFacts
    labels: tuple[str, ...]
    support: Batch
    query: Batch | None
    columns: Columns
    hashes: tuple[str, ...]
    ordered: str | None = None
    span: Span | None = None


def read(source: Source, request: Request) -> Examples:
    """Decode the task for the source's input. Raises DataError with every problem."""
    spec = source.inputs.wanted(request.columns)
    content = content_of(request, spec)
    task = content.load(
        spec,
        onto=request.onto,
        skip_bad=request.skip_bad,
        allow_duplicates=request.allow_duplicates,
        report=lambda what, done, total: request.report(Progress(what, done, total)),
    )
    require_classes(source, task)
    task = with_labels_of(source, task)
    report_findings(task.findings, request.report)
    report_single(source, task, request.report)
    report_unlike(source, task, content, request)
    at = rows_in_order(task, request)
    x, y = task.support.x[at], None if task.support.y is None else task.support.y[at]
    support = batch(source, request, x, y)
    query = None
    if task.query is not None and task.query.y is not None:
        query = batch(source, request, task.query.x, task.query.y)
    return Examples(
        facts=facts_of(task),
        labels=task.labels if source.kind == "classification" else (),
        support=support,
        query=query,
        columns=Columns(task.target, task.input if task.target else None, task.unit),
        hashes=tuple(map(example_hash, x)),
        ordered=None if task.table is None else looks_ordered(task.table),
        span=Span.of(x) if isinstance(source.inputs.encoder, Encoding) else None,
    )


def rows_in_order(task: Task, request: Request) -> np.ndarray:
    """Row numbers of the support, [M]: as they stand, or sorted by `--order`.

    Raises:
        DataError: images, or several tables, have no order; no such column.
    """
    if request.order is None or (
        request.order == ROWS and task.table is None and not is_pixels(task)
    ):
        return np.arange(len(task.support.x))
    if task.table is None:
        raise DataError(
            "only the rows of one table have an order",
            code="data.no_order",
            where=str(task.path),
            hint="leave out --order",
        )
    return ranks(task.table, request.order)


def is_pixels(task: Task) -> bool:
    return task.kind == "images"


def batch(source: Source, request: Request, x: np.ndarray, y: np.ndarray | None) -> Batch:
    """Rows and labels [M]; or targets [M, 1] as the network sees them."""
    assert y is not None  # the examples of a task have labels
    if source.kind == "regression":
        y = source.inputs.unscaled.encode(y).astype(np.float32)[:, None]
    made = (torch.from_numpy(np.ascontiguousarray(one)).to(request.device) for one in (x, y))
    return Batch(*made)


def require_classes(source: Source, task: Task) -> None:
    """Raises DataError when a fixed head meets another number of classes."""
    fixed = not source.learner.any_way and source.kind == "classification"
    if fixed and source.inputs.labels:
        require_labels(source, task)
    elif fixed and len(task.labels) != source.way:
        assert isinstance(source.recipe, FewShotRecipe)  # every transfer method takes any number
        raise DataError(
            f"{source.recipe.algorithm.name} has a head of {source.way} classes, "
            f"{task.path} has {len(task.labels)}",
            code="model.fixed_way",
            where=str(task.path),
            hint=f"--method prototype; or train another model: {any_way_hint()}",
        )


def require_labels(source: Source, task: Task) -> None:
    """Raises DataError for a label that the tasks of the model do not have."""
    known = source.inputs.labels
    unknown = [one for one in task.labels if one not in known]
    if unknown:
        raise DataError(
            f"the model answers {' or '.join(known)} in every task, {task.path} has {unknown[0]}",
            code="model.labels",
            where=str(task.path),
            hint="rename the labels, or --method prototype, which takes any",
        )


def with_labels_of(source: Source, task: Task) -> Task:
    """The task with the labels of the model in its order, where they mean the same in every
    task."""
    known = source.inputs.labels
    if not known or source.learner.any_way or task.labels == known:
        return task
    place = np.array([known.index(one) for one in task.labels])

    def moved(half: TaskExamples) -> TaskExamples:
        return half if half.y is None else replace(half, y=place[half.y])

    query = None if task.query is None else moved(task.query)
    return replace(task, labels=known, support=moved(task.support), query=query)


def report_single(source: Source, task: Task, report: Reporter) -> None:
    """Says which classes are learned from a single example, and so left out of the score."""
    if source.kind != "classification" or task.query is not None or task.support.y is None:
        return
    counts = np.bincount(task.support.y, minlength=len(task.labels))
    if not (counts == 1).any() or (counts <= 1).all():
        return
    names = [shown(label) for label, count in zip(task.labels, counts, strict=True) if count == 1]
    few = f"{first_names(names, 5)} {'has' if len(names) == 1 else 'have'}"
    message = f"{few} a single example: learned from it, and the score is of the others"
    report(Notice(message, "adapt.single_example"))


def content_of(request: Request, spec: ImageSpec | RowSpec | None = None) -> Content:
    """What the door found at the task; it is asked where it was not yet, or for another path."""
    known = request.content
    if known is not None and (known.path, known.choice) == (request.task, request.choice):
        return known
    return look(request.task, request.choice, spec)


def listing_of(request: Request) -> Listing:
    """The same, listed. Raises DataError with every problem."""
    return content_of(request).checked(skip_bad=request.skip_bad)


def report_unlike(source: Source, task: Task, content: Content, request: Request) -> None:
    """Says where the task's images do not look like those that the source learned from."""
    if source.inputs.kind != "image":
        return
    seen = None if learned_from(source.opened) is None else looked_at(source, content)
    brightness, help_ = float(task.support.x.mean()), f"metacli adapt {request.task}"
    for notice in differences(source.opened, seen, brightness, help_):
        request.report(notice)


def looked_at(source: Source, content: Content) -> Appearance | None:
    """A sample of the task's images as they are in their files, or as they are changed for the
    source; None where none can be read, which whoever reads all of them says."""
    images = [changed(one, source.inputs.changes) for one in pixels_of_some(content)]
    return appearance_of(images) if images else None


def pixels_of_some(content: Content) -> list[np.ndarray]:
    """Images of the support at their own sizes, evenly spaced; those that can be read."""
    rows = content.listing.support
    at = np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int)) if rows else ()
    images = []
    for number in at:
        try:
            images.append(read_pixels(rows[number].path))
        except DataError:
            continue
    return images


def facts_of(task: Task) -> TaskFacts:
    """What a result says of the task."""
    return TaskFacts(
        path=task.path.absolute(),
        kind=task.kind,
        type=task.type,
        labels=task.labels,
        support=len(task.support.names),
        query=0 if task.query is None or task.query.y is None else len(task.query.y),
        guessed=task.guessed,
        skipped=task.skipped,
        duplicates=task.duplicates,
        target=task.target,
        unit=task.unit,
    )
