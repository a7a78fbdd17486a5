"""`inspect` of a folder of runs: what `--seeds` leaves, or runs that stand side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metacli.data.files import scan
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.inspecting.findings import Looked, bounded, command
from metacli.engine.inspecting.models import look_at_run, verb_at
from metacli.engine.results.base import Json
from metacli.engine.scoring.score_file import SCORES
from metacli.engine.shards.part import FILE as SHARD
from metacli.engine.storage.paths import MODEL_FILE
from metacli.errors import Finding
from metacli.schema.load import RUN_FILE

OWN = ("adapted", "scores", "served", "tuned")  # what other commands put into ./runs
MOST_NAMED = 20  # runs that are evaluated or compared next


def is_run(path: Path) -> bool:
    return (path / "run.json").is_file() or (
        (path / "state").is_dir() and (path / RUN_FILE).is_file()
    )


def runs_below(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """The runs in a folder of runs, or of such folders, by their names below it; () for anything
    else.

    Beside them may be models, and nothing else in folders: a run that was written into a user's
    folder of classes makes no runs of these.
    """
    if not path.is_dir():
        return ()
    found: list[str] = []
    for one in scan(path).folders:
        if is_run(path / one):
            found.append(one)
        elif deep and (below := runs_below(path / one, deep=False)):
            found += [f"{one}/{run}" for run in below]
        elif not (path / one / MODEL_FILE).is_file() and not (deep and one in OWN):
            return ()
    return tuple(found)


def look_at_runs(path: Path, name: str, runs: tuple[str, ...], report: Reporter) -> Looked:
    """Each is looked at as one by itself; its problems are said here."""
    problems: list[Finding] = []
    rows: list[dict[str, Json]] = []
    resumed: list[str] = []
    for number, run in enumerate(runs):
        report(Progress("reading runs", number, len(runs), "runs"))
        typed = str(Path(name) / run)
        found = look_at_run(path / run, typed, ignore)
        problems += found.problems
        rows.append(row_of(path / run, run, found))
        if rows[-1]["status"] not in ("finished", "running"):
            resumed.append(command(verb_at(path / run), "--resume", typed))
    report(Progress("reading runs", len(runs), len(runs), "runs"))
    steps = (*resumed, *next_of(path, name, rows))
    return Looked("runs", path, bounded(problems), {"runs": list(rows)}, steps)


def row_of(path: Path, name: str, found: Looked) -> dict[str, Json]:
    """What tells a run from the others."""
    keys = ("status", "recipe", "seed", "steps", "best", "model")
    known = {key: found.details.get(key) for key in keys}
    return {"name": name, **known, "evaluated": (path / SCORES).is_file()}


def next_of(path: Path, name: str, rows: list[dict[str, Json]]) -> tuple[str, ...]:
    """Shards are merged; runs are evaluated one by one, and then compared."""
    if (path / SHARD).is_file():
        return (command("merge", "OUT", "SHARD..."),)
    usable = {str(Path(name) / str(row["name"])): row for row in rows if row["model"]}
    waiting = [typed for typed, row in usable.items() if not row["evaluated"]]
    alike = len({metric_of(row) for row in usable.values()}) == 1
    compared = (command("compare", *usable),) if alike and 1 < len(usable) <= MOST_NAMED else ()
    look = command("inspect", str(Path(name) / str(rows[0]["name"])))
    return (*(command("evaluate", one) for one in waiting[:MOST_NAMED]), *compared, look)


def metric_of(row: dict[str, Json]) -> Json:
    """What its best validation measures: runs of other things cannot be compared."""
    best = row["best"]
    return best.get("metric") if isinstance(best, Mapping) else None
