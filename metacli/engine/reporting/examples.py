"""The examples that an adapted model knows by their hashes, read again: it holds none itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from metacli.data.images import ImageSpec
from metacli.data.tables.choice import Choice
from metacli.data.user.open import load_task, survey_task
from metacli.data.user.row_loading import RowSpec
from metacli.engine.adapting.adding import tasks_of
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.hashes import example_hash
from metacli.engine.models.model import AdaptedModel
from metacli.engine.reporting.subject import Subject
from metacli.engine.reporting.words import in_words
from metacli.errors import MetacliError

Example = np.ndarray | str
"""An image [C, H, W], or a text or row in words."""
Examples = Mapping[str, Sequence[Example]]
"""Class ("" of numbers to predict) -> its examples."""


def support_examples(subject: Subject, model: AdaptedModel, report: Reporter) -> Examples:
    """Nothing, with a notice, where the task is not there any more."""
    task = model.provenance.get("task")
    known = set(model.support)
    if task is None or not known:
        return {}
    *onto, (last, choice) = tasks_of(subject.path, model.provenance)
    spec = model.inputs.wanted(model.columns)
    try:
        read = load_task(last, spec, onto=onto, choice=choice, skip_bad=True, allow_duplicates=True)
        shown: Iterable[Example] = read.support.x
        if not isinstance(spec, ImageSpec):
            shown = in_order(spec, [*onto, (last, choice)])
        found: defaultdict[str, list[Example]] = defaultdict(list)
        assert read.support.y is not None
        for y, x, one in zip(read.support.y, read.support.x, shown, strict=True):
            if example_hash(x) in known:
                found[read.labels[int(y)] if read.labels else ""].append(one)
    except MetacliError as error:
        message = f"no examples are shown: {error.message} - {last}"
        report(Notice(message, "report.no_examples"))
        return {}
    return {label: found[label] for label in read.labels or ("",) if found[label]}


def in_order(spec: RowSpec, tasks: Sequence[tuple[Path, Choice]]) -> Iterator[str]:
    """Rows of the support in words, in the order in which they are loaded."""
    for task, choice in tasks:
        content = survey_task(task, choice.completed(spec)).tables
        table, roles = content.support, content.roles
        if roles.kind == "text":
            say = in_words(table.texts(roles.inputs[0]))
        else:
            number = content.type == "regression"
            say = in_words(table, [*([content.target] if number else ()), *roles.inputs])
        yield from (say(number) for number in range(len(table)))
