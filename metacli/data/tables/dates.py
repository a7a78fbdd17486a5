"""Dates and times in cells: in which order a column writes day, month and year, and their parts as
numbers.

A column is read in one order, that in which all of its cells are dates. Where the order cannot be
given (03/04/2024 in every row) the day comes first; the order is part of the model, so that a later
table is read as the first was. Times are those of the clock: offsets such as +02:00 are not added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.reader import Table

Order = Literal["ymd", "dmy", "mdy", "time"]
Part = Literal["year", "month", "day", "weekday", "hour"]
ORDERS: tuple[Order, ...] = ("ymd", "dmy", "mdy", "time")
PARTS: tuple[Part, ...] = ("year", "month", "day", "weekday", "hour")
WORDS: dict[Order, str] = {
    "ymd": "the year first",
    "dmy": "the day first",
    "mdy": "the month first",
    "time": "times of the day",
}
PIVOT = 69  # two digits: from 69 on the last century, as POSIX says
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?"
    r"(?:\s*(?P<half>[AaPp][Mm]))?(?:\s*(?:Z|[+-]\d{2}:?\d{2}))?"
)
_TIME = rf"(?:[T ,]\s*{_CLOCK})?"
_SHAPES: dict[Order, tuple[re.Pattern[str], ...]] = {
    "ymd": (
        re.compile(rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_TIME}"),
        re.compile(r"(?P<year>\d{4})[-/](?P<month>\d{1,2})"),
    ),
    "dmy": (
        re.compile(
            rf"(?P<day>\d{{1,2}})([-/.])(?P<month>\d{{1,2}})\2(?P<year>\d{{4}}|\d{{2}}){_TIME}"
        ),
        re.compile(
            rf"(?P<day>\d{{1,2}})\.?[ -](?P<word>[A-Za-z]{{3,9}})\.?[ -](?P<year>\d{{4}}){_TIME}"
        ),
    ),
    "mdy": (
        re.compile(
            rf"(?P<month>\d{{1,2}})([-/.])(?P<day>\d{{1,2}})\2(?P<year>\d{{4}}|\d{{2}}){_TIME}"
        ),
        re.compile(rf"(?P<word>[A-Za-z]{{3,9}})\.? (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}){_TIME}"),
    ),
    "time": (re.compile(_CLOCK),),
}


def patterns_of(order: Order) -> list[str]:
    """The shapes of dates in an order, for a program that has to read them without this package."""
    return [one.pattern for one in _SHAPES[order]]


class Moment(NamedTuple):
    """A date, a time of the day, or both; None where the cell does not say."""

    day: date | None
    hour: float | None


def moment_of(cell: str, order: Order) -> Moment | None:
    """What a cell says; None where it is no date in this order, such as 31/02/2024."""
    found = next((m for shape in _SHAPES[order] if (m := shape.fullmatch(cell.strip()))), None)
    if found is None:
        return None
    said = found.groupdict()
    hour = None
    if said.get("hour") is not None:
        hour = _hour(said)
        if hour is None:
            return None
    if order == "time":
        return Moment(None, hour)
    month = _month(said)
    year = int(said["year"])
    if len(said["year"]) == 2:
        year += 1900 if year >= PIVOT else 2000
    try:
        return Moment(date(year, month, int(said.get("day") or 1)), hour)
    except ValueError:
        return None


def _month(said: dict[str, str | None]) -> int:
    """1 to 12; 0 for a word that names none."""
    word = (said.get("word") or "").lower()
    if word:
        return next((n for n, one in enumerate(MONTHS, 1) if word.startswith(one)), 0)
    return int(said.get("month") or 0)


def _hour(said: dict[str, str | None]) -> float | None:
    """Hours since midnight; None for 25:00."""
    hour, minute, second = (int(said.get(one) or 0) for one in ("hour", "minute", "second"))
    half = (said.get("half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "pm" else 0)
    return hour + minute / 60 + second / 3600 if hour < 24 and minute < 60 and second < 61 else None


def order_of(cells: Iterable[str | None], share: float = 1.0) -> Order | None:
    """The first order in which a share of the cells are dates (missing ones aside); None: none."""
    known = [cell for cell in cells if cell is not None]
    for order in ORDERS if known else ():
        bad, allowed = 0, len(known) - share * len(known)  # exact where (1 - 0.9) · 20 is below 2
        for cell in known:
            bad += moment_of(cell, order) is None
            if bad > allowed:
                break
        else:
            return order
    return None


def parts_of(order: Order, cells: Iterable[str | None]) -> tuple[Part, ...]:
    """The parts that the cells have."""
    if order == "time":
        return ("hour",)
    found = (moment_of(cell, order) for cell in cells if cell is not None)
    timed = any(one is not None and one.hour is not None for one in found)
    return PARTS if timed else PARTS[:-1]


def part_numbers(table: Table, name: str, part: Part, order: Order) -> np.ndarray:
    """float64 [M], NaN where missing.

    Raises:
        DataError: a cell that is no date in this order.
    """
    values = np.full(len(table), np.nan)
    for number, cell in enumerate(table.words(name)):
        if cell is None:
            continue
        found = moment_of(cell, order)
        if found is None:
            raise table.cell_error(
                f"is {shown(cell[:40])!r}, not a date with {WORDS[order]}",
                number,
                name,
                "table.not_a_date",
                "put it right, or leave the cell empty if it is missing",
            )
        values[number] = _number(found, part)
    return values


def _number(moment: Moment, part: Part) -> float:
    if part == "hour":
        return np.nan if moment.hour is None else moment.hour
    if moment.day is None:
        return np.nan
    day = moment.day
    by_part = {"year": day.year, "month": day.month, "day": day.day, "weekday": day.isoweekday()}
    return float(by_part[part])
