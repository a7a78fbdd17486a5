"""`report DIR`: a page for each model of a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from metacli.engine.events import Progress, Reporter
from metacli.engine.many.models import Models
from metacli.engine.many.over import facts_of, some_failed
from metacli.engine.results.report import ReportResult
from metacli.engine.results.report_many import ReportRow, Reports
from metacli.errors import BundleError, Interrupted, MetacliError, RunFailed, UsageProblem

One = Callable[[Path, Path], ReportResult]
"""(model, file) -> what came of it."""


def pages_for(models: Models, out: str | Path | None) -> Mapping[str, Path]:
    """The file of each page: `out/<task>.html`.

    Raises:
        UsageProblem: `out` is called like a page.
        BundleError: a file is in the way.
    """
    folder = Path(f"{models.path.name}-report" if out is None else out)
    if folder.suffix.lower() in (".html", ".htm"):
        raise UsageProblem(
            f"-o is a file, and {models.path} has {len(models.by_task)} models",
            hint=f"-o {folder.with_suffix('')}: a folder",
        )
    if folder.exists() and not folder.is_dir():
        raise BundleError(
            "a file is in the way", code="output.exists", where=str(folder), hint="give another -o"
        )
    return {name: folder.absolute() / f"{name}.html" for name in models.by_task}


def report_each(models: Models, pages: Mapping[str, Path], one: One, report: Reporter) -> Reports:
    """Writes a page for each.

    Raises:
        DataError: some could not be written; the error's `result` has every row.
    """
    rows = []
    for number, (name, path) in enumerate(models.by_task.items()):
        report(Progress("reporting", number, len(pages), "models"))
        rows.append(report_one(name, path, pages[name], one))
    report(Progress("reporting", len(pages), len(pages), "models"))
    failed = sum(row.error is not None for row in rows)
    folder = next(iter(pages.values())).parent
    result = Reports(folder, tuple(rows), len(rows) - failed, failed)
    if failed:
        code, hint = "report.some_failed", "mend them, then the same command with --force"
        where = str(models.path)
        raise some_failed(rows, result, "be reported on", code=code, where=where, hint=hint)
    return result


def report_one(name: str, model: Path, page: Path, one: One) -> ReportRow:
    """One row; what is wrong with a model is in its row. A full disk is the end of all of them."""
    try:
        made = one(model, page)
    except (RunFailed, Interrupted):
        raise
    except MetacliError as error:
        return ReportRow(name, model, "failed", error=facts_of(error))
    return ReportRow(name, model, "reported", made.file, made.bytes)
