"""Mean and scale of a column: in float64, centred before it is squared, without overflow, and not
moved by a wild cell, such as a price of 1e30 among ordinary ones.

A cell is wild when its distance from the median is over 10,000 times that of every usual cell; the
usual ones are all but one in twenty (at least one is left out). Ordinary columns, heavy tails
included, have none, and their statistics are numpy's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WILD = 1e4
ONE_IN = 20
LIMIT = 2.0  # times the largest usual value: what a column with a wild cell is cut at


class Level(NamedTuple):
    """Of the known cells of a column.

    Args:
        mean, scale: of the usual cells; scale is 1 where they are all the same.
        wild: row numbers of the wild cells.
        limit: in scales from the mean, where encoded values are cut; None: no cell is wild.
    """

    mean: float
    scale: float
    wild: tuple[int, ...] = ()
    limit: float | None = None


def level_of(values: np.ndarray) -> Level:
    """Of float64 [M], NaN where missing."""
    wild = wild_cells(values)
    usual = np.ones(len(values), bool)
    usual[list(wild)] = False
    known = values[usual & ~np.isnan(values)]
    if not len(known):
        return Level(0.0, 1.0)
    mean, scale = moments(known)
    if not scale > 1e-12 * float(np.abs(known).max()):
        scale = 1.0
    if not wild:
        return Level(mean, scale)
    return Level(mean, scale, wild, LIMIT * float(np.abs((known - mean) / scale).max(initial=1.0)))


def levels_of(values: np.ndarray) -> list[Level]:
    """`level_of` each column of float64 [M, F], with its bits, where many columns are whole."""
    columns = np.ascontiguousarray(values.T)
    found: list[Level | None] = [None] * len(columns)
    largest = np.abs(columns).max(1, initial=0.0)  # nan where a cell is missing
    usable = (largest > 1e-150) & (largest < 1e150) & (len(values) >= 3)
    whole = np.flatnonzero(usable)
    if len(whole):
        every = len(whole) == len(columns)
        known, largest = (columns, largest) if every else (columns[whole], largest[whole])
        means = known.mean(1)
        around = known - means[:, None]
        plain = plain_around(np.abs(around))
        rest = known[~plain]
        away = np.abs(rest - np.median(rest, axis=1)[:, None])
        place = len(values) - 1 - max(1, len(values) // ONE_IN)
        usual = np.partition(away, place, axis=1)[:, place]
        plain[~plain] = ~((usual > 0) & (away.max(1) > WILD * usual))
        scales = np.sqrt(np.square(around, out=around).mean(1))  # numpy's std, to the bit
        scales[~(scales > 1e-12 * largest)] = 1.0
        for at in np.flatnonzero(plain).tolist():
            found[whole[at]] = Level(float(means[at]), float(scales[at]))
    return [level_of(columns[at]) if one is None else one for at, one in enumerate(found)]


def surely_plain(columns: np.ndarray) -> np.ndarray:
    """Which of these columns [F, M] have no wild cell, as far as their means tell, which cost less
    than medians: [F]."""
    with np.errstate(over="ignore", invalid="ignore"):  # then nothing is sure
        return plain_around(np.abs(columns - columns.mean(1, keepdims=True)))


def plain_around(away: np.ndarray) -> np.ndarray:
    """The same by how far each cell is from the mean of its column, [F, M].

    With a wild cell at distance A from the median c, all but a share s of the cells are within A /
    WILD of c. So, with q = 1 / WILD + s, the mean of |x - c| is at most q A, which bounds the
    distance of the mean m from c; the mean of |x - m| is at most 2 q A, and the largest |x - m| at
    least (1 - q) A. A larger ratio than 2 q / (1 - q) rules a wild cell out.
    """
    rows = away.shape[1]
    q = 1 / WILD + max(1, rows // ONE_IN) / rows
    result: np.ndarray = away.mean(1) * (1 - q) > 2 * q * away.max(1) * (1 + 1e-9)
    return result


def moments(known: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; of numbers whose squares leave float64's range, those of the
    numbers as shares of the largest."""
    largest = float(np.abs(known).max())
    if largest == 0 or 1e-150 < largest < 1e150:
        return float(known.mean()), float(known.std())
    shares = known / largest
    return largest * float(shares.mean()), largest * float(shares.std())


def wild_cells(values: np.ndarray) -> tuple[int, ...]:
    """Row numbers of the wild cells of float64 [M], NaN where missing."""
    rows = np.flatnonzero(~np.isnan(values))
    if len(rows) < 3 or surely_plain(values[None, rows])[0]:
        return ()
    away = np.abs(values[rows] - np.median(values[rows]))
    usual = np.sort(away)[-1 - max(1, len(rows) // ONE_IN)]
    if not usual > 0:
        return ()
    return tuple(int(row) for row in rows[away > WILD * usual])
