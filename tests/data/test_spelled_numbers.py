"""Numbers as people spell them, columns without a name, and texts in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from metacli.data.tables.kinds import kind_of_column
from metacli.data.tables.reader import parse_table
from metacli.data.user.open import list_task
from metacli.engine.predicting.inputs import lines
from metacli.errors import DataError


def column(*cells: str, separator: str = ";") -> tuple[list[float] | None, tuple[str, ...]]:
    """What a column of these cells is read as, and what was guessed."""
    rows = "\n".join(f'{number}{separator}"{cell}"' for number, cell in enumerate(cells))
    table = parse_table(f"n{separator}v\n{rows}\n".encode(), "csv", "t.csv")
    try:
        return table.numbers("v").tolist(), table.guessed
    except DataError:
        return None, table.guessed


@pytest.mark.parametrize(
    ("cells", "separator", "wanted"),
    [
        (("$1,234.50", "$99", "-$3.25"), ",", [1234.5, 99.0, -3.25]),
        (("1,234", "12", "1,000,000"), ",", [1234.0, 12.0, 1e6]),
        (("1.234,50 €", "12,00 €"), ";", [1234.5, 12.0]),
        (("101.351,93", "7,5"), ";", [101351.93, 7.5]),
        (("12.5%", "7 %"), ",", [12.5, 7.0]),
        (("1 200", "3", "12 345,5"), ",", [1200.0, 3.0, 12345.5]),
        (("1\u202f200 €", "3\u00a0€"), ",", [1200.0, 3.0]),
        (("1'234.50", "7\u2019000"), ",", [1234.5, 7000.0]),
        (("\u22121.5", "2"), ",", [-1.5, 2.0]),
        (("030 123", "44 100"), ",", None),  # as telephone numbers begin
        (("$5", "€5"), ",", None),  # of two kinds of money nothing is made
        (("1,23", "4"), ",", None),  # neither thousands nor, beside commas, a decimal comma
        (("A, B", "C"), ",", None),
    ],
)
def test_a_column_is_numbers_where_every_cell_is_spelled_in_one_way(
    cells: tuple[str, ...], separator: str, wanted: list[float] | None
) -> None:
    found, guessed = column(*cells, separator=separator)
    assert found == wanted
    assert any(" in v" in one for one in guessed) == (wanted is not None)


@pytest.mark.parametrize("cell", ["$1,234.50", "101.351,93", "12.5%", "1.234,50 €"])
def test_a_row_by_itself_means_what_it_means_in_the_whole(cell: str) -> None:
    whole, _ = column(cell, cell.replace("3", "4"))
    alone, _ = column(cell)
    assert whole is not None
    assert alone == whole[:1]


def test_an_index_without_a_name_is_left_out_and_an_empty_last_column_is_no_column(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{n},{n % 7},{'uv'[n % 2]},\n" for n in range(14))
    (tmp_path / "t.csv").write_text(",a,label,\n" + rows)
    found = list_task(tmp_path / "t.csv")
    assert found.tables.roles.inputs == ("a",)
    assert any("left out: unnamed" in one for one in found.guessed)
    assert any("empty column without a name" in one for one in found.guessed)


def write(folder: Path, texts: dict[str, tuple[str, ...]]) -> Path:
    for label, cells in texts.items():
        (folder / label).mkdir(parents=True)
        for number, cell in enumerate(cells):
            (folder / label / f"{number}.txt").write_text(cell, encoding="utf-8")
    return folder


TEXTS = {"greet": ("hello", "good\nmorning", "你好"), "leave": ("bye", "see you", "ciao")}


def test_class_folders_of_text_files_are_a_task_of_texts(tmp_path: Path) -> None:
    found = list_task(write(tmp_path / "mine", TEXTS))
    assert (found.what, found.kind, found.labels) == ("task", "text", ("greet", "leave"))
    assert found.tables.support.texts("text")[:3] == ["hello", "good\nmorning", "你好"]
    assert "label = folder name" in found.guessed


def test_support_and_query_may_be_folders_of_texts(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "train", TEXTS)
    write(tmp_path / "mine" / "test", {name: cells[:1] for name, cells in TEXTS.items()})
    found = list_task(tmp_path / "mine")
    assert found.query is not None
    assert (len(found.support), len(found.query)) == (6, 2)


def test_files_that_are_no_texts_are_named_and_may_be_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", TEXTS)
    (folder / "greet" / "9.txt").write_bytes(b"caf\xe9")
    (folder / "leave" / "9.txt").write_text("  \n")
    with pytest.raises(DataError, match="2 problems") as caught:
        list_task(folder)
    assert {one.code for one in caught.value.findings} == {"data.not_text", "data.empty_text"}
    assert caught.value.hint is not None
    assert len(list_task(folder, skip_bad=True).support) == 6


def test_points_between_thousands_are_told_by_the_decimal_commas_of_other_columns() -> None:
    def people(*cells: str, other: str) -> list[float]:
        rows = "".join(f"{cell};{other}\n" for cell in cells)
        return parse_table(f"v;o\n{rows}".encode(), "csv", "t.csv").numbers("v").tolist()

    assert people("950", "1.234", other="0,5") == [950, 1234]
    assert people("950", "1.234", other="0.5") == [950, 1.234]  # here a point is a decimal one
    assert people("52.520", "13.405", other="0,5") == [52.52, 13.405]  # degrees


@pytest.mark.parametrize(
    "cells",
    [
        [f"{n},5" for n in range(9)] + ["-", "-"],
        [f"1.00{n},5 €" for n in range(9)] + ["k.A."],
        [f"{n},25" for n in range(25)] + ["-", "k.A."],
    ],
)
def test_a_mark_among_spelled_numbers_is_named(cells: list[str]) -> None:
    rows = "".join(f"{n % 2};{cell}\n" for n, cell in enumerate(cells))
    table = parse_table(f"n;v\n{rows}".encode(), "csv", "t.csv")
    place = next(n for n, cell in enumerate(cells) if cell[0] in "-k")
    with pytest.raises(DataError, match=f"row {place + 2}, column v of t.csv is") as caught:
        kind_of_column(table, "v", Path())
    assert caught.value.code == "table.not_a_number"


def test_categories_beside_a_sign_stay_what_they_are() -> None:
    table = parse_table(b"v;n\n5%;1\n10%;2\nnone at all;3\n", "csv", "t.csv")
    assert table.words("v") == ["5%", "10%", "none at all"]


def test_rows_without_a_text_are_counted_and_may_be_left_out(tmp_path: Path) -> None:
    rows = "".join(f'"{text}",{"ab"[n % 2]}\n' for n, text in enumerate(["x y", "", " ", *"pqrs"]))
    (tmp_path / "t.csv").write_text("text,label\n" + rows)
    with pytest.raises(DataError, match=r"row 3, column text.*so is one other row") as caught:
        list_task(tmp_path / "t.csv")
    assert "--skip-bad" in (caught.value.hint or "")
    found = list_task(tmp_path / "t.csv", skip_bad=True)
    assert (len(found.support), found.tables.unlabelled) == (5, 2)
    assert found.tables.support.row(1) == "t.csv:5"


def test_a_label_that_stands_for_a_missing_cell_is_named_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,label\n1,a\n2,None\n3,b\n")
    with pytest.raises(DataError, match="is 'None', which stands for a missing cell"):
        list_task(tmp_path / "t.csv")


def test_empty_lines_count_where_texts_are_numbered() -> None:
    found = lines(b"one\n\nthree\n", "stdin")
    assert [found.row(n) for n in range(len(found))] == ["stdin:1", "stdin:3"]
