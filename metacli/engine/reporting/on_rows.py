"""Sections about tasks of texts and of rows of tables: sample tasks, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.engine.reporting.blocks import Block, Section, Table, Text, section
from metacli.engine.reporting.confusions import confusions
from metacli.engine.reporting.episodes import Looked, Pair, Sample
from metacli.engine.reporting.on_images import steps
from metacli.engine.spelling import visible

MOST = 3  # examples of a class


def of_episodes(found: Looked) -> list[Section]:
    """Everything that is told of validation episodes."""
    return [*steps(found), *samples(found), *confusions(found, mistakes)]


def samples(found: Looked) -> list[Section]:
    tables = [table for one in found.samples for table in (learned(found, one), asked(found, one))]
    note = Text(
        "Tasks as the model meets them: examples of classes that are new to it, to learn from, and "
        "others to name. They are validation tasks."
    )
    return section("samples", "Sample tasks", note, *tables)


def learned(found: Looked, sample: Sample) -> Table:
    rows = [
        (visible(found.classes[number]), found.say(row))
        for number, own in zip(sample.members.classes, sample.members.support, strict=True)
        for row in own[:MOST]
    ]
    caption = f"Validation task {sample.index + 1}: to learn from, {MOST} of a class at most"
    return Table(caption, ("class", "example"), tuple(rows), folded=True)


def asked(found: Looked, sample: Sample) -> Table:
    """What was to be named, mistakes first."""
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
            found.say(flat[number]),
            "right"
            if right[number]
            else f"taken for {visible(found.classes[classes[int(sample.answers[number])]])}",
        )
        for number in sorted(shown, key=lambda one: (bool(right[one]), one))
    )
    share = f"{100 * right.mean():.0f} % of {len(y)} queries are right"
    caption = f"Validation task {sample.index + 1}: asked, {MOST} of a class at most; {share}"
    return Table(caption, ("class", "example", "answer"), rows, folded=True)


def mistakes(found: Looked, pairs: Sequence[Pair]) -> Block:
    """What was taken for what, and an example of either class."""
    rows = [
        (visible(found.classes[a]), text, visible(found.classes[b]), found.examples.get(b, ""))
        for a, b in pairs
        for text in found.mistakes[a, b][:2]
    ]
    header = ("class", "asked", "taken for", "an example of that")
    return Table("What the mistakes look like", header, tuple(rows))
