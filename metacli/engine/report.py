"""`report`: what a run or a model is and what it was measured to reach, as one HTML page.

The test split is read by `evaluate` alone: results are what it wrote into the score file. Images,
confusions and fits are drawn here from validation tasks, and the page says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from metacli.engine.events import Reporter, ignore
from metacli.engine.many.models import models_below
from metacli.engine.many.over import within
from metacli.engine.many.reporting import pages_for, report_each
from metacli.engine.models.named import dense_model_at, set_model_at
from metacli.engine.reporting.blocks import Page
from metacli.engine.reporting.content import page_of
from metacli.engine.reporting.on_dense import open_dense_subject, page_of_dense
from metacli.engine.reporting.on_sets import page_of_sets
from metacli.engine.reporting.page import html_of
from metacli.engine.reporting.set_subject import open_set_subject
from metacli.engine.reporting.subject import open_subject
from metacli.engine.results.report import ReportResult
from metacli.engine.results.report_many import Reports
from metacli.engine.storage.paths import require_device
from metacli.engine.storage.writer import write_output
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
) -> ReportResult | Reports:
    """Write the page, or one for each model of a folder; no run or model is changed.

    Args:
        run: a run, a model, a folder of models, or `@last`.
        out: the file; default `./report.html`. Of a folder of models a folder, in which
            `<task>.html` are written; default `./<folder>-report`.
        seed: of nothing; all commands take it.

    Raises:
        DataError: some pages of a folder of models could not be written; its `result` has every
            row.
        BundleError: neither a run nor a model, or `out` has content.
    """
    how = How(force, dry_run, require_device(device))
    models = models_below(run)
    if models is None:
        return how.page(str(run), Path(out or DEFAULT).absolute(), report)
    pages = pages_for(models, out)
    for page in pages.values():
        require_new(page, force=force)
    return report_each(
        *(models, pages),
        lambda path, page: how.page(str(path), page, within(path.name, report)),
        report,
    )


@dataclass(frozen=True)
class How:
    """How a page is written."""

    force: bool
    dry_run: bool
    device: torch.device

    def page(self, run: str, file: Path, report: Reporter) -> ReportResult:
        """The page of one run or model. Raises as `report` does."""
        require_new(file, force=self.force)
        made = self.made(run, report)
        page = html_of(made).encode("utf-8", "backslashreplace")
        if not self.dry_run:
            write_output(file, page)
        return ReportResult(file, len(page))

    def made(self, run: str, report: Reporter) -> Page:
        """What the page says."""
        if (dense := dense_model_at(run)) is not None:
            return page_of_dense(open_dense_subject(dense, run), report)
        if (sets := set_model_at(run)) is not None:
            return page_of_sets(open_set_subject(sets, run), report)
        return page_of(open_subject(run, self.device, report), report)


def require_new(target: Path, *, force: bool) -> None:
    """Raises BundleError where something stands that was not to be replaced."""
    if target.is_dir():
        message, hint = "a folder is in the way", "give another -o"
        raise BundleError(message, code="output.exists", where=str(target), hint=hint)
    if target.exists() and target.stat().st_size and not force:
        message, hint = "the file has content", "give another -o, or --force to replace it"
        raise BundleError(message, code="output.exists", where=str(target), hint=hint)
