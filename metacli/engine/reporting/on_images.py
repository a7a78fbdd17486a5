"""Sections about picture tasks: sample episodes, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.engine.reporting.blocks import (
    Gallery,
    Picture,
    Row,
    Section,
    Text,
    section,
)
from metacli.engine.reporting.confusions import confusions
from metacli.engine.reporting.episodes import Looked, Pair, Sample
from metacli.engine.reporting.images import picture, strip
from metacli.engine.reporting.measured import steps_plot
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.spelling import visible

MOST = 5  # pictures of a class in a row


def of_episodes(found: Looked) -> list[Section]:
    """Everything that is drawn from validation episodes."""
    return [*steps(found), *samples(found), *confusions(found, mistakes)]


def steps(found: Looked) -> list[Section]:
    if len(found.per_step) < 2:
        return []
    points = []
    for step, values in enumerate(found.per_step):
        made = over_episodes(values)
        points.append((float(step), made.mean, made.ci95))
    where = f"on {len(found.per_step[0])} validation tasks"
    return section(
        "steps", "What adaptation does", steps_plot("steps-val", "accuracy", points, where)
    )


def samples(found: Looked) -> list[Section]:
    galleries = [gallery(found, one) for one in found.samples]
    note = Text(
        "Tasks as the model meets them: left of the line pictures of classes that are new to it, "
        "to learn from; right of it pictures to name. They are validation tasks; a red frame and a "
        "cross mark what it got wrong."
    )
    return section("samples", "Sample tasks", note, *galleries)


def gallery(found: Looked, sample: Sample) -> Gallery:
    support, query = sample.episode
    rows = []
    for label, number in enumerate(sample.members.classes):
        name = visible(found.classes[number])
        own = support.x[of_label(support.y.numpy(), support.mask, label)].numpy()[:MOST]
        learned = strip(list(own), f"{len(own)} pictures of {name} to learn from")
        asked = np.flatnonzero(query.y.numpy() == label)[:MOST]
        answers = [
            answered(found, sample, int(row), label, query.x[int(row)].numpy()) for row in asked
        ]
        rows.append(Row(name, ((learned,), tuple(answers))))
    right = float((sample.answers == query.y.numpy()).mean())
    note = (
        f"{100 * right:.0f} % of its {len(query.y)} queries are right; {MOST} of a class are shown."
    )
    return Gallery(f"Validation task {sample.index + 1}", tuple(rows), note)


def of_label(y: np.ndarray, mask: object, label: int) -> np.ndarray:
    keep = np.asarray(y) == label
    if mask is not None:
        keep &= np.asarray(mask)
    return np.flatnonzero(keep)


def answered(found: Looked, sample: Sample, row: int, label: int, x: np.ndarray) -> Picture:
    said = int(sample.answers[row])
    if said == label:
        return picture(x, "named rightly", "right")
    wrong = visible(found.classes[sample.members.classes[said]])
    return picture(x, f"taken for {wrong}", "wrong")


def mistakes(found: Looked, pairs: Sequence[Pair]) -> Gallery:
    """What was taken for what, and an example of either class."""
    rows = tuple(pair_row(found, a, b) for a, b in pairs)
    note = "Left of the line what was asked, right of it an example of either class."
    return Gallery("What the mistakes look like", rows, note)


def pair_row(found: Looked, a: int, b: int) -> Row:
    mine, other = visible(found.classes[a]), visible(found.classes[b])
    wrong = [picture(x, f"a {mine} taken for {other}", "wrong") for x in found.mistakes[a, b]]
    examples = [
        picture(found.examples[number], f"an example of {visible(found.classes[number])}")
        for number in (a, b)
        if number in found.examples
    ]
    return Row(f"{mine} taken for {other}", (tuple(wrong), tuple(examples)))
