"""`report`: what a run or a model is and what it was measured to reach, as one HTML page.

The test split is read by `evaluate` alone: results are what it said, from the score file. Pictures,
confusions and fits are drawn here from validation tasks, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metacli.engine.events import Notice, Reporter, ignore
from metacli.engine.models.model import AdaptedModel, FewShotModel, MultiTaskModel
from metacli.engine.reporting import settings
from metacli.engine.reporting.blocks import Page, Section
from metacli.engine.reporting.measured import measured, on_what
from metacli.engine.reporting.page import html_of
from metacli.engine.reporting.repeat import repeat
from metacli.engine.reporting.subject import Subject, open_subject
from metacli.engine.spelling import metric_name, score, visible
from metacli.engine.storage.paths import require_device
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError, MetacliError
from metacli.schema.load import dump

DEFAULT = "report.html"


def report(
    run: str,
    *,
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Write the page; the run or model is not changed.

    Args:
        run: a run, a model, or `@last`.
        out: the file; default `./report.html`.

    Returns:
        `file` and `bytes`.

    Raises:
        BundleError: neither a run nor a model, or `out` has content.
    """
    target = Path(out or DEFAULT).absolute()
    require_new(target, force=force)
    subject = open_subject(run, require_device(device), report)
    page = html_of(page_of(subject, report)).encode("utf-8", "backslashreplace")
    if not dry_run:
        write_file(target, page)
    return {"file": str(target), "bytes": len(page)}


def require_new(target: Path, *, force: bool) -> None:
    """Raises BundleError where something stands that was not to be replaced."""
    if target.is_dir():
        message, hint = "a folder is in the way", "give another -o"
        raise BundleError(message, code="output.exists", where=str(target), hint=hint)
    if target.exists() and target.stat().st_size and not force:
        message, hint = "the file has content", "give another -o, or --force to replace it"
        raise BundleError(message, code="output.exists", where=str(target), hint=hint)


def page_of(subject: Subject, report: Reporter) -> Page:
    """All sections that this kind of run or model has."""
    sections = [
        *settings.what_it_is(subject),
        *by_kind(subject, report),
        *repeat(subject, dump(subject.model.recipe, "")),
    ]
    return Page(subject.title, headline(subject), tuple(sections))


def by_kind(subject: Subject, report: Reporter) -> list[Section]:
    """What differs between runs of one learner, of many tasks, and adapted models."""
    match subject.model:
        case AdaptedModel() as model:
            from metacli.engine.reporting.on_adapted import of_adapted

            return of_adapted(subject, model, report)
        case MultiTaskModel():
            from metacli.engine.reporting.on_multi_task import of_tasks

            return [*of_tasks(subject), *settings.learning(subject)]
        case FewShotModel() as model:
            drawn = validation(model, report)
            return [*measured(subject), *settings.learning(subject), *drawn]


def validation(model: FewShotModel, report: Reporter) -> list[Section]:
    """What is drawn from validation tasks; a notice where their data are not there."""
    from metacli.data.catalogue.sinusoid import Sinusoids
    from metacli.data.few_shot.episodes import ClassEpisodes
    from metacli.engine.reporting import episodes, on_images, on_regression, on_rows, regression

    try:
        source = episodes.validation_source(model)
    except MetacliError as error:
        report(Notice(f"nothing is drawn from validation tasks: {error.message}", "report.no_data"))
        return []
    if isinstance(source, Sinusoids):
        return on_regression.of_waves(
            regression.fits(model, source), regression.scores(model, source)
        )
    if isinstance(source, ClassEpisodes):
        pictures = model.inputs.kind == "image"
        told = on_images.of_episodes if pictures else on_rows.of_episodes
        return told(episodes.look(model, source, report))
    return []


def headline(subject: Subject) -> str:
    """The last result on data that training never read; else that there is none."""
    if subject.evaluations:
        line = subject.evaluations[-1]
        metric = line.get("metric")
        where = {
            "task": f"on {whose_rows(line)} of {len(line.get('tasks') or [])} tasks",
            "example": f"on {line.get('query')} labelled examples",
        }
        on = where.get(str(line.get("unit"))) or f"on {on_what(line)}"
        return f"{named(metric)} {score(metric, line.get('mean'), line.get('ci95'))} {on}."
    made = subject.model.scores.get("score") or {}
    if made.get("value") is not None:
        return (
            f"{named(made['metric'])} {score(made['metric'], made['value'])} on held-out examples."
        )
    for name, value in subject.model.scores.items():
        if name.startswith("val_") and value:
            told = score(name, value.get("mean"), value.get("ci95"))
            return f"{named(name)} {told} on validation; not evaluated on test tasks yet."
    return "Not measured yet."


def whose_rows(line: Mapping[str, Any]) -> str:
    """Those of a split, or a user's own."""
    if line.get("split") is None:
        return f"the rows of {visible(str(line.get('data')))}"
    return f"the {line['split']} rows"


def named(metric: Any) -> str:
    words = metric_name(metric)
    return f"{words[:1].upper()}{words[1:]}"
