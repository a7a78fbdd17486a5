"""What the columns of a table are taken for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.data.tables.choice import Choice
from metacli.data.tables.columns import assign
from metacli.data.tables.kinds import (
    is_id_name,
    kind_of_column,
    kinds_of_columns,
    plainly_numeric,
)
from metacli.data.tables.leaks import leaks
from metacli.data.tables.reader import MANY, Table, parse_table, read_table
from metacli.data.tables.targets import type_of_target
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


def test_a_table_without_a_line_of_names_is_told_what_it_lacks() -> None:
    with pytest.raises(DataError) as caught:
        assign(table_of("1.25,red,-0.5\n2.75,blue,.25\n"), Choice(), HERE)
    assert "put a line with column names before it" in (caught.value.hint or "")
    with pytest.raises(DataError) as caught:  # wavelengths are names
        assign(table_of("900.5,910.5,label,class\n1,2,a,b\n"), Choice(), HERE)
    assert (caught.value.hint or "").startswith("--target label")


def test_a_column_called_text_makes_a_table_of_text() -> None:
    roles = assign(table_of("id,text,label\n1,hello you,a\n2,bye,b\n"), Choice(), HERE)
    assert (roles.kind, roles.inputs) == ("text", ("text",))
    assert "id" in roles.findings[0].message


def test_a_single_input_of_words_is_text() -> None:
    table = table_of("utterance,n,label\nhello you,1,a\nbye,2,b\n")
    assert assign(table, Choice(inputs=("utterance",)), HERE).kind == "text"
    assert assign(table, Choice(inputs=("n",)), HERE).kind == "table"


def test_dates_are_inputs_and_their_order_is_reported() -> None:
    rows = "".join(f"{i:02}/{1 + i % 12:02}/2024,{i * i},{'pq'[i % 2]}\n" for i in range(1, 25))
    roles = assign(table_of("when,a,y\n" + rows), Choice(), HERE)
    assert roles.kinds["when"] == "date"
    assert "column when = dates, the day first" in roles.guessed


def test_constant_columns_and_names_of_rows_are_reported() -> None:
    rows = "".join(f"person{i},7,{i % 3},{'pq'[i % 2]}\n" for i in range(24))
    roles = assign(table_of("who,same,a,y\n" + rows), Choice(), HERE)
    assert roles.inputs == ("same", "a")
    assert {one.code for one in roles.findings} == {"table.constant", "table.identifier"}


def test_numbers_of_the_rows_are_left_out_and_reported() -> None:
    rows = "".join(f"{i},{100 + 7 * i},{i * i},{'pq'[i % 2]}\n" for i in range(12))
    roles = assign(table_of("n,customer_id,a,y\n" + rows), Choice(), HERE)
    assert roles.inputs == ("a",)
    assert "left out: n, customer_id" in roles.guessed
    assert all("numbers the rows" in one.message for one in roles.findings)


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "userId", "uuid", "Index", "row key"])
def test_identifiers_are_known_by_their_names(name: str) -> None:
    assert is_id_name(name)


@pytest.mark.parametrize("name", ["paid", "humidity", "grid", "monkey", "acid", "avoid", "idea"])
def test_words_that_end_like_an_identifier_are_none(name: str) -> None:
    assert not is_id_name(name)


def test_a_column_that_counts_is_read_where_it_is_asked_for() -> None:
    rows = "".join(f"{i},{i * i},{i / 2}\n" for i in range(12))
    roles = assign(table_of("day,a,y\n" + rows), Choice(inputs=("day", "a")), HERE)
    assert (roles.inputs, roles.kinds["day"]) == (("day", "a"), "numeric")


def test_years_and_other_distinct_integers_are_numbers() -> None:
    rows = "".join(f"{1990 + i},{3 * i},{i / 2}\n" for i in range(20))
    roles = assign(table_of("year,a,y\n" + rows), Choice(), HERE)
    assert roles.inputs == ("year", "a")


SENTENCES = [f"the {w} thing came on day {i} and was fine" for i, w in enumerate("abcdefghijkl")]


def test_free_text_beside_numbers_is_left_out_and_reported() -> None:
    rows = "".join(f"{one},{i * i},{'pq'[i % 2]}\n" for i, one in enumerate(SENTENCES))
    roles = assign(table_of("comment,a,y\n" + rows), Choice(), HERE)
    assert (roles.kind, roles.inputs) == ("table", ("a",))
    assert roles.findings[0].hint == "--input comment reads it instead of them"


def test_free_text_alone_is_read_as_text() -> None:
    rows = "".join(f"{i},{one},{'pq'[i % 2]}\n" for i, one in enumerate(SENTENCES))
    roles = assign(table_of("id,comment,y\n" + rows), Choice(), HERE)
    assert (roles.kind, roles.inputs) == ("text", ("comment",))
    assert "text = column comment" in roles.guessed


def test_free_text_among_columns_that_are_asked_for_is_an_error() -> None:
    rows = "".join(f"{one},{i * i},{'pq'[i % 2]}\n" for i, one in enumerate(SENTENCES))
    with pytest.raises(DataError, match=r"column comment .* free text"):
        assign(table_of("comment,a,y\n" + rows), Choice(inputs=("comment", "a")), HERE)


def test_a_wild_cell_is_named_with_its_row() -> None:
    rows = "".join(f"{'1e30' if i == 5 else i * i},{'pq'[i % 2]}\n" for i in range(30))
    roles = assign(table_of("a,y\n" + rows), Choice(), HERE)
    assert roles.findings[0].code == "table.wild_cell"
    assert "row 7, column a of t.csv is 1e+30, the others are 0 to 841" in roles.findings[0].message


def test_one_word_in_a_column_of_numbers_is_a_mistake_and_not_a_category() -> None:
    rows = "".join(f"{i if i != 17 else 'many'},{'pq'[i % 2]}\n" for i in range(30))
    with pytest.raises(DataError, match="row 19, column a"):
        assign(table_of("a,y\n" + rows), Choice(), HERE)


def test_a_column_of_existing_images_makes_a_table_of_images(tmp_path: Path) -> None:
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


def kind(cells: list[str], name: str = "c") -> str:
    """What a column is taken for, beside one of numbers."""
    table = table_of(f"{name},n\n" + "".join(f"{one},{i % 3}\n" for i, one in enumerate(cells)))
    return kind_of_column(table, name, HERE)


NUMBERS = [f"{n * n + 0.5}" for n in range(30)]
DATES = [f"2024-03-{day:02}" for day in range(1, 30)]
WORDS = ["red", "green", "blue", "grey", "black", "white", "pink", "lime", "rose", "teal"]


@pytest.mark.parametrize(
    ("numbers", "words", "mistaken", "dated"),
    [(18, 2, True, True), (17, 3, False, False), (18, 1, True, False)],
)
def test_nine_numbers_in_ten_of_twenty_cells_make_the_others_mistakes(
    numbers: int, words: int, mistaken: bool, dated: bool
) -> None:
    cells = [*NUMBERS[:numbers], *WORDS[:words]]
    if mistaken:
        with pytest.raises(DataError, match="row 20, column c"):
            kind(cells)
    else:
        assert kind(cells) == "identifier"  # other words in every row
    dates = [*DATES[:numbers], *WORDS[:words]]
    assert kind(dates) == ("date" if dated else "identifier")


@pytest.mark.parametrize(
    ("cells", "name", "wanted"),
    [
        (WORDS[:1] * 2, "c", "constant"),
        (WORDS[:2], "c", "categorical"),
        (WORDS[:9], "c", "categorical"),
        (WORDS[:10], "c", "identifier"),
        ([*WORDS[:9], "red"], "c", "categorical"),
        (list(map(str, range(10))), "c", "identifier"),
        (list(map(str, range(9))), "c", "numeric"),
        (list(map(str, range(1, 11))), "c", "identifier"),
        (list(map(str, range(2, 12))), "c", "numeric"),
        (list(map(str, range(2, 12))), "id", "identifier"),
        (list(map(str, range(2, 11))), "id", "numeric"),
        ([str(n / 2) for n in range(10)], "id", "numeric"),
        ([*map(str, range(5, 11)), *["7"] * 4], "patient_id", "identifier"),
        ([*map(str, range(5, 10)), *["7"] * 5], "patient_id", "numeric"),
        ([*map(str, range(5, 11)), *["7"] * 4], "heat index", "numeric"),
        ([*map(str, range(5, 11)), *["7"] * 3], "patient_id", "numeric"),
        ([*WORDS[:6], *["red"] * 4], "Individual ID", "identifier"),
        ([*WORDS[:5], *["red"] * 5], "Individual ID", "categorical"),
        ([*WORDS[:6], *["red"] * 4], "individual", "categorical"),
        ([f"{word} as it comes" for word in WORDS[:4]] * 2, "c", "categorical"),
        ([f"{word} as it comes" for word in [*WORDS[:5], *WORDS[:4]]], "c", "text"),
        ([f"{word} as is" for word in WORDS[:8]], "c", "categorical"),
    ],
)
def test_what_a_column_is_taken_for_on_either_side_of_each_rule(
    cells: list[str], name: str, wanted: str
) -> None:
    """Ten rows for names of rows; counting from 0 or 1; more than half of the cells different for
    names of what rows are of; four words, and more than half different, for texts."""
    assert kind(cells, name) == wanted


def test_a_wide_table_is_read_as_a_narrow_one(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    kinds = {
        "number": [f"{one:.3f}" for one in draw.normal(size=30)],
        "gaps": ["" if n % 7 == 0 else f" {n / 8} " for n in range(30)],
        "same": ["4"] * 30,
        "row_id": [str(n * n) for n in range(30)],
        "count": [str(n + 1) for n in range(30)],
        "word": ["red" if n % 2 else "blue" for n in range(30)],
        "na": ["NA" if n == 3 else str(n % 5) for n in range(30)],
    }
    for wide in (False, True):
        more = {f"x{n}": kinds["number"] for n in range(MANY)} if wide else {}
        table = {**kinds, **more}
        rows = "\n".join(",".join(row) for row in zip(*table.values(), strict=True))
        (tmp_path / f"{wide}.csv").write_text(f"{','.join(table)}\n{rows}\n")
    narrow, many = (read_table(tmp_path / f"{wide}.csv") for wide in (False, True))
    assert (narrow.is_wide, many.is_wide) == (False, True)
    for name in kinds:
        assert kind_of_column(narrow, name, tmp_path) == kind_of_column(many, name, tmp_path)
        if name != "word":
            np.testing.assert_array_equal(narrow.numbers(name), many.numbers(name))
    at_once = kinds_of_columns(many, many.columns, tmp_path)
    assert at_once == {one: kind_of_column(many, one, tmp_path) for one in many.columns}
    assert list(at_once) == list(many.columns)
    assert {"number", "x0"} <= plainly_numeric(many)
    assert not plainly_numeric(many) & {"gaps", "same", "row_id", "count", "word", "na"}
    with pytest.raises(DataError, match="row 3, column word"):
        many.rows([1, 2]).numbers("word")


def test_a_wild_cell_of_a_wide_table_is_named_and_one_that_is_too_large_refused() -> None:
    draw = np.random.default_rng(0)
    cells = [[f"{one:.3f}" for one in row] for row in draw.normal(size=(30, MANY + 1))]
    names = [f"x{n}" for n in range(MANY + 1)]
    cells[4][7], cells[6][9] = "1e9", ""

    def table() -> Table:
        rows = [",".join([*row, "ab"[n % 2]]) for n, row in enumerate(cells)]
        return table_of("\n".join([",".join([*names, "label"]), *rows]) + "\n")

    wild = [one for one in assign(table(), Choice(), HERE).findings if one.code]
    assert [(one.code, one.where) for one in wild] == [("table.wild_cell", "t.csv:6, column x7")]
    cells[5][8] = "1e31"
    with pytest.raises(DataError, match=r"row 7, column x8 of t\.csv is '1e31', beyond"):
        assign(table(), Choice(), HERE)


def test_a_large_table_is_read_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = " 1 ,na,red\n nan,-2e3, blue\n3, ,\n4,inf,NA\n5.0,x,red"
    content = f"a,b,c\n{cells}\n".encode()
    small = parse_table(content, "csv", "small.csv")
    assert small.is_small
    monkeypatch.setattr("metacli.data.tables.cells.FEW", 0)
    large = parse_table(content, "csv", "large.csv")
    assert not large.is_small
    for name in "abc":
        assert small.words(name) == large.words(name)
        for one, other in zip(small.parsed(name), large.parsed(name), strict=True):
            np.testing.assert_array_equal(one, other)
    assert small.words("a") == ["1", None, "3", "4", "5.0"]
    assert small.keys("ca") == large.keys("ca")
    assert len(set(small.keys("ca"))) == 5
