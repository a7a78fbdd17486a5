"""Columns that people mean as numbers and that are not: a mark such as - or n.v. among the numbers,
or a unit behind each."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

MANY_VALUES = 20  # distinct whole numbers of what are still names
CHECKED_ROWS = 20  # from here on a few cells of another kind are mistakes, not categories
NEARLY = 0.9  # of the cells are numbers or dates: the others are mistakes
_BEGINS = re.compile(r"[-+(\u2212]{0,2}[$€£¥₹]? ?\d")


def stray_cell(cells: Sequence[str]) -> str | None:
    """The first cell that is no number where the others are a quantity: different numbers, and
    beside them a few mistakes or one mark that comes again. None where they may be names, such as
    1, 2 and 3+.

    Args:
        cells: none of them missing.
    """
    found = [as_number(cell) for cell in cells]
    odd = [cell for cell, number in zip(cells, found, strict=True) if number is None]
    values = np.array([number for number in found if number is not None], float)
    if not odd or not is_varied(values):
        return None
    share = len(values) / len(cells)
    few = share >= NEARLY and len(cells) >= CHECKED_ROWS
    return odd[0] if few or (share >= 0.5 and len(set(odd)) == 1) else None


def is_varied(values: np.ndarray) -> bool:
    """Whether numbers are a quantity rather than names: fractions most of which come once, or many
    whole numbers."""
    distinct = len(np.unique(values))
    if bool((values == np.round(values)).all()):
        return distinct > MANY_VALUES
    return distinct >= 3 and 2 * distinct > len(values)


def look_like_numbers(cells: Sequence[str]) -> bool:
    """Whether words are quantities in a spelling that is not known, such as 70 kg: nearly all begin
    with a digit, and there are many different ones."""
    if len(set(cells)) <= MANY_VALUES or 2 * len(set(cells)) <= len(cells):
        return False
    return sum(bool(_BEGINS.match(cell)) for cell in cells) >= NEARLY * len(cells)


def as_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
