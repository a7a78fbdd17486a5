"""The one reader of tables: what it accepts, and what it refuses by row and column."""

from __future__ import annotations

import csv
import io
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from metacli.data.tables import formats
from metacli.data.tables.formats import MAX_FIELD
from metacli.data.tables.lines import MAX_LINE
from metacli.data.tables.reader import Table, parse_table, read_table
from metacli.errors import DataError


def refused(content: bytes, ending: str = "csv") -> DataError:
    with pytest.raises(DataError) as caught:
        parse_table(content, ending, f"t.{ending}")
    return caught.value


def parquet(**columns: list[object]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


def test_a_byte_order_mark_crlf_quotes_and_empty_lines_are_accepted() -> None:
    table = parse_table(b'\xef\xbb\xbfa,b\r\n1,"x, ""y""\r\nz"\r\n\r\n2,w\r\n', "csv", "t.csv")
    assert table.columns == ("a", "b")
    assert table.words("b") == ['x, "y"\r\nz', "w"]


def test_semicolons_of_a_european_csv_are_found_and_reported() -> None:
    table = parse_table(b"a;b\n1,5;2\n", "csv", "t.csv")
    assert table.columns == ("a", "b")
    assert table.guessed == ("columns are separated by semicolons", "decimal commas in a")
    assert table.numbers("a").tolist() == [1.5]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "dat"])
