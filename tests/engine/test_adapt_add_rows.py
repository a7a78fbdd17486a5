"""`adapt --add` for rows of tables and texts: as if all of them had stood in one table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from test_adapt_add import assert_same_model
from test_adapt_rows import TOPICS, write_texts, write_town
from test_adapt_rows import number_model as number_model
from test_adapt_rows import text_model as text_model
from test_feature_source import embeddings, write

from metacli.engine.adapt import adapt
from metacli.engine.models.folder import load
from metacli.engine.predict import predict
from metacli.engine.report import report
from metacli.errors import DataError

pytestmark = pytest.mark.usefixtures("workplace")


def rows_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def cut(whole: str, at: int, first: str, more: str) -> None:
    """Two tables of the rows of one."""
    header, *rows = rows_of(whole)
    Path(first).write_text("\n".join([header, *rows[:at]]) + "\n")
    Path(more).write_text("\n".join([header, *rows[at:]]) + "\n")


def as_format(path: str, ending: str) -> str:
    """The same table in another format."""
    frame = pl.read_csv(path, infer_schema_length=0)
    target = str(Path(path).with_suffix(f".{ending}"))
    if ending == "tsv":
        frame.write_csv(target, separator="\t")
    elif ending == "jsonl":
        lines = [json.dumps(row) for row in frame.iter_rows(named=True)]
        Path(target).write_text("\n".join(lines) + "\n")
    elif ending == "parquet":
        frame.write_parquet(target)
    return target


def assert_same_weights(one: str, other: str) -> None:
    a, b = load(Path(one)).params, load(Path(other)).params
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_texts_of_a_new_class_are_added(text_model: str, ending: str) -> None:
    write_texts(Path("whole.csv"), TOPICS[:3])
    cut("whole.csv", 9, "first.csv", "more.csv")  # the third class is new
    at_once = adapt(text_model, "whole.csv", out="at once")
    adapt(text_model, "first.csv", out="mine")
    result = adapt("mine", as_format("more.csv", ending), add=True, out="mine2")
    assert_same_model("mine2", "at once")
    assert (result["added"], result["task"]["labels"]) == (9, sorted(TOPICS[:3]))
    for key in ("score", "transfer", "calibration"):
        assert result[key] == at_once[key], key


def test_one_row_of_one_class_is_enough(text_model: str) -> None:
    write_texts(Path("first.csv"), TOPICS[:2])
    Path("more.csv").write_text("text,label\nfootball on television,football\n")
    adapt(text_model, "first.csv", out="mine")
    result = adapt("mine", "more.csv", add=True, out="mine", force=True)
    assert (result["added"], len(result["task"]["labels"])) == (1, 3)
    rows = predict("mine", "-", stdin=b"football on television")["rows"]
    assert rows[0]["prediction"] == "football"


def test_columns_keep_the_names_that_they_had(text_model: str) -> None:
    write_texts(Path("whole.csv"), TOPICS[:2])
    for name, header in {"named": "said,topic", "other": "words,kind"}.items():
        Path(f"{name}.csv").write_text("\n".join([header, *rows_of("whole.csv")[1:]]) + "\n")
        cut(f"{name}.csv", 8, f"{name} first.csv", f"{name} more.csv")
    adapt(text_model, "whole.csv", out="at once")
    columns = {"target": "topic", "input": "said"}
    adapt(text_model, "named first.csv", out="mine", **columns)
    adapt("mine", "named more.csv", add=True, out="mine2")
    assert_same_weights("mine2", "at once")
    others = {"target": "kind", "input": "words"}
    adapt("mine", "other more.csv", add=True, out="mine3", **others)
    assert_same_weights("mine3", "at once")


def test_each_part_keeps_the_names_of_its_columns_when_more_is_added(text_model: str) -> None:
    write_texts(Path("whole.csv"), TOPICS[:3])
    header = {"first": "said,topic", "more": "words,kind", "last": "said,topic"}
    rows = rows_of("whole.csv")[1:]
    thirds = {"first": rows[:9], "more": rows[9:14], "last": rows[14:]}
    for name, part in thirds.items():
        Path(f"{name}.csv").write_text("\n".join([header[name], *part]) + "\n")
    adapt(text_model, "whole.csv", out="at once")
    adapt(text_model, "first.csv", out="mine", target="topic", input="said")
    adapt("mine", "more.csv", add=True, out="mine", force=True, target="kind", input="words")
    result = adapt("mine", "last.csv", add=True, out="mine", force=True)
    assert result["added"] == len(thirds["last"])
    assert_same_weights("mine", "at once")
    notices: list[Any] = []
    report("mine", out="page.html", report=notices.append)
    assert not [one for one in notices if getattr(one, "code", "") == "report.no_examples"]


def test_rows_with_numbers_to_predict_are_added_and_again(number_model: str) -> None:
    write_town(Path("whole.csv"), 11, rows=20)
    cut("whole.csv", 14, "first.csv", "rest.csv")
    cut("rest.csv", 1, "one.csv", "more.csv")
    adapt(number_model, "whole.csv", out="at once")
    adapt(number_model, "first.csv", out="mine")
    for part in ("one.csv", "more.csv"):
        result = adapt("mine", part, add=True, out="mine", force=True)
    assert_same_model("mine", "at once")
    assert (result["added"], result["task"]["support"]) == (5, 20)


def test_support_and_query_tables_are_added_to_both(text_model: str) -> None:
    for part, topics in {"first": TOPICS[:2], "more": TOPICS[2:3]}.items():
        write_texts(Path("all.csv"), topics)
        Path(part).mkdir()
        header, *rows = rows_of("all.csv")
        Path(part, "support.csv").write_text("\n".join([header, *rows[::2]]) + "\n")
        Path(part, "query.csv").write_text("\n".join([header, *rows[1::2]]) + "\n")
    header, *rows = rows_of("first/query.csv")
    later = rows_of("more/query.csv")[1:]
    # Another of a class that only the first part supports.
    Path("more/query.csv").write_text("\n".join([header, *later, "the bread of today,bread"]))
    adapt(text_model, "first", out="mine")
    result = adapt("mine", "more", add=True, out="mine2")
    assert (result["task"]["support"], result["task"]["query"]) == (9, 10)
    assert result["score"]["how"] == "query"


def test_columns_that_are_embeddings_are_added(workplace: Path) -> None:
    x, y = embeddings(36)
    labels = [f"c{n}" for n in y]
    write("whole.csv", x, labels)
    cut("whole.csv", 30, "first.csv", "more.csv")
    adapt("features", "whole.csv", out="at once")
    adapt("features", "first.csv", out="mine")
    adapt("mine", "more.csv", add=True, out="mine2")
    assert_same_model("mine2", "at once")


def test_what_cannot_be_added_is_reported(text_model: str, number_model: str) -> None:
    write_texts(Path("first.csv"), TOPICS[:2])
    adapt(text_model, "first.csv", out="mine")
    write_town(Path("town.csv"), 1)
    with pytest.raises(DataError, match="the model takes texts"):
        adapt("mine", "town.csv", add=True, target="kind")
    shutil.copy("first.csv", "again.csv")
    text = Path("again.csv").read_text().replace(",bread", ",rain")
    Path("again.csv").write_text(text)
    with pytest.raises(DataError, match="texts in support and query, or under two labels"):
        adapt("mine", "again.csv", add=True)
    Path("first.csv").write_text("\n".join(rows_of("first.csv")[:-2]) + "\n")
    write_texts(Path("more.csv"), TOPICS[2:4])
    with pytest.raises(DataError, match="2 of the 12 examples that it was adapted to"):
        adapt("mine", "more.csv", add=True)
