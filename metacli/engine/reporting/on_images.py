"""Sections about tasks of images: sample episodes, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from metacli.engine.reporting.blocks import (
    Gallery,
    Image,
    Row,
    Section,
    Text,
    section,
)
from metacli.engine.reporting.confusions import confusions
from metacli.engine.reporting.episodes import Looked, Pair, S, Sample
from metacli.engine.reporting.images import shown, strip
from metacli.engine.reporting.measured import steps_plot
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.spelling import visible

MOST = 5  # images of a class in a row


def of_episodes(found: Looked[np.ndarray]) -> list[Section]:
    """Everything that is drawn from validation episodes."""
    return [*steps(found), *samples(found), *confusions(found, mistakes)]


def steps(found: Looked[S]) -> list[Section]:
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


def samples(found: Looked[np.ndarray]) -> list[Section]:
    galleries = [gallery(found, one) for one in found.samples]
    note = Text(
        "Validation tasks as the model meets them. Left of the line: labelled images of classes "
        "that are new to it. Right of it: images to classify; a red frame and a cross mark its "
        "mistakes."
    )
    return section("samples", "Sample tasks", note, *galleries)


def gallery(found: Looked[np.ndarray], sample: Sample) -> Gallery:
    support, query = sample.episode
    rows = []
    for label, number in enumerate(sample.members.classes):
        name = visible(found.classes[number])
        own = support.x[of_label(support.y.numpy(), support.mask, label)].numpy()[:MOST]
        learned = strip(list(own), f"{len(own)} labelled images of {name}")
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


def of_label(y: np.ndarray, mask: Tensor | None, label: int) -> np.ndarray:
    keep = np.asarray(y) == label
    if mask is not None:
        keep &= mask.numpy()
    return np.flatnonzero(keep)


def answered(
    found: Looked[np.ndarray], sample: Sample, row: int, label: int, x: np.ndarray
) -> Image:
    said = int(sample.answers[row])
    if said == label:
        return shown(x, "classified correctly", "right")
    wrong = visible(found.classes[sample.members.classes[said]])
    return shown(x, f"taken for {wrong}", "wrong")


def mistakes(found: Looked[np.ndarray], pairs: Sequence[Pair]) -> Gallery:
    """What was taken for what, and an example of either class."""
    rows = tuple(pair_row(found, a, b) for a, b in pairs)
    note = "Left of the line: the mistakes. Right of it: an example of either class."
    return Gallery("What the mistakes look like", rows, note)


def pair_row(found: Looked[np.ndarray], a: int, b: int) -> Row:
    mine, other = visible(found.classes[a]), visible(found.classes[b])
    wrong = [shown(x, f"a {mine} taken for {other}", "wrong") for x in found.mistakes[a, b]]
    examples = [
        shown(found.examples[number], f"an example of {visible(found.classes[number])}")
        for number in (a, b)
        if number in found.examples
    ]
    return Row(f"{mine} taken for {other}", (tuple(wrong), tuple(examples)))
