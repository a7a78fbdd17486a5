"""Which classes are taken for which: a matrix where they are few, and the worst pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from metacli.engine.reporting.blocks import Block, Cell, Matrix, Section, Table, Text, section
from metacli.engine.reporting.episodes import EPISODES, Looked, Pair, S, most_confused
from metacli.engine.spelling import visible

LARGEST_MATRIX = 20  # classes


def confusions(
    found: Looked[S], shown: Callable[[Looked[S], Sequence[Pair]], Block]
) -> list[Section]:
    """The matrix where the classes are few, and the worst pairs with what `shown` makes of them."""
    pairs = most_confused(found)
    queries = sum(found.confused.values())
    where = f"{queries:,} queries of {EPISODES} validation tasks"
    note = Text(
        f"From {where} of {len(found.classes)} classes; the test set was not used. Shares count "
        "only tasks that contain both classes."
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
    looks = shown(found, [pair for pair, _, _ in pairs])
    return section("confusions", "Confusions", note, matrix, table, looks)


def pool_matrix(found: Looked[S]) -> Matrix:
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
        "Predictions of each class, in % of the tasks that contain both",
        "true \\ predicted",
        names,
        tuple(rows),
    )


def counts_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], caption: str) -> Matrix:
    """A confusion matrix of counts: rows are the true classes, columns the predicted ones."""
    rows = []
    for a, line in enumerate(counts):
        total = sum(line) or 1
        rows.append(
            tuple(Cell(str(n), n / total if a == b else -n / total) for b, n in enumerate(line))
        )
    return Matrix(caption, "true \\ predicted", tuple(map(visible, labels)), tuple(rows))


def worst_counts(
    labels: Sequence[str], counts: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int, int]]:
    """(class, taken for, times) from the most often."""
    pairs = [(n, a, b) for a, line in enumerate(counts) for b, n in enumerate(line) if a != b and n]
    for n, a, b in sorted(pairs, key=lambda one: (-one[0], one[1], one[2])):
        yield a, b, n
