"""Sections about picture tasks: sample episodes, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from metacli.engine.intervals import over_episodes
from metacli.engine.reporting.blocks import (
    Cell,
    Gallery,
    Matrix,
    Picture,
    Row,
    Section,
    Table,
    Text,
    section,
)
from metacli.engine.reporting.episodes import EPISODES, Looked, Sample, most_confused
from metacli.engine.reporting.measured import steps_plot
from metacli.engine.reporting.pictures import picture, strip
from metacli.engine.spelling import visible

MOST = 5  # pictures of a class in a row
LARGEST_MATRIX = 20  # classes


def of_episodes(found: Looked) -> list[Section]:
    """Everything that is drawn from validation episodes."""
    return [*steps(found), *samples(found), *confusions(found)]


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


def confusions(found: Looked) -> list[Section]:
    """The matrix where the classes are few, and the worst pairs with their pictures."""
    pairs = most_confused(found)
    queries = sum(found.confused.values())
    where = f"{queries:,} queries of {EPISODES} validation tasks"
    note = Text(
        f"Counted on {where} of {len(found.classes)} classes, not on the test. A class can only be "
        "taken for one that stands in the same task, so shares are of those meetings."
    )
    if not pairs:
        return section("confusions", "Confusions", note, Text("It made no mistake there."))
    matrix = None
    if len(found.classes) <= LARGEST_MATRIX:
        matrix = pool_matrix(found)
    table = Table(
        "Most confused classes",
        ("class", "taken for", "how often", "share"),
        tuple(
            (
                visible(found.classes[a]),
                visible(found.classes[b]),
                f"{n} of {met}",
                f"{100 * n / met:.0f} %",
            )
            for (a, b), n, met in pairs
        ),
    )
    rows = tuple(pair_row(found, a, b) for (a, b), _, _ in pairs)
    gallery = Gallery(
        "What the mistakes look like",
        rows,
        "Left of the line what was asked, right of it an example of either class.",
    )
    return section("confusions", "Confusions", note, matrix, table, gallery)


def pool_matrix(found: Looked) -> Matrix:
    """Shares of the meetings of two classes; on the diagonal the share of right answers."""
    count = len(found.classes)
    rows = []
    for a in range(count):
        cells = []
        for b in range(count):
            met = found.met[a, b]
            share = found.confused[a, b] / met if met else 0.0
            cells.append(Cell(f"{100 * share:.0f}" if met else "", share if a == b else -share))
        rows.append(tuple(cells))
    names = tuple(visible(name) for name in found.classes)
    return Matrix(
        "What was named how, in % of the tasks where both stood", "is \\ named", names, tuple(rows)
    )


def pair_row(found: Looked, a: int, b: int) -> Row:
    mine, other = visible(found.classes[a]), visible(found.classes[b])
    wrong = [picture(x, f"a {mine} taken for {other}", "wrong") for x in found.mistakes[a, b]]
    examples = [
        picture(found.examples[number], f"an example of {visible(found.classes[number])}")
        for number in (a, b)
        if number in found.examples
    ]
    return Row(f"{mine} taken for {other}", (tuple(wrong), tuple(examples)))


def counts_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], caption: str) -> Matrix:
    """A confusion matrix of counts: rows are what it is, columns what was said."""
    rows = []
    for a, line in enumerate(counts):
        total = sum(line) or 1
        rows.append(
            tuple(Cell(str(n), n / total if a == b else -n / total) for b, n in enumerate(line))
        )
    return Matrix(caption, "is \\ named", tuple(map(visible, labels)), tuple(rows))


def worst_counts(
    labels: Sequence[str], counts: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int, int]]:
    """(class, taken for, times) from the most often."""
    pairs = [(n, a, b) for a, line in enumerate(counts) for b, n in enumerate(line) if a != b and n]
    for n, a, b in sorted(pairs, key=lambda one: (-one[0], one[1], one[2])):
        yield a, b, n
