"""`export DIR`: a file for each model of a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.events import Progress, Reporter
from metacli.engine.exporting import files
from metacli.engine.exporting.exporters import FORMATS
from metacli.engine.many.models import Models
from metacli.engine.many.over import facts_of, some_failed
from metacli.engine.results.export import ExportResult
from metacli.engine.results.export_many import ExportRow, Exports
from metacli.errors import BundleError, Interrupted, MetacliError, RunFailed, UsageProblem

One = Callable[[Path, Path], ExportResult]
"""(model, file) -> what came of it."""


@dataclass(frozen=True)
class Target:
    """Where the files go; `force` replaces what is there, `dry_run` writes nothing."""

    out: str | Path | None
    force: bool
    dry_run: bool


def export_each(models: Models, format: str, target: Target, one: One, report: Reporter) -> Exports:
    """`OUT/<task>.<format>` for each, which is compared with PyTorch as one alone would be.

    Raises:
        UsageProblem: `out` is called like a file.
        BundleError: something is in the way of one of them, before any work.
        DataError: some could not be written; the error's `result` has every row.
    """
    folder = folder_for(models, format, target)
    places = {name: folder / f"{name}.{format}" for name in models.by_task}
    for place in places.values():
        files.require_free(place, force=target.force)
    rows = []
    for number, (name, path) in enumerate(models.by_task.items()):
        report(Progress("exporting", number, len(places), "models"))
        rows.append(export_one(name, path, places[name], one))
    report(Progress("exporting", len(places), len(places), "models"))
    failed = sum(row.error is not None for row in rows)
    result = Exports(
        folder=None if target.dry_run else folder,
        format=format,
        tasks=tuple(rows),
        exported=len(rows) - failed,
        failed=failed,
        dry_run=True if target.dry_run else None,
    )
    if failed:
        code, hint = "export.some_failed", "mend them, then the same command with --force"
        where = str(models.path)
        raise some_failed(rows, result, "be exported", code=code, where=where, hint=hint)
    return result


def folder_for(models: Models, format: str, target: Target) -> Path:
    """The folder of the files. Raises UsageProblem, BundleError."""
    folder = Path(f"{models.path.name}-{format}" if target.out is None else target.out)
    if folder.suffix.removeprefix(".").lower() in FORMATS:
        raise UsageProblem(
            f"-o is a file, and {models.path} has {len(models.by_task)} models",
            hint=f"-o {folder.with_suffix('')}: a folder",
        )
    if folder.exists() and not folder.is_dir():
        raise BundleError(
            "a file is in the way", code="output.exists", where=str(folder), hint="give another -o"
        )
    return folder.absolute()


def export_one(name: str, model: Path, place: Path, one: One) -> ExportRow:
    """One row; what is wrong with a model is in its row. A full disk is the end of all of them."""
    try:
        made = one(model, place)
    except (RunFailed, Interrupted):
        raise
    except MetacliError as error:
        return ExportRow(name, model, "failed", error=facts_of(error))
    status = "exported" if not made.dry_run else "agrees"
    return ExportRow(name, model, status, made.file, made.bytes, made.parity)
