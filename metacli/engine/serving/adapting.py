"""Labelled examples of a request as a task of files, which `adapt` reads as it reads a user's."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from metacli.data.tables.choice import Choice
from metacli.engine.adapting.one_task import Output, adapt_to_task
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.sources import open_sources, prepared
from metacli.engine.events import Event, Notice
from metacli.engine.results.adapt import Adaptation
from metacli.engine.results.base import Json
from metacli.engine.serving.inputs import TEXT, Wants, decoded, file_of, raise_all, row_of
from metacli.engine.serving.refusals import in_words
from metacli.engine.serving.requests import Example
from metacli.engine.serving.store import Named
from metacli.engine.storage.writer import TEMPORARY
from metacli.errors import DataError, Finding

FOLDS = 5  # dealt once: a client waits
FILE, FIRST = "examples.csv", 2  # the row of the first example


@dataclass(frozen=True)
class Made:
    """What adapting gave, and what was noticed."""

    result: Adaptation
    notices: tuple[Notice, ...]

    def as_dict(self, id: str) -> dict[str, Json]:
        """The answer to the client."""
        found = self.result.as_dict()
        kept = ("score", "method", "calibration", "reject", "doubts")
        return {
            "model": id,
            "labels": list(self.result.task.labels),
            "examples": self.result.task.support,
            **{key: found[key] for key in kept if key in found},
            "warnings": [{"code": one.code, "message": one.message} for one in self.notices],
        }


def adapt_to_examples(
    named: Named, method: str, examples: Sequence[Example], folder: Path, device: torch.device
) -> Made:
    """The model is in `folder` when this returns, synced to the disk; nothing else is left there.

    Raises:
        DataError: examples that cannot be read or adapted to, all of them named.
    """
    notices: list[Notice] = []

    def noticed(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event)

    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as name:
        task, choice = written(Path(name), named.wants, examples)
        request = Request(
            task, method, device=device, report=noticed, choice=choice, folds=FOLDS, compare=False
        )
        try:
            source = source_of(named, request)
            result = adapt_to_task([source], request, Output(folder, forget=True))
        except DataError as error:
            raise in_words(error, lambda text: without_files(text, task.parent)) from None
    return Made(result, tuple(notices))


def source_of(named: Named, request: Request) -> Source:
    """The model that was opened before; some sources are made for the task."""
    if named.opened is None:
        (source,) = open_sources([named.id], request)
        return source
    return prepared(named.opened, (), request.method)


def written(folder: Path, wants: Wants, examples: Sequence[Example]) -> tuple[Path, Choice]:
    """The examples as a table, with files of images beside it, and what its columns are for."""
    rows: list[Mapping[str, str | None]] = []
    problems: list[Finding] = []
    for at, one in enumerate(examples):
        try:
            rows.append(row_for(folder, wants, one, at))
        except DataError as error:
            problems.append(Finding("error", error.code, error.message, error.where))
    raise_all(problems, len(examples))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    target = free_name(columns)
    text = io.StringIO(newline="")
    out = csv.writer(text, quoting=csv.QUOTE_ALL)
    out.writerow([*columns, target])
    for row, one in zip(rows, examples, strict=True):
        out.writerow([*(row.get(name) or "" for name in columns), said(one)])
    path = folder / FILE
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    inputs = tuple(columns) if wants.kind == TEXT else None
    return path, Choice(target=target, inputs=inputs)


def row_for(folder: Path, wants: Wants, one: Example, at: int) -> dict[str, str | None]:
    """The cells of an example; of an image its file. Raises DataError."""
    where = f"examples[{at}].input"
    if wants.kind == "image":
        name = f"examples-{at}.png"
        (folder / name).write_bytes(file_of(one.input, where))
        return {"image": name}
    if wants.kind == TEXT:
        return {"text": str(decoded(one.input, wants, where))}
    return row_of(one.input, wants.columns, where)


def said(one: Example) -> str:
    """The label as a cell."""
    return str(one.label).lower() if isinstance(one.label, bool) else str(one.label)


def free_name(columns: Sequence[str]) -> str:
    """What the column of the labels is called."""
    name = "label"
    while name in columns:
        name += "_"
    return name


def without_files(text: str, folder: Path) -> str:
    """A message about temporary files as one about the request."""
    text = text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
    text = re.sub(r"\bexamples-(\d+)\.png\b", r"examples[\1]", text)
    row = rf"\b{re.escape(FILE)}:(\d+)"
    text = re.sub(row, lambda found: f"examples[{int(found[1]) - FIRST}]", text)
    return text.replace(FILE, "examples")
