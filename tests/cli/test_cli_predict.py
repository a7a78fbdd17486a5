"""Rows of predict: columns, guards, bad rows, stdin, files."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metacli.cli import errors, predict
from metacli.cli.app import main
from metacli.cli.views.block import Block
from metacli.errors import DataError, Finding

Capture = pytest.CaptureFixture[str]


def row(name: str = "a.png", label: Any = "a", **more: Any) -> dict[str, Any]:
    base = {"input": name, "prediction": label, "probabilities": {"b": 0.25, "a": 0.75}}
    return {**base, "low": None, "high": None, "error": None, **more}


BAD = row(
    "b.png", None, probabilities=None, error={"code": "image.bad", "message": "not a picture"}
)


def read(*rows: dict[str, Any]) -> list[Block]:
    return [Block(one) for one in rows]


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_classification_rows_have_the_most_likely_label_first() -> None:
    assert cells(predict.table(read(row(), BAD), top=1)) == [
        ["input", "prediction", "probability", "error"],
        ["a.png", "a", "0.75", ""],
        ["b.png", "", "", "not a picture"],
    ]


def test_top_adds_a_label_and_a_probability_each() -> None:
    assert cells(predict.table(read(row()), top=3)) == [
        [
            *("input", "prediction", "probability", "prediction_2", "probability_2"),
            *("prediction_3", "probability_3", "error"),
        ],
        ["a.png", "a", "0.75", "b", "0.25", "", "", ""],
    ]


def test_regression_rows_have_an_interval_and_keep_their_sign() -> None:
    rows = [row("x", -1.5, probabilities=None, low=-2.0, high=-1.0)]
    assert cells(predict.table(read(*rows), top=1)) == [
        ["input", "prediction", "low", "high", "error"],
        ["x", "-1.5", "-2", "-1", ""],
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_is_guarded(start: str) -> None:
    written = cells(predict.table(read(row(f"{start}cmd()", f"{start}label")), top=1))[1]
    assert written[:2] == [f"'{start}cmd()", f"'{start}label"]


def test_jsonl_is_one_object_a_line_without_nan() -> None:
    lines = predict.jsonl(read(row(low=float("nan")), BAD)).splitlines()
    assert json.loads(lines[0]) == row()
    assert json.loads(lines[1]) == BAD


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_documents_have_null_for_what_json_cannot_say(value: float) -> None:
    document = json.loads(errors.success("x", {"a": [value], "p": Path("q")}, 0.1, []))
    assert document["result"] == {"a": [None], "p": "q"}


def test_bad_rows_exit_3_after_the_good_ones(stub: Callable[..., Any], capsys: Capture) -> None:
    finding = Finding("error", "image.bad", "not a picture", where="b.png")
    error = DataError("1 of 2 inputs is bad", findings=[finding], result={"rows": [row(), BAD]})
    stub("predict", error)
    assert main(["predict", "m", "a.png", "b.png"]) == 3
    out, err = capsys.readouterr()
    assert len(cells(out)) == 3
    assert err == "error: 1 of 2 inputs is bad\n  not a picture - b.png\n"


def test_bad_rows_with_json_are_one_document(stub: Callable[..., Any], capsys: Capture) -> None:
    stub("predict", DataError("bad", result={"rows": [row(), BAD]}))
    assert main(["predict", "m", "a.png", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["result"] == {"rows": [row(), BAD]}


def test_the_first_twenty_findings_are_shown_and_the_rest_counted(
    stub: Callable[..., Any], capsys: Capture
) -> None:
    findings = [Finding("error", "x", f"bad {i}") for i in range(25)]
    stub("predict", DataError("25 are bad", findings=findings))
    assert main(["predict", "m", "a", "--json"]) == 3
    out, err = capsys.readouterr()
    assert err.splitlines()[-2:] == ["  bad 19", "  ... and 5 more"]
    assert len(json.loads(out)["error"]["findings"]) == 25


def test_a_dash_hands_stdin_to_the_engine(
    stub: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stub()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"b.png\nmy file.png\n\n")))
    assert main(["predict", "m", "a.png", "-"]) == 0
    assert calls[0][0] == ("m", ["a.png", "-"])
    assert calls[0][1]["stdin"] == b"b.png\nmy file.png\n\n"


def test_o_writes_the_rows_and_prints_the_path(
    stub: Callable[..., Any], capsys: Capture, tmp_path: Path
) -> None:
    stub()
    old = os.umask(0o022)
    try:
        assert main(["predict", "m", "a.png", "-o", "rows.csv"]) == 0
    finally:
        os.umask(old)
    assert capsys.readouterr().out == "rows.csv\n"
    assert cells(Path("rows.csv").read_text())[1] == ["a.png", "a", "0.75", ""]
    assert stat.S_IMODE(Path("rows.csv").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_o_does_not_replace_a_file_without_force(stub: Callable[..., Any], capsys: Capture) -> None:
    calls = stub()
    Path("rows.csv").write_text("precious")
    assert main(["predict", "m", "a.png", "-o", "rows.csv"]) == 3
    assert "--force" in capsys.readouterr().err
    assert Path("rows.csv").read_text() == "precious"
    assert calls == []
    assert main(["predict", "m", "a.png", "-o", "rows.csv", "--force"]) == 0
    assert Path("rows.csv").read_text().startswith("input,")


def test_a_dry_run_writes_no_file(stub: Callable[..., Any], tmp_path: Path) -> None:
    stub()
    assert main(["predict", "m", "a.png", "-o", "rows.csv", "-n"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_quiet_prints_the_labels_alone(stub: Callable[..., Any], capsys: Capture) -> None:
    stub()
    assert main(["predict", "m", "a.png", "-q"]) == 0
    assert capsys.readouterr().out == "a\n"