def test_whatever_separates_the_columns_is_found_in_the_first_rows(mark: str, ending: str) -> None:
    rows = [["name", "size, in m", "y"], ['say "a;b|c"', "1.5", "p"], ["x", "2", "q"]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=mark).writerows(rows)
    table = parse_table(buffer.getvalue().encode(), ending, "t")
    assert table.columns == ("name", "size, in m", "y")
    assert table.words("name") == ['say "a;b|c"', "x"]
    usual = {"csv": ",", "tsv": "\t"}.get(ending)
    assert bool(table.guessed) == (mark != usual)


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\r\n', "\ufeffsep=;\n", "SEP=;;;\n"])
def test_a_first_line_that_names_the_separator_is_no_header(first: str) -> None:
    table = parse_table((first + "a;b;kind\n1,5;x,y,z;u\n2,5;x;v\n").encode(), "csv", "t.csv")
    assert table.columns == ("a", "b", "kind")
    assert table.frame["b"].to_list() == ["x,y,z", "x"]
    assert table.number_of(0) == 3  # as an editor counts


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("a;b\n1;2\n1;2;3\n", "row 4 of t.csv has 3 cells"),
        ("a;;b\n1;2;3\n", "column 2 of t.csv has no name in row 2"),
        ('a;b\n1;2\n3;"4\n', "row 4 of t.csv, after '1'"),
        ("a;b\n1;2\n3;\udce9\n", "row 4, column b of t.csv is not UTF-8"),
    ],
)
def test_rows_after_a_line_that_names_the_separator_are_those_of_the_file(
    rest: str, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        parse_table(("sep=;\n" + rest).encode("utf-8", "surrogateescape"), "csv", "t.csv")


def test_texts_with_semicolons_stay_whole_in_a_csv() -> None:
    table = parse_table(b"text,label\na;b;c,p\nd;e;f,q\n", "csv", "t.csv")
    assert table.columns == ("text", "label")


def test_a_comma_in_a_file_of_tabs_stands_between_thousands() -> None:
    table = parse_table(b"a\tb\n1,500\t2\n", "tsv", "t.tsv")
    assert table.words("a") == ["1500"]
    assert table.guessed == ("commas between thousands in a",)


def test_a_workbook_is_not_read_as_text() -> None:
    with pytest.raises(DataError, match="Excel workbook") as caught:
        parse_table(b"PK\x03\x04" + bytes(20), "csv", "t.csv")
    assert caught.value.hint == "unpack it first, or save the sheet as CSV"


def test_a_line_without_an_end_costs_no_more_than_itself() -> None:
    content = b'a,b\n1,"' + b"x" * (MAX_LINE + 9)
    tracemalloc.start()
    with pytest.raises(DataError, match="a line of more than 64 MiB") as caught:
        parse_table(content, "csv", "t.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.code, caught.value.where) == ("table.huge_field", "t.csv:2")
    assert peak < 2**22


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_of_many_blocks_come_back_in_their_order(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "BLOCK", 3)
    columns = {"a": [str(i) for i in range(10)], "b": [f"w{i}" for i in range(10)]}
    lines = zip(columns["a"], columns["b"], strict=True)
    content = {
        "csv": ("a,b\n" + "".join(f"{a},{b}\n" for a, b in lines)).encode(),
        "jsonl": "".join(json.dumps({"a": a, "b": f"w{a}"}) + "\n" for a in columns["a"]).encode(),
        "parquet": parquet(**columns),
    }[ending]
    table = parse_table(content, ending, "t")
    assert [table.words(one) for one in table.columns] == [columns["a"], columns["b"]]


def test_a_key_that_only_later_lines_have_is_missing_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formats, "BLOCK", 2)
    rows = [{"a": 1}, {"a": 2}, {"b": 3}, {"a": 4, "b": 5}, {"b": 6}]
    table = parse_table("\n".join(map(json.dumps, rows)).encode(), "jsonl", "t.jsonl")
    assert table.words("a") == ["1", "2", None, "4", None]
    assert table.words("b") == [None, None, "3", "5", "6"]


def test_numbers_that_leave_no_room_for_their_squares_are_refused() -> None:
    table = parse_table(b"a,b\n1,2\n1e200,3\n", "csv", "t.csv")
    with pytest.raises(DataError, match=r"row 3, column a of t.csv is '1e200', beyond"):
        table.numbers("a")


@pytest.mark.parametrize(
    ("content", "code", "where"),
    [
        (b"a,b\n1,2\n1,2,3\n", "table.ragged", "t.csv:3, column b"),
        (b"a,b\n1,2\n1\n", "table.ragged", "t.csv:3, column b"),
        (b"a,a\n1,2\n", "table.same_name", "t.csv:1, column a"),
        (b"^a.*$,b\n1,2\n", "table.pattern_name", "t.csv:1, column ^a.*$"),
        (b"a,,b\n0,2,1\n", "table.no_name", "t.csv:1, column 2"),
        ("a,b\n1,x\n2,caf\xe9\n".encode("latin-1"), "table.encoding", "t.csv:3, column b"),
        (b"a,b\n1,x\n\x00,y\n", "table.encoding", "t.csv:3, column a"),
        ("a,b\n1,2\n".encode("utf-16"), "table.encoding", "t.csv:1, column 1"),
        (b'a,b\n1,2\n3,"open\n', "table.quotes", "t.csv:3"),
        (b'a,b\n1,"' + b"x" * (MAX_FIELD + 9) + b'"\n', "table.huge_field", "t.csv:2"),
        (b"", "table.empty", "t.csv"),
        (b"a,b\n", "table.empty", "t.csv"),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused_by_row_and_column(
    content: bytes, code: str, where: str
) -> None:
    error = refused(content)
    assert (error.code, error.where) == (code, where)
    assert error.exit_code == 3


def test_comment_lines_above_the_header_are_named() -> None:
    error = refused(b"# from a web page\na,b\n1,2\n")
    assert error.hint == "leave out the comment lines above the names of the columns"


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "seven"])
def test_a_cell_that_is_no_finite_number_is_named(cell: str) -> None:
    table = parse_table(f"a,b\n1,2\n3,{cell}\n".encode(), "csv", "t.csv")
    with pytest.raises(DataError, match="row 3, column b") as caught:
        table.numbers("b")
    assert caught.value.where == "t.csv:3, column b"


def test_an_empty_cell_is_missing_and_not_a_number() -> None:
    table = parse_table(b"a,b\n1,\n3, NA \n5,6\n", "csv", "t.csv")
    assert table.words("b") == [None, None, "6"]
    assert str(table.numbers("b").tolist()) == "[nan, nan, 6.0]"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"a": NaN}', "NaN is not a finite number"),
        ('{"a": [1]}', "list or an object"),
        ('{"a": 1, "a": 2}', "key 'a' twice"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"a": "\\u0000"}', "NUL"),
        ("[1]", "not an object"),
        ("{", "row 2"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=["nan", "nested", "twice", "surrogate", "nul", "array", "cut", "deep"],
)
def test_a_line_that_is_no_flat_object_is_refused_by_its_number(line: str, says: str) -> None:
    error = refused(b'{"a": 1}\n' + line.encode() + b"\n", "jsonl")
    assert says in error.message
    assert error.where == "t.jsonl:2"


