"""What `compare` sets side by side: the scores of a model, or of one recipe under several seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metacli.engine.results.base import Json
from metacli.engine.scoring import score_file as scores
from metacli.engine.storage.paths import MODEL_FILE, find_run_or_model, run_of
from metacli.errors import DataError

Line = dict[str, Any]  # as `score_file.record` wrote it


class Key(NamedTuple):
    """What was measured: values under one key belong together one by one."""

    units: str
    metric: str
    mode: str


FACTS = ("data_digest", "split", "way", "shot", "query", "balanced", "episodes", "seed", "unit")


@dataclass(frozen=True)
class Scored:
    """One model's lines of a score file, by what was measured.

    Args:
        path: as it is shown: the run, the model or the score file.
        recipe: fingerprint of how it was trained, seed apart; None where that is not known.
    """

    path: Path
    model: Path
    lines: dict[Key, Line]
    recipe: str | None
    seed: int | None


@dataclass(frozen=True)
class Arm:
    """One item of the comparison: a model, or the models of one recipe under different seeds."""

    path: Path
    members: tuple[Scored, ...]

    @property
    def keys(self) -> list[Key]:
        """What all members were measured on."""
        first, *others = self.members
        return [key for key in first.lines if all(key in one.lines for one in others)]

    @property
    def seeds(self) -> list[int | None]:
        return [one.seed for one in self.members]

    def values(self, key: Key) -> np.ndarray:
        """[S, E]: a row for each member, NaN where a unit was not finite."""
        rows = [one.lines[key]["values"] for one in self.members]
        return np.array([[np.nan if v is None else v for v in row] for row in rows], np.float64)

    def line(self, key: Key) -> Line:
        return self.members[0].lines[key]


def read_scored(name: str) -> list[Scored]:
    """The scores of a run, a model, or each model of a score file.

    Raises:
        BundleError: no such run or model, or a damaged score file.
        DataError: it was never evaluated.
    """
    path = find_run_or_model(name)
    if path.is_file():
        by_model = lines_by_model(path)
        if not by_model:
            raise DataError("no scores in it", code="scores.empty", where=name)
        alone = len(by_model) == 1
        return [scored(path if alone else Path(m), m, lines) for m, lines in by_model.items()]
    run = run_of(path)
    model = path if (path / MODEL_FILE).is_file() else path / "model"
    by_model = lines_by_model(scores.place_for(run, model, None))
    if not by_model:
        raise DataError(
            "has not been evaluated yet",
            code="scores.missing",
            where=name,
            hint=f"metacli evaluate {name}",
        )
    # The folder may have been moved since; a state that was measured before the run ended is older.
    last = list(by_model)[-1]
    chosen = next((m for m in reversed(by_model) if Path(m).name == model.name), last)
    return [scored(path, chosen, by_model[chosen])]


def lines_by_model(path: Path) -> dict[str, list[Line]]:
    """The lines of a score file, each model's together. Raises DataError for a line that lacks
    something."""
    found: dict[str, list[Line]] = {}
    for number, line in enumerate(scores.read(path), 1):
        if any(line.get(name) is None for name in ("model", "units", "metric", "mode", "values")):
            message = "not a line of scores"
            raise DataError(message, code="scores.damaged", where=f"{path}:{number}")
        found.setdefault(str(line["model"]), []).append(line)
    return found


def scored(path: Path, model: str, lines: Sequence[Line]) -> Scored:
    by_key = {Key(one["units"], one["metric"], one["mode"]): one for one in lines}
    last = lines[-1]
    return Scored(path, Path(model), by_key, last.get("recipe"), last.get("run_seed"))


def arms_of(found: Sequence[Scored]) -> list[Arm]:
    """Models that differ in the training seed alone become one item, unless nothing would be left
    to compare it with, or a seed is there twice."""
    different: list[Scored] = []
    for one in found:
        if not any(one.model == other.model and one.lines == other.lines for other in different):
            different.append(one)
    groups: dict[str | int, list[Scored]] = {}  # by recipe; what has none is alone, by its number
    for number, one in enumerate(different):
        key = one.recipe if one.recipe and one.seed is not None else number
        groups.setdefault(key, []).append(one)
    if len(groups) == 1:
        return [Arm(one.path, (one,)) for one in different]
    arms = []
    for members in groups.values():
        if len(members) == len({one.seed for one in members}):
            arms.append(Arm(common_path(members), tuple(members)))
        else:
            arms += [Arm(one.path, (one,)) for one in members]
    return arms


def common_path(members: Sequence[Scored]) -> Path:
    """A member's own path; of several the folder that holds them."""
    if len(members) == 1:
        return members[0].path
    return Path(os.path.commonpath([one.path for one in members]))


def common_keys(arms: Sequence[Arm]) -> list[Key]:
    """What all items were measured on.

    Raises:
        DataError: nothing; it names what differs between two items.
    """
    keys = [key for key in arms[0].keys if all(key in arm.keys for arm in arms[1:])]
    if keys:
        for key in keys:
            require_same_length(arms, key)
        return keys
    a, b = next(
        (
            (a, b)
            for n, a in enumerate(arms)
            for b in arms[n + 1 :]
            if not set(a.keys) & set(b.keys)
        ),
        (arms[0], arms[1]),
    )
    raise DataError(
        f"{a.path} and {b.path} were not measured on the same units: {difference(a, b)}",
        code="scores.not_comparable",
        hint="metacli evaluate both with the same --split, --way, --shot, --query, --episodes and "
        "--seed, on the same data",
    )


def require_same_length(arms: Sequence[Arm], key: Key) -> None:
    """Raises DataError where values that belong together one by one are not equally many."""
    members = [one for arm in arms for one in arm.members]
    counts = {len(one.lines[key]["values"]): one for one in members}
    if len(counts) > 1:
        most, least = max(counts), min(counts)
        raise DataError(
            f"{most} and {least} values of the same units: {counts[most].path} and "
            f"{counts[least].path}",
            code="scores.damaged",
            where=str(counts[least].path),
            hint="metacli evaluate writes it again",
        )


def difference(a: Arm, b: Arm) -> str:
    """What differs between the two evaluations that are most alike."""
    facts = (*FACTS, "metric", "mode")
    best: list[str] | None = None
    for mine in a.keys:
        for other in b.keys:
            one, two = a.line(mine), b.line(other)
            unlike = [
                f"{fact} {shown(one.get(fact))} and {shown(two.get(fact))}"
                for fact in facts
                if one.get(fact) != two.get(fact)
            ]
            if best is None or len(unlike) < len(best):
                best = unlike
    if best is None:
        return "the runs of one recipe were not all measured on the same"
    return ", ".join(best) or "other examples"


def shown(value: Json) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:12]}..." if len(text) > 20 else text
