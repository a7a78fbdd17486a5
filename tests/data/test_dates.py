"""Dates in cells: in which order they are written, and their parts."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from metacli.data.tables.dates import Moment, moment_of, order_of, part_numbers, parts_of
from metacli.data.tables.encoding import DatePart, Encoding
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.reader import Table, parse_table
from metacli.errors import DataError

DAY = date(2024, 3, 9)


def table_of(text: str) -> Table:
    return parse_table(text.encode(), "csv", "t.csv")


@pytest.mark.parametrize(
    ("cell", "order", "moment"),
    [
        ("2024-03-09", "ymd", Moment(DAY, None)),
        ("2024/3/9", "ymd", Moment(DAY, None)),
        ("2024-03-09T06:30:00Z", "ymd", Moment(DAY, 6.5)),
        ("2024-03-09 18:30:00.25+02:00", "ymd", Moment(DAY, 18.5)),
        ("2024-03", "ymd", Moment(date(2024, 3, 1), None)),
        ("09.03.2024", "dmy", Moment(DAY, None)),
        ("9/3/24", "dmy", Moment(DAY, None)),
        ("09-03-69", "dmy", Moment(date(1969, 3, 9), None)),
        ("9 March 2024", "dmy", Moment(DAY, None)),
        ("9-Mar-2024", "dmy", Moment(DAY, None)),
        ("03/09/2024 6:30 PM", "mdy", Moment(DAY, 18.5)),
        ("Mar 9, 2024", "mdy", Moment(DAY, None)),
        ("12:15 am", "time", Moment(None, 0.25)),
        ("23:45", "time", Moment(None, 23.75)),
    ],
)
def test_a_cell_says_its_day_and_hour(cell: str, order: str, moment: Moment) -> None:
    assert moment_of(cell, order) == moment  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cell",
    ["31/02/2024", "2024-13-01", "2024-01/02", "24:00", "13:00 pm", "9 Foo 2024", "1.5", "x"],
)
def test_what_is_no_date_is_none_in_any_order(cell: str) -> None:
    assert order_of([cell]) is None


def test_the_order_is_that_in_which_all_cells_are_dates() -> None:
    assert order_of(["03/04/2024", "12/25/2024"]) == "mdy"
    assert order_of(["03/04/2024", "25/12/2024"]) == "dmy"
    assert order_of(["03/04/2024", None]) == "dmy"
    assert order_of(["12/25/2024", "25/12/2024"]) is None
    assert order_of([None]) is None


def test_parts_are_those_that_the_cells_have() -> None:
    assert parts_of("ymd", ["2024-03-09"]) == ("year", "month", "day", "weekday")
    assert parts_of("ymd", ["2024-03-09", "2024-03-09 01:00"])[-1] == "hour"
    assert parts_of("time", ["01:00"]) == ("hour",)


def test_parts_agree_with_numpy_over_400_years() -> None:
    days = np.arange("1900-01-01", "2300-01-01", 97, dtype="datetime64[D]")
    table = table_of("when\n" + "".join(f"{day}\n" for day in days))
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]").astype(int) + 1970
    wanted = {
        "year": years,
        "month": months.astype(int) % 12 + 1,
        "day": (days - months).astype(int) + 1,
        "weekday": (days.astype(int) + 3) % 7 + 1,  # 1970-01-01 was a Thursday
    }
    for part, numbers in wanted.items():
        found = part_numbers(table, "when", part, "ymd")  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, numbers)


def test_an_encoding_keeps_the_parts_that_differ_and_reads_later_dates_in_its_own_order() -> None:
    table = table_of("when,y\n12/25/2024,1\n01/02/2024,2\n03/02/2024,3\n")
    encoding = fit_encoding([table], {"when": "date"})
    assert [one.part for one in encoding.columns if isinstance(one, DatePart)] == [
        *("month", "day", "weekday")
    ]
    assert encoding.names == ("when",)
    later = encoding.encode(table_of("when\n03/04/2024\n"))
    month = encoding.columns[0]
    assert isinstance(month, DatePart)
    assert later[0, 0] == pytest.approx((3 - month.mean) / month.scale)
    assert Encoding.from_dict(encoding.as_dict()) == encoding


def test_a_date_that_is_missing_is_one_number_more() -> None:
    table = table_of("when,y\n2024-01-01,1\n,2\n2023-02-03,3\n")
    encoding = fit_encoding([table], {"when": "date"})
    assert encoding.titles == (
        *("when: year", "when: year missing", "when: month", "when: day", "when: weekday"),
    )
    assert encoding.encode(table)[1].tolist() == [0, 1, 0, 0, 0]


def test_a_later_cell_that_is_no_such_date_is_named() -> None:
    encoding = fit_encoding([table_of("when\n25/12/2024\n02/01/2023\n")], {"when": "date"})
    with pytest.raises(DataError, match=r"row 3, column when of t.csv is '12/25/2024'"):
        encoding.encode(table_of("when\n01/02/2024\n12/25/2024\n"))
