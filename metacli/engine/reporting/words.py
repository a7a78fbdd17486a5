"""Examples that are not images, in words: a text as it is, a row of a table as its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metacli.data.tables.reader import Table
from metacli.engine.spelling import visible

LONGEST = 160  # characters of an example
COLUMNS = 8  # of a row


def in_words(
    rows: Table | Sequence[str], names: Sequence[str] | None = None
) -> Callable[[int], str]:
    """What to say of a row, by its number.

    Args:
        rows: a Table, or texts.
        names: columns of the table; None: all.
    """
    if not isinstance(rows, Table):
        return lambda number: short(rows[number])
    shown = [one for one in (rows.columns if names is None else names) if one in rows.columns]
    more = f" and {len(shown) - COLUMNS} more" if len(shown) > COLUMNS else ""
    cells = [(name, rows.words(name)) for name in shown[:COLUMNS]]

    def said(number: int) -> str:
        known = [(name, words[number]) for name, words in cells]
        return (
            short(", ".join(f"{name} {'-' if one is None else one}" for name, one in known)) + more
        )

    return said


def short(text: str, longest: int = LONGEST) -> str:
    """One line that is fit to print."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
