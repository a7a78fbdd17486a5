"""`shard.json`: what one part of divided work has made, and of which work it is a part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from metacli.engine.results.base import Json
from metacli.engine.shards.shard import Shard
from metacli.engine.storage.serial import json_bytes
from metacli.engine.storage.writer import write_json
from metacli.errors import BundleError

FILE = "shard.json"
SEAL = "sha256"  # of everything else in the file
Verb = Literal["adapt", "evaluate", "meta-train", "multitask"]


class Part(BaseModel):
    """One part.

    Args:
        asked: everything that the results of the whole depend on; the same in every part.
        made: what the verb needs of it to give the result of the whole.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    format: Literal[1] = 1
    verb: Verb
    index: Annotated[int, Field(ge=1)]
    count: Annotated[int, Field(ge=1)]
    asked: dict[str, JsonValue]
    made: dict[str, JsonValue]

    @property
    def shard(self) -> Shard:
        return Shard(self.index, self.count)


def write(
    folder: Path, verb: Verb, shard: Shard, asked: Mapping[str, Json], made: Mapping[str, Json]
) -> None:
    """The file of a part, sealed. NaN is null."""
    plain: dict[str, Json] = {
        "format": 1,
        "verb": verb,
        "index": shard.index,
        "count": shard.count,
        "asked": asked,
        "made": made,
    }
    write_json(folder / FILE, {**plain, SEAL: seal_of(plain)})


def seal_of(plain: Mapping[str, Json]) -> str:
    return hashlib.sha256(json_bytes(plain)).hexdigest()


def read(folder: Path) -> Part:
    """Raises BundleError where the folder is no finished part, or the file is not as written."""
    path = folder / FILE
    if not path.is_file():
        raise BundleError(
            "not a finished shard: it has no shard.json",
            code="shard.not_found",
            where=str(folder),
            hint="the command with --shard writes it last: run that part again",
        )
    try:
        raw = json.loads(path.read_bytes())
        seal = raw.pop(SEAL, None) if isinstance(raw, dict) else None
        if seal is None or seal != seal_of(raw):
            raise ValueError("its checksum differs")
        return Part.model_validate(raw)
    except (OSError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        message = f"{FILE} is damaged: {first}"
        raise BundleError(message, code="shard.damaged", where=str(path)) from None


def complete(folders: Sequence[Path]) -> list[tuple[Path, Part]]:
    """All parts of one piece of work, in their order.

    Raises:
        BundleError: no part, one of other work, one twice, or some missing: all of them named.
    """
    found = [(folder, read(folder)) for folder in folders]
    first_folder, first = found[0]
    for folder, part in found[1:]:
        differing = difference(first, part)
        if differing is not None:
            raise BundleError(
                f"{folder} and {first_folder} are not of the same work: {differing}",
                code="shard.foreign",
                where=str(folder),
                hint="merge the parts of one command, run with the same versions",
            )
    by_index: dict[int, Path] = {}
    for folder, part in found:
        if part.index in by_index:
            raise BundleError(
                f"part {part.shard} is there twice: {by_index[part.index]} and {folder}",
                code="shard.doubled",
                where=str(folder),
                hint="name each part once",
            )
        by_index[part.index] = folder
    missing = [str(at) for at in range(1, first.count + 1) if at not in by_index]
    if missing:
        raise BundleError(
            f"of {first.count} parts these are missing: {', '.join(missing[:20])}",
            code="shard.missing",
            hint=f"the same command with --shard {missing[0]}/{first.count}",
        )
    return sorted(found, key=lambda one: one[1].index)


def difference(one: Part, other: Part) -> str | None:
    """The first thing in which two parts were asked for something else."""
    for name, mine, theirs in (
        ("command", one.verb, other.verb),
        ("number of parts", one.count, other.count),
    ):
        if mine != theirs:
            return f"{name} {mine} and {theirs}"
    for key in [*one.asked, *(key for key in other.asked if key not in one.asked)]:
        if one.asked.get(key) != other.asked.get(key):
            return f"{key} {short(one.asked.get(key))} and {short(other.asked.get(key))}"
    return None


def short(value: JsonValue) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