def test_json_lines_and_parquet_give_the_cells_of_the_same_csv() -> None:
    rows = [{"a": 0.1, "b": "x", "c": True}, {"a": None, "b": "y", "c": False}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    packed = parquet(a=[0.1, None], b=["x", "y"], c=[True, False])
    written = b"a,b,c\n0.1,x,true\n,y,false\n"
    tables = [
        parse_table(content, ending, "t")
        for content, ending in ((lines, "jsonl"), (packed, "parquet"), (written, "csv"))
    ]
    cells = [[table.words(name) for name in "abc"] for table in tables]
    assert cells[0] == cells[1] == cells[2]
    assert cells[0][0] == ["0.1", None]


def test_a_parquet_column_of_lists_is_refused_by_name() -> None:
    error = refused(parquet(x=[1], deep=[[1, 2]]), "parquet")
    assert error.code == "table.nested"
    assert "deep" in error.message


def test_a_damaged_parquet_is_an_error_and_not_the_end_of_the_process() -> None:
    whole = bytearray(parquet(a=[1.5, None, 2.0], b=["x", "y", "z"]))
    whole[20:60] = b"\xff" * 40
    assert refused(bytes(whole), "parquet").code == "table.parquet"
    assert refused(b"PAR1", "parquet").code == "table.parquet"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_mutated_tables_are_read_or_refused(ending: str) -> None:
    seeds = {
        "csv": b'a,b,label\n1,"x ""y""",yes\n2,,no\n3,z\xc3\xa9,yes\n',
        "tsv": b'a\tb\tlabel\n1\t"x"\tyes\n2\t\tno\n',
        "jsonl": b'{"a": 1, "b": "x"}\n{"a": null, "b": "\xc3\xa9"}\n{"a": 2.5e3, "b": true}\n',
    }
    rng = random.Random(7)
    refusals = 0
    for _ in range(600):
        content = bytearray(seeds[ending])
        for _ in range(rng.randint(1, 5)):
            place = rng.randrange(len(content))
            piece = rng.choice(
                [b"", b'"', b"\0", b"\r", b"\n", b",", b"\xff", bytes([place % 256])]
            )
            content[place : place + rng.randint(0, 2)] = piece
        try:
            table = parse_table(bytes(content), ending, "t")
        except DataError:
            refusals += 1
        else:
            assert all(len(table.words(name)) == len(table) for name in table.columns)
    assert 0 < refusals < 600


def test_a_table_is_read_by_the_ending_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "T.TSV").write_bytes(b"a\tb\n1,5\t2\n")
    assert read_table(tmp_path / "T.TSV").words("a") == ["1,5"]
    (tmp_path / "link.csv").symlink_to(tmp_path / "T.TSV")
    with pytest.raises(DataError, match="symbolic link"):
        read_table(tmp_path / "link.csv")


def test_a_column_that_is_not_there_is_answered_with_the_nearest() -> None:
    table = parse_table(b"age,income\n1,2\n", "csv", "t.csv")
    with pytest.raises(DataError) as caught:
        table.require("incmoe")
    assert caught.value.hint == "did you mean 'income'?"


def test_rows_are_told_apart_by_their_words_blanks_and_missing_cells_aside() -> None:
    table = parse_table(b"a,b,c\n x ,1,2\nx,1,5\n,NA,1\n?,null,9\nNone,x,2\n", "csv", "t.csv")
    rows = list(zip(table.words("b"), table.words("a"), strict=True))
    assert rows == [("1", "x"), ("1", "x"), (None, None), (None, None), ("x", None)]
    keys = table.keys(["b", "a"])
    assert [keys.index(key) for key in keys] == [rows.index(row) for row in rows]
    shifted = parse_table(b"a,b,c\n1,,2\n,1,2\n1,2,\n12,,\n", "csv", "t.csv")
    assert len(set(shifted.keys(["a", "b", "c"]))) == 4
    assert table.keys([]) == ["()"] * 5


def test_a_table_that_somebody_has_is_parsed_once_and_a_changed_file_again(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    table = read_table(path)
    assert read_table(path) is table
    path.write_text("a\n2\n")
    assert read_table(path).words("a") == ["2"]
    assert parse_table(b"a\n1\n", "csv", "other.csv").name == "other.csv"


@pytest.mark.parametrize("ask", [Table.words, Table.numbers, Table.parsed, Table.texts])
def test_a_column_that_is_not_there_is_named(ask: Callable[[Table, str], object]) -> None:
    table = parse_table(b"size,price\n1,2\n", "csv", "t.csv")
    with pytest.raises(DataError, match="no column 'sise'") as caught:
        ask(table, "sise")
    assert caught.value.hint == "did you mean 'size'?"
