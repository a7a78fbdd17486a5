"""The score file: one line per evaluation with a value per unit, so that any two models can be
paired later."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from metacli.data.plain import Record, record_in
from metacli.engine.results.base import Json, Result
from metacli.engine.scoring.score_line import ScoreLine
from metacli.engine.storage.disk import is_stream
from metacli.engine.storage.paths import RUNS, exists
from metacli.engine.storage.serial import finite
from metacli.engine.storage.writer import write_file, write_output
from metacli.errors import BundleError
from metacli.schema.recipe import Recipe


class Trained(Protocol):
    """A model, as far as it says how it was trained."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def provenance(self) -> Record: ...


SCORES = "scores.jsonl"


def units_hash(**what: Json) -> str:
    """The same for evaluations whose values belong together unit by unit."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def arm_of(model: Trained) -> dict[str, Json]:
    """What lets runs of one recipe under several seeds be counted as one: a fingerprint of how the
    model was trained, without the seed, and the seed."""
    trained = record_in(model.provenance, "data")
    left_out = {"seed", "data", "expect", "baselines"}
    how = {key: value for key, value in model.recipe.plain().items() if key not in left_out}
    data = {key: value for key, value in trained.items() if key != "classes"}
    return {"recipe": units_hash(how=how, data=data), "run_seed": model.recipe.seed}


def place_for(run: Path | None, model: Path, out: str | Path | None) -> Path:
    """`-o`, or the run's own file, or below ./runs for a model by itself: evaluating never changes
    a model."""
    if out is not None:
        return Path(out).absolute()
    if run is not None:
        return run / SCORES
    name = hashlib.sha256(str(model).encode()).hexdigest()[:8]
    return (RUNS / "scores" / f"{model.name}-{name}.jsonl").absolute()


def place_of_variant(run: Path | None, model: Path, overrides: Sequence[str]) -> Path:
    """In the folder of `place_for`, named after what differs."""
    usual = place_for(run, model, None)
    name = re.sub(r"[^\w.=-]", "_", ",".join(overrides))[:80]
    return usual.with_name(f"{usual.stem}-{name}.jsonl")


def require_place(path: Path, *, force: bool, dry_run: bool) -> None:
    """`-o` must be new or empty; with `force` a score file is emptied, anything else is kept. A
    device, pipe or socket is written to as it is.

    Raises:
        BundleError: something is there.
    """
    if is_stream(path):
        return
    if not exists(path) or (path.is_file() and path.stat().st_size == 0):
        return
    if path.is_dir() or not force:
        raise BundleError(
            "a folder is in the way" if path.is_dir() else "the file has content",
            code="output.exists",
            where=str(path),
            hint="give another -o" + ("" if path.is_dir() else ", or --force to replace it"),
        )
    if not path.is_file() or any("units" not in line for line in read(path)):
        raise BundleError("not a score file: not replaced", code="output.foreign", where=str(path))
    if not dry_run:
        write_file(path, b"")


def record(
    path: Path, line: Mapping[str, Json], values: np.ndarray, result: Result | None = None
) -> None:
    """Add an evaluation; one of the same model, units and metric is replaced.

    Args:
        values: one for each unit.
        result: that `evaluate` gave, for `report` to show.
    """
    numbers = [float(v) if np.isfinite(v) else None for v in values]
    new: dict[str, Json] = {**line, "values": numbers}
    if result is not None:
        new["result"] = finite(result.as_dict())
    if is_stream(path):
        write_output(path, (json.dumps(new, allow_nan=False) + "\n").encode())
        return
    same = ("model", "units", "metric", "mode")
    kept = [old for old in read(path) if any(old.get(key) != new.get(key) for key in same)]
    text = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in [*kept, new])
    write_file(path, text.encode())


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a score file; none where there is no file. Raises BundleError for a line that
    holds something else than `ScoreLine` says, whoever wrote it."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    try:
        for line in filter(bytes.strip, path.read_bytes().split(b"\n")):
            read_line = ScoreLine.model_validate_json(line)
            lines.append(read_line.model_dump(exclude_unset=True))  # counted
    except (ValueError, OSError) as error:
        why = ""
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            why = f": line {len(lines) + 1}, {'.'.join(map(str, first['loc']))}: {first['msg']}"
        message = f"not a score file{why}"
        raise BundleError(message, code="scores.damaged", where=str(path)) from None
    return lines
