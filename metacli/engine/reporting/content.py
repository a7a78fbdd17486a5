"""The sections of a report, in the order in which they are read: what it reaches, how it behaves,
then what it is and how to repeat it."""

from __future__ import annotations

from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.model import AdaptedModel, FewShotModel, MultiTaskModel
from metacli.engine.reporting import on_images, on_regression, on_rows, regression, settings
from metacli.engine.reporting.blocks import Page, Section
from metacli.engine.reporting.episodes import AsImage, InWords, look, validation_source
from metacli.engine.reporting.headline import headline
from metacli.engine.reporting.measured import measured
from metacli.engine.reporting.on_adapted import of_adapted
from metacli.engine.reporting.on_multi_task import of_tasks
from metacli.engine.reporting.repeat import repeat
from metacli.engine.reporting.subject import Subject
from metacli.engine.training.few_shot.sources import has_generated_tables
from metacli.errors import MetacliError
from metacli.schema.load import dump


def page_of(subject: Subject, report: Reporter) -> Page:
    """All sections that this kind of run or model has."""
    sections = [
        *by_kind(subject, report),
        *settings.what_it_is(subject),
        *repeat(subject, dump(subject.model.recipe, "")),
    ]
    return Page(subject.title, headline(subject), tuple(sections))


def by_kind(subject: Subject, report: Reporter) -> list[Section]:
    """What differs between runs of one learner, of many tasks, and adapted models."""
    match subject.model:
        case AdaptedModel() as model:
            return of_adapted(subject, model, report)
        case MultiTaskModel():
            return [*of_tasks(subject), *settings.learning(subject.history)]
        case FewShotModel() as model:
            drawn = validation(model, report)
            return [*measured(subject), *settings.learning(subject.history), *drawn]


def validation(model: FewShotModel, report: Reporter) -> list[Section]:
    """What is drawn from validation tasks; a notice where their data are not there."""
    if has_generated_tables(model.recipe):
        return []
    try:
        source = validation_source(model)
    except MetacliError as error:
        report(Notice(f"nothing is drawn from validation tasks: {error.message}", "report.no_data"))
        return []
    match source:
        case Sinusoids():
            scores = regression.scores(model, source)
            return on_regression.of_waves(regression.fits(model, source), scores)
        case ClassEpisodes() if model.inputs.kind == "image":
            return on_images.of_episodes(look(model, source, AsImage(), report))
        case ClassEpisodes():
            words = InWords.of(source.pool)
            return on_rows.of_episodes(look(model, source, words, report), words.say)
        case _:  # tasks with numbers to predict: there is nothing to show of one
            return []
