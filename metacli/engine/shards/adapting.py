"""`adapt` of a folder of tasks in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.many.adapted import together
from metacli.engine.many.over import name_of, some_failed
from metacli.engine.models.hashes import weights_hash
from metacli.engine.results.adapt import Doubt
from metacli.engine.results.adapt_many import Adaptations, TaskRow
from metacli.engine.results.base import Json, plain
from metacli.engine.shards import part
from metacli.engine.shards.copying import copied_model
from metacli.engine.shards.part import Part
from metacli.engine.shards.shard import Shard
from metacli.engine.training.journal import versions
from metacli.errors import BundleError


class KeptRow(BaseModel):
    """A `TaskRow` as a part keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: Path
    model: Path | None
    status: str
    metric: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    chance: float | None
    verdict: str | None
    delta: float | None = None
    seconds: float | None
    error: dict[str, JsonValue] | None
    doubts: tuple[Doubt, ...] | None = None

    def row(self, model: Path | None) -> TaskRow:
        """With the place of its model, wherever the part may be by now."""
        return TaskRow(**{**dict(self), "model": model})


class Made(BaseModel):
    """What a part keeps besides its models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[KeptRow, ...]
    source: tuple[str, ...]
    method: str
    device: str
    folder: str


def keep_part(
    shard: Shard,
    folder: Path,
    sources: Sequence[Source],
    tasks: Sequence[Path],
    request: Request,
    result: Adaptations,
) -> None:
    """What `merge` needs of the tasks of one part, beside their models.

    Args:
        tasks: all of them, of whichever part.
    """
    choice = asdict(request.choice)
    asked: dict[str, Json] = {
        "versions": versions(),
        "sources": [weights_hash(one.opened.model.params) for one in sources],
        "tasks": [name_of(task) for task in tasks],
        "method": request.method,
        "overrides": list(request.overrides),
        "columns": {key: plain(value) for key, value in choice.items()},
        "seed": request.seed,
        "folds": request.folds,
        "holdout": request.holdout,
        "baseline": request.baseline,
        "compare": request.compare,
        "order": request.order,
        "fit_inputs": request.fit_inputs,
        "device": request.device.type,
    }
    made: dict[str, Json] = {
        "tasks": [one.as_dict() for one in result.tasks],
        "source": list(result.source),
        "method": result.method,
        "device": result.device,
        "folder": str(request.task),
    }
    part.write(folder, "adapt", shard, asked, made)


def merge_adapted(parts: Sequence[tuple[Path, Part]], out: Path) -> Adaptations:
    """The models of all tasks in one folder, and the result of all of them.

    Raises:
        BundleError: a model is damaged or gone.
        DataError: some tasks could not be adapted; its result has every row.
    """
    rows: list[TaskRow] = []
    for folder, one in parts:
        for row in made_of(folder, one).tasks:
            kept = row.model is not None
            rows.append(row.row(copied_model(folder / row.name, out / row.name) if kept else None))
    made = made_of(*parts[0])
    result = together(rows, folder=out, source=made.source, method=made.method, device=made.device)
    if result.failed:
        raise some_failed(
            *(result.tasks, result, "be adapted"),
            code="adapt.some_failed",
            where=made.folder,
            hint="mend them, run their parts again with --new-only, then merge",
        )
    return result


def made_of(folder: Path, one: Part) -> Made:
    """Raises BundleError where it is not as `adapt` writes it."""
    try:
        return Made.model_validate(one.made)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{part.FILE} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise BundleError(message, code="shard.damaged", where=str(folder)) from None
