"""`report`: what a run or a model is and what it was measured to reach, as one HTML page.

The test split is read by `evaluate` alone: results are what it wrote into the score file. Images,
confusions and fits are drawn here from validation tasks, and the page says so.
"""

from __future__ import annotations

from pathlib import Path

from metacli.engine.events import Reporter, ignore
from metacli.engine.reporting.content import page_of
from metacli.engine.reporting.page import html_of
from metacli.engine.reporting.subject import open_subject
from metacli.engine.results.report import ReportResult
from metacli.engine.storage.paths import require_device
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError

DEFAULT = "report.html"


def report(
    run: str | Path,
    *,
    out: str | Path | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> ReportResult:
    """Write the page; the run or model is not changed.

    Args:
        run: a run, a model, or `@last`.
        out: the file; default `./report.html`.
        seed: of nothing; all commands take it.

    Raises:
        BundleError: neither a run nor a model, or `out` has content.
    """
    target = Path(out or DEFAULT).absolute()
    require_new(target, force=force)
    subject = open_subject(str(run), require_device(device), report)
    page = html_of(page_of(subject, report)).encode("utf-8", "backslashreplace")
    if not dry_run:
        write_file(target, page)
    return ReportResult(target, len(page))


def require_new(target: Path, *, force: bool) -> None:
    """Raises BundleError where something stands that was not to be replaced."""
    if target.is_dir():
        message, hint = "a folder is in the way", "give another -o"
        raise BundleError(message, code="output.exists", where=str(target), hint=hint)
    if target.exists() and target.stat().st_size and not force:
        message, hint = "the file has content", "give another -o, or --force to replace it"
        raise BundleError(message, code="output.exists", where=str(target), hint=hint)
