"""`run.json`: what a run says of itself, sealed with a checksum, and read by a schema.

What a resume depends on stands here (threads, device, digests), so one changed bit must not go
unnoticed. Files of before there was a seal are read by the schema alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from metacli.engine.results.base import Json
from metacli.engine.storage.serial import json_bytes
from metacli.engine.storage.writer import write_json
from metacli.errors import BundleError
from metacli.schema.recipe import parse_recipe

FILE = "run.json"
SEAL = "sha256"  # of everything else in the file
MOST_THREADS = 4096

Count = Annotated[int, Field(ge=0)]


class RunFacts(BaseModel):
    """Everything that may stand in `run.json`; a run that was killed early has less.

    Args:
        recipe: its name. settings: the whole of it, resolved.
        data: what was learned from, as `DataFacts.shown`; the digests are of its parts.
        chip: of a GPU. steps, seconds: of training, once it ended.
        ranks: processes that trained it together the last time.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    status: Literal["running", "finished", "interrupted", "failed", "planned"] | None = None
    recipe: str | None = None
    command: list[str] | None = None
    seed: int | None = None
    commit: str | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    chip: str | None = None
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    data_digest: str | None = None
    val_digest: str | None = None
    started: str | None = None
    host: str | None = None
    pid: Count | None = None
    cores: Count | None = None
    ranks: Annotated[int, Field(ge=1)] | None = None
    steps: Count | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    error: str | None = None

    @field_validator("settings")
    @classmethod
    def _are_a_recipe(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if value:
            parse_recipe(value)
        return value

    @property
    def planned_steps(self) -> int | None:
        """Steps that the run was to take, as it recorded them."""
        return parse_recipe(self.settings).train.steps if self.settings else None

    def as_dict(self) -> dict[str, Json]:
        """What the file says, without its seal."""
        plain: dict[str, Json] = self.model_dump(exclude_unset=True)
        return plain


def read(run: Path) -> RunFacts:
    """Raises BundleError where the file is not as it was written."""
    path = run / FILE
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"{FILE} cannot be read: {error}", where=str(path)) from None
    if not isinstance(raw, dict):
        raise _damaged(path, "not an object")
    seal = raw.pop(SEAL, None)
    if seal is not None and seal != seal_of(raw):
        raise _damaged(path, "its checksum differs")
    try:
        return RunFacts.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def write(run: Path, facts: RunFacts) -> None:
    """The file with its seal."""
    plain = facts.as_dict()
    write_json(run / FILE, {**plain, SEAL: seal_of(plain)})


def update(run: Path, facts: RunFacts) -> None:
    """Change in the file what is set in `facts`. Raises BundleError as `read`."""
    before = read(run).as_dict() if (run / FILE).is_file() else {}
    write(run, RunFacts.model_validate({**before, **facts.as_dict()}))


def seal_of(plain: dict[str, Json]) -> str:
    """SHA-256 hex of what the file says."""
    return hashlib.sha256(json_bytes(plain)).hexdigest()


def _damaged(path: Path, what: str) -> BundleError:
    return BundleError(
        f"{FILE} is damaged: {what}",
        code="run.damaged",
        where=str(path),
        hint="start again from the run's recipe.yaml: metacli meta-train recipe.yaml",
    )
