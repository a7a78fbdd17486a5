"""How to repeat it: commands, versions, the recipe."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from metacli.data.plain import Plain, record_in
from metacli.engine.models.model import AdaptedModel
from metacli.engine.reporting.blocks import Commands, Facts, Section, Source, section
from metacli.engine.reporting.subject import Line, Subject, called
from metacli.engine.spelling import visible


def repeat(subject: Subject, recipe: str) -> list[Section]:
    """The commands, the versions, and the recipe."""
    facts, provenance = subject.facts, subject.model.provenance
    versions = facts.get("versions") or record_in(provenance, "versions")
    machine = {
        **{f"version of {key}": value for key, value in versions.items()},
        "commit": short(facts.get("commit")),
        "device": facts.get("device") or provenance.get("device"),
        "threads": facts.get("threads") or provenance.get("threads"),
        "fingerprint of the data": short(
            (facts.get("data") or record_in(provenance, "data")).get("digest")
        ),
    }
    rows = tuple((key, visible(value)) for key, value in machine.items() if value is not None)
    return section(
        "repeat",
        "To repeat it",
        Commands(tuple(commands(subject))),
        Facts(rows),
        Source("The recipe with every setting", recipe),
    )


def short(digest: Plain) -> str | None:
    """Enough of it to compare."""
    return None if digest is None else str(digest)[:12]


def commands(subject: Subject) -> Iterator[str]:
    """What was typed, as far as it is known: the same seeds and data give the same results."""
    quoted = shlex.quote
    name = quoted(subject.name)
    if subject.run is not None:
        verb = "multitask" if subject.model.recipe.kind == "multitask" else "meta-train"
        yield f"metacli {verb} {name}/recipe.yaml"
    elif isinstance(subject.model, AdaptedModel):
        words = [path_of(subject, "from", "MODEL"), path_of(subject, "task", "TASK"), "-o", name]
        method = subject.model.method
        yield " ".join(
            ["metacli adapt", *words, *([] if method == "native" else ["--method", method])]
        )
    trained = subject.model.recipe.data.source
    for line in subject.evaluations:
        data = line.get("data")
        other = [] if data in (None, trained) else [quoted(called(data) if "/" in data else data)]
        yield " ".join(["metacli evaluate", name, *other, *evaluate_words(line)])


def path_of(subject: Subject, key: str, otherwise: str) -> str:
    """A path that the model knows relative to itself, from where the user stands."""
    known = subject.model.provenance.get(key)
    if known is None:
        return otherwise
    path = os.path.normpath(subject.path / str(known))
    return shlex.quote(called(path))


def evaluate_words(line: Line) -> Iterator[str]:
    if line.get("unit") == "example":
        yield "LABELLED_EXAMPLES/"
        return
    left_out = {"task": ("seed", "episodes"), "mse": ("way",)}
    skipped = {*left_out.get(str(line.get("unit")), ()), *left_out.get(str(line.get("metric")), ())}
    for option in ("split", "way", "shot", "query", "episodes", "seed"):
        value = line.get(option)
        if value is not None and option not in skipped:
            many = isinstance(value, list | tuple)
            yield f"--{option} {'-'.join(map(str, value)) if many else value}"
