"""A run's saved states: whole folders `step-<n>` and `best-<n>`, each with its checksums, the
newest valid one wins."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from metacli.engine.results.base import Json
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.engine.training.loop import Snapshot
from metacli.errors import BundleError

KEEP = 2  # so that one damaged checkpoint never costs the run
PARAMS, OPTIMIZER, META = "params.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read back. `facts` is what the run remembers besides its
    tensors."""

    snapshot: Snapshot
    facts: Mapping[str, Json]
    path: Path


def save(folder: Path, prefix: str, snapshot: Snapshot, facts: Mapping[str, Json]) -> Path:
    """Write `folder/<prefix>-<step>` whole, then remove older ones of the prefix beyond the newest
    two."""
    path = folder / f"{prefix}-{snapshot.step}"
    meta: dict[str, Json] = {"step": snapshot.step, "state": snapshot.state, "facts": facts}
    files = {
        PARAMS: tensors_to_bytes(snapshot.params),
        OPTIMIZER: tensors_to_bytes(snapshot.optimizer),
        META: json_bytes(meta),
    }
    write_folder(path, files, replace=True)
    for _, old in numbered(folder, prefix)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def numbered(folder: Path, prefix: str) -> list[tuple[int, Path]]:
    """The checkpoints of a prefix, newest first."""
    found = []
    for path in folder.glob(f"{prefix}-*"):
        number = path.name.removeprefix(f"{prefix}-")
        if number.isascii() and number.isdigit():
            found.append((int(number), path))
    return sorted(found, reverse=True)


def drop_after(folder: Path, prefix: str, step: int) -> None:
    """Remove the checkpoints after `step`: damaged, or of steps that are about to be taken again.

    They would be counted among the newest two, and cost the checkpoints that are written next.
    """
    for number, path in numbered(folder, prefix):
        if number > step:
            shutil.rmtree(path, ignore_errors=True)


class Meta(BaseModel):
    """What `state.json` says."""

    model_config = ConfigDict(strict=True, extra="ignore")

    step: Annotated[int, Field(ge=0)]
    state: dict[str, JsonValue]
    facts: dict[str, JsonValue]


def read(path: Path) -> Saved:
    """Raises BundleError when any byte is not as it was written, or it is no checkpoint."""
    files = read_folder(path)
    missing = [name for name in (META, PARAMS, OPTIMIZER) if name not in files]
    if missing:
        raise damaged(path, f"lacks {', '.join(missing)}")
    try:
        meta = Meta.model_validate_json(files[META])
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise damaged(path / META, f"is not what metacli writes: {key}") from None
    params = bytes_to_tensors(files[PARAMS], str(path / PARAMS))
    optimizer = bytes_to_tensors(files[OPTIMIZER], str(path / OPTIMIZER))
    return Saved(Snapshot(meta.step, params, meta.state, optimizer), meta.facts, path)


def newest(folder: Path, prefix: str) -> tuple[Saved | None, list[str]]:
    """The newest valid checkpoint, and what is wrong with newer ones. (None, []) where there are
    none at all.

    Raises:
        BundleError: there are checkpoints and every one is damaged; all that were tried are listed.
    """
    troubles: list[str] = []
    found = numbered(folder, prefix)
    for _, path in found:
        try:
            return read(path), troubles
        except BundleError as error:
            troubles.append(f"{path.name}: {error.message}")
    if found:
        raise BundleError(
            "no checkpoint can be read: " + "; ".join(troubles),
            code="model.damaged",
            where=str(folder),
            hint="start the run again from its recipe.yaml",
        )
    return None, troubles
