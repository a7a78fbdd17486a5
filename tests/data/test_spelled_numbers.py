"""Numbers as people spell them, columns without a name, and texts in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from metacli.data.tables.reader import parse_table
from metacli.data.user.open import list_task
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
        (("1 200", "3"), ",", None),  # a blank is no separator that is known
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
