"""A mark among numbers, units behind them, and what is said of such columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from metacli.data.tables.strays import look_like_numbers, stray_cell
from metacli.data.user.open import list_task, look
from metacli.errors import DataError

FRACTIONS = [f"{n * n / 7:.3f}" for n in range(1, 31)]
WHOLE = [str(n) for n in range(30)]


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ([*FRACTIONS, "-", "-"], "-"),
        ([*FRACTIONS[:12], *["n.v."] * 10], "n.v."),
        ([*FRACTIONS, "-", "n.v."], "-"),
        ([*WHOLE, "-"], "-"),
        (FRACTIONS, None),
        (["1", "2", "3+"] * 9, None),  # names of rooms
        ([*FRACTIONS[:9], "red", "blue"], None),  # too few to call them mistakes
        ([*FRACTIONS[:5], *["-"] * 6], None),
        (["1.5", "2.5", "none"] * 9, None),
    ],
)
def test_a_stray_cell_is_found_among_a_quantity(cells: list[str], wanted: str | None) -> None:
    assert stray_cell(cells) == wanted


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ([f"{n} kg" for n in range(30)], True),
        ([f"({n}.5)" for n in range(30)], True),
        ([f"A{n}" for n in range(30)], False),
        (["2 rooms", "3 rooms"] * 20, False),
    ],
)
def test_quantities_in_words(cells: list[str], wanted: bool) -> None:
    assert look_like_numbers(cells) is wanted


def table(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text(head + "\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_a_mark_in_the_target_does_not_make_a_class_of_every_number(tmp_path: Path) -> None:
    rows = [f"{n % 9},{cell}" for n, cell in enumerate([*FRACTIONS, "-", "-"])]
    with pytest.raises(DataError, match="no number in 2 of 32 rows, the first '-'") as caught:
        list_task(table(tmp_path / "t.csv", "x,y", rows))
    assert caught.value.hint is not None
    assert "--type classification" in caught.value.hint


def test_one_table_with_a_mark_does_not_change_the_others_of_a_folder(tmp_path: Path) -> None:
    for name in "abc":
        cells = [*FRACTIONS, *(["-"] if name == "b" else [])]
        table(tmp_path / f"{name}.csv", "x,y", [f"{n % 9},{cell}" for n, cell in enumerate(cells)])
    found = look(tmp_path).listing
    assert [one.tables.type for one in found.children] == ["regression", "regression"]
    assert ["b.csv" in one.message for one in found.findings if one.level == "error"] == [True]


def test_units_and_gaps_are_told(tmp_path: Path) -> None:
    rows = [f"{n} kg,{'x' if n % 3 else ''},only,{n % 7 + 0.5}" for n in range(30)]
    found = list_task(table(tmp_path / "t.csv", "w,pool,same,y", rows))
    said = {one.code: one.message for one in found.findings}
    assert "such as '0 kg'" in said["table.numbers_in_words"]
    assert said["table.constant"].endswith(": same")  # x or nothing does tell something


def test_a_single_column_of_units_is_no_text(tmp_path: Path) -> None:
    rows = [f"{n} kg,{n % 7 + 0.5}" for n in range(30)]
    with pytest.raises(DataError, match="no column to predict from") as caught:
        list_task(table(tmp_path / "t.csv", "w,y", rows))
    assert caught.value.hint is not None
    assert "plain numbers" in caught.value.hint


@pytest.mark.parametrize("name", ["photos.zip", "book.xlsx"])
def test_an_archive_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(DataError, match="a ZIP archive or an Excel workbook") as caught:
        list_task(tmp_path / name)
    assert caught.value.hint == "unpack it first, or save the sheet as CSV"
