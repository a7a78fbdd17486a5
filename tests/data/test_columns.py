"""What the columns of a table are taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from metacli.data.tables.choice import Choice
from metacli.data.tables.columns import assign, leaks, type_of_target
from metacli.data.tables.reader import Table, parse_table
from metacli.errors import DataError

HERE = Path()


def table_of(text: str) -> Table:
    return parse_table(text.encode(), "csv", "t.csv")


def test_the_only_column_of_a_known_name_is_the_target() -> None:
    roles = assign(table_of("a,b,label\n1,x,p\n2,y,q\n"), Choice(), HERE)
    assert (roles.target, roles.inputs) == ("label", ("a", "b"))
    assert roles.kinds == {"a": "numeric", "b": "categorical"}
    assert "target = column label" in roles.guessed


@pytest.mark.parametrize("header", ["a,b,c", "label,y,c"])
def test_no_target_or_two_list_the_columns(header: str) -> None:
    with pytest.raises(DataError) as caught:
        assign(table_of(f"{header}\n1,2,3\n"), Choice(), HERE)
    assert caught.value.code == "table.no_target"
    assert all(name in caught.value.message for name in header.split(","))
    assert "--target" in (caught.value.hint or "")


def test_a_column_called_text_makes_a_table_of_text() -> None:
    roles = assign(table_of("id,text,label\n1,hello you,a\n2,bye,b\n"), Choice(), HERE)
    assert (roles.kind, roles.inputs) == ("text", ("text",))
    assert "id" in roles.findings[0].message


def test_a_single_input_of_words_is_text() -> None:
    table = table_of("utterance,n,label\nhello you,1,a\nbye,2,b\n")
    assert assign(table, Choice(inputs=("utterance",)), HERE).kind == "text"
    assert assign(table, Choice(inputs=("n",)), HERE).kind == "table"


def test_dates_are_refused_by_name_with_the_way_out() -> None:
    with pytest.raises(DataError) as caught:
        assign(table_of("when,a,y\n2024-01-02,1,p\n2024-03-01,2,q\n"), Choice(), HERE)
    assert "when" in caught.value.message
    assert "--input a" in (caught.value.hint or "")


def test_constant_columns_and_names_of_rows_are_said() -> None:
    rows = "".join(f"person{i},7,{i % 3},{'pq'[i % 2]}\n" for i in range(24))
    roles = assign(table_of("who,same,a,y\n" + rows), Choice(), HERE)
    assert roles.inputs == ("same", "a")
    assert {one.code for one in roles.findings} == {"table.constant", "table.identifier"}


def test_one_word_in_a_column_of_numbers_is_a_mistake_and_not_a_category() -> None:
    rows = "".join(f"{i if i != 17 else 'many'},{'pq'[i % 2]}\n" for i in range(30))
    with pytest.raises(DataError, match="row 19, column a"):
        assign(table_of("a,y\n" + rows), Choice(), HERE)


def test_a_column_of_existing_pictures_makes_a_table_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"x")
    roles = assign(table_of("file,label\none.png,a\ntwo.png,b\n"), Choice(), tmp_path)
    assert (roles.kind, roles.inputs) == ("images", ("file",))


@pytest.mark.parametrize(
    ("name", "cells", "wanted"),
    [
        ("label", ["yes", "no"], "classification"),
        ("y", ["true", "false"], "classification"),
        ("y", ["1", "2", "3"], "classification"),
        ("y", [str(i) for i in range(21)], "regression"),
        ("label", [str(i) for i in range(21)], "classification"),
        ("label", ["1.5", "2"], "regression"),
        ("y", ["1.0", "2.0"], "classification"),
    ],
)
def test_the_type_of_a_target(name: str, cells: list[str], wanted: str) -> None:
    assert type_of_target(name, cells, Choice())[0] == wanted
    assert type_of_target(name, cells, Choice(type="regression"))[0] == "regression"


def test_a_column_that_tells_the_target_is_suspected() -> None:
    rows = "".join(f"{i % 2},{i % 3},{2.0 * i + 1},{'pq'[i % 2]},{i}\n" for i in range(12))
    table = table_of("code,a,twice,label,size\n" + rows)
    found = leaks(table, "label", ("code", "a"), "classification")
    assert ["code" in one.message for one in found] == [True]
    found = leaks(table, "size", ("twice", "a"), "regression")
    assert ["twice" in one.message for one in found] == [True]
