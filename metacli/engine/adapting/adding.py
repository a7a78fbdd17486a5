"""`adapt MODEL MORE --add`: more examples, or one more class, onto an adapted model.

The new model is the one that adapting to all examples at once would have given, to the bit and with
every learner: its source is opened again, the earlier examples are read again, and all of them are
adapted to together. Neither may have changed; an adapted model knows both by their hashes and holds
no example itself.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metacli.data.plain import Record, records_in, text_in, text_or_none_in, texts_in
from metacli.data.tables.choice import Choice
from metacli.data.user.row_loading import RowSpec
from metacli.engine.adapting.built_in import is_built_in
from metacli.engine.adapting.feature_source import FEATURES
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.sources import open_sources
from metacli.engine.models.hashes import weights_hash
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.results.base import Json
from metacli.errors import DataError, UsageProblem


@dataclass(frozen=True)
class Before:
    """What an adapted model was made of.

    Args:
        overrides: of its learner's fields.
        tasks: what it was adapted to, in the order in which it was added, each with what was said
            of its columns.
        support: hashes of those examples.
    """

    model: Opened[AdaptedModel]
    source: Source
    overrides: tuple[str, ...]
    tasks: tuple[tuple[Path, Choice], ...]
    support: tuple[str, ...]


def before(names: Sequence[str], request: Request) -> Before:
    """The source of an adapted model, ready to adapt as it did then.

    Raises:
        UsageProblem: more than one model, or settings that would make it another one.
        DataError: it was not adapted, or its source is gone or has changed.
    """
    if len(names) > 1:
        raise UsageProblem("--add wants one adapted model, and there are several")
    if request.overrides:
        hint = "adapt the source again to change them"
        raise UsageProblem("--add adapts with the settings that the model has", hint=hint)
    opened = open_model(names[0], request.device, request.report)
    model, where = opened.model, str(opened.path)
    if not isinstance(model, AdaptedModel):
        raise DataError(
            "--add wants an adapted model, and this one is not",
            code="model.not_adapted",
            where=where,
            hint="leave --add out",
        )
    known = model.provenance
    if "from" not in known or "from_weights" not in known or "task" not in known:
        raise DataError(
            "this model does not say what it was adapted from and to",
            code="add.unknown",
            where=where,
            hint="adapt its source again, with all examples in one folder",
        )
    tasks = tasks_of(opened.path, known)
    for task, _ in tasks:
        if not task.exists():
            raise gone("what it was adapted to", task)
    path = beside(opened.path, str(known["from"]))
    settings = texts_in(known, "overrides") if "overrides" in known else ()
    name, choice = str(path), request.choice
    source_name = str(known.get("recipe"))
    if source_name == FEATURES or is_built_in(source_name):  # no file
        name, wanted = source_name, model.inputs.wanted(model.columns)
        if isinstance(wanted, RowSpec):
            choice = choice.completed(wanted)
    elif not path.exists():
        raise gone("the model that it was adapted from", path)
    again = replace(
        request, task=tasks[0][0], method=model.method, overrides=settings, choice=choice
    )
    (source,) = open_sources([name], again)
    inputs = replace(source.inputs, changes=model.inputs.changes)  # as its images were fitted
    source = replace(source, names=bool(known.get("class_names")), inputs=inputs)
    if weights_hash(source.opened.model.params) != known["from_weights"]:
        raise DataError(
            "the model that it was adapted from has changed since",
            code="add.changed",
            where=str(path),
            hint=f"metacli adapt {os.path.relpath(path)} ALL_EXAMPLES/",
        )
    return Before(opened.having(model), source, settings, tasks, model.support)


def beside(model: Path, relative: str) -> Path:
    """A model's folder holds relative paths."""
    return Path(os.path.normpath(model / relative))


def gone(what: str, path: Path) -> DataError:
    return DataError(
        f"{what} is not there any more, and --add needs it",
        code="add.gone",
        where=str(path),
        hint="put it back, or adapt again with all examples in one folder",
    )


def onto(earlier: Before, request: Request) -> Request:
    """The request with the earlier tasks before its own, adapted to as they were."""
    return replace(
        request,
        onto=earlier.tasks,
        overrides=earlier.overrides,
        columns=earlier.model.model.columns,
        choice=replace(request.choice, type=None),
    )


def require_same(found: Before, hashes: Sequence[str]) -> None:
    """Raises DataError where earlier examples are not among those that were read."""
    missing = Counter(found.support) - Counter(hashes)
    if missing:
        raise DataError(
            f"{missing.total()} of the {len(found.support)} examples that it was adapted to are "
            "not there any more, or have changed",
            code="add.changed",
            where=", ".join(str(task) for task, _ in found.tasks),
            hint="put them back, or adapt again with all examples in one folder",
        )


def adapted_to(tasks: Sequence[tuple[Path, Choice]], folder: Path) -> dict[str, Json]:
    """What a model's provenance says of its examples: relative paths, the first task first, and
    the columns of those of which something was said."""
    first, *added = (os.path.relpath(path.absolute(), folder) for path, _ in tasks)
    columns = [
        {"target": one.target, "inputs": one.inputs and list(one.inputs)} for _, one in tasks
    ]
    named = any(one.target or one.inputs for _, one in tasks)
    return {
        "task": first,
        **({"added": added} if added else {}),
        **({"columns": columns} if named else {}),
    }


def tasks_of(folder: Path, provenance: Record) -> tuple[tuple[Path, Choice], ...]:
    """What `adapted_to` wrote, of a model in that folder."""
    added = texts_in(provenance, "added") if "added" in provenance else ()
    paths = [text_in(provenance, "task"), *added]
    columns: Sequence[Record] = [{}] * len(paths)
    if provenance.get("columns"):
        columns = records_in(provenance, "columns")
    return tuple(
        (beside(folder, path), chosen(named)) for path, named in zip(paths, columns, strict=True)
    )


def chosen(named: Record) -> Choice:
    """The columns that were named for one task."""
    inputs = texts_in(named, "inputs") if named.get("inputs") else None
    return Choice(target=text_or_none_in(named, "target"), inputs=inputs)
