"""Sections about tasks of texts and of rows of tables: sample tasks, and what is taken for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from metacli.engine.reporting.blocks import Block, Section, Table, Text, section
from metacli.engine.reporting.confusions import confusions
from metacli.engine.reporting.episodes import Looked, Pair, Sample
from metacli.engine.reporting.on_images import steps
from metacli.engine.spelling import visible

MOST = 3  # examples of a class
Say = Callable[[int], str]
"""A row of the pool's store in words."""


def of_episodes(found: Looked[str], say: Say) -> list[Section]:
    """Everything that is drawn from validation episodes."""
    return [*steps(found), *samples(found, say), *confusions(found, mistakes)]


def samples(found: Looked[str], say: Say) -> list[Section]:
    tables = [
        table
        for one in found.samples
        for table in (learned(found, one, say), asked(found, one, say))
    ]
    note = Text(
        "Validation tasks as the model meets them: labelled examples of classes that are new to "
        "it, and others to classify."
    )
    return section("samples", "Sample tasks", note, *tables)


def learned(found: Looked[str], sample: Sample, say: Say) -> Table:
    rows = [
        (visible(found.classes[number]), say(row))
        for number, own in zip(sample.members.classes, sample.members.support, strict=True)
        for row in own[:MOST]
    ]
    caption = f"Validation task {sample.index + 1}: support, at most {MOST} of a class"
    return Table(caption, ("class", "example"), tuple(rows), folded=True)


def asked(found: Looked[str], sample: Sample, say: Say) -> Table:
    """The queries, mistakes first."""
    classes, y = sample.members.classes, sample.episode.query.y.numpy()
    flat = [row for own in sample.members.query for row in own]
    right = sample.answers == y
    shown = [
        number
        for label in range(len(classes))
        for number in sorted(np.flatnonzero(y == label), key=lambda one: bool(right[one]))[:MOST]
    ]
    rows = tuple(
        (
            visible(found.classes[classes[int(y[number])]]),
            say(flat[number]),
            "right"
            if right[number]
            else f"taken for {visible(found.classes[classes[int(sample.answers[number])]])}",
        )
        for number in sorted(shown, key=lambda one: (bool(right[one]), one))
    )
    share = f"{100 * right.mean():.0f} % of {len(y)} queries are right"
    caption = f"Validation task {sample.index + 1}: queries, at most {MOST} of a class; {share}"
    return Table(caption, ("class", "example", "answer"), rows, folded=True)


def mistakes(found: Looked[str], pairs: Sequence[Pair]) -> Block:
    """What was taken for what, and an example of either class."""
    rows = [
        (visible(found.classes[a]), text, visible(found.classes[b]), found.examples.get(b, ""))
        for a, b in pairs
        for text in found.mistakes[a, b][:2]
    ]
    header = ("class", "query", "taken for", "an example of that class")
    return Table("What the mistakes look like", header, tuple(rows))
