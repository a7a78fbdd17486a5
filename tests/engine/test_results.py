"""Results of the verbs: typed values that read like the JSON document."""

from __future__ import annotations

import copy
import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from metacli.engine.fetch import fetchable
from metacli.engine.results.base import Result, plain
from metacli.engine.results.compare import CompareResult, Item, Pair, Units
from metacli.engine.results.doctor import Cache, Device, DoctorResult, Extra
from metacli.engine.results.evaluate import Baseline, CurvePoint, EpisodeEvaluation, Step
from metacli.engine.results.report import ReportResult
from metacli.engine.scoring.intervals import Comparison, Estimate
from metacli.engine.storage.serial import finite
from metacli.errors import Finding


def test_a_result_reads_like_the_dictionary_of_before() -> None:
    found = ReportResult(Path("/data/report.html"), 12)
    wanted = {"file": "/data/report.html", "bytes": 12}
    assert (found.file, found.bytes) == (Path("/data/report.html"), 12)
    assert found["file"] == "/data/report.html"
    assert found.get("nothing") is None
    assert {**found} == dict(found) == found.as_dict() == wanted
    assert found == wanted
    assert list(found) == ["file", "bytes"]
    assert json.loads(json.dumps(found)) == wanted


def test_a_result_cannot_be_changed_but_copied() -> None:
    found = ReportResult(Path("/data/report.html"), 12)
    with pytest.raises(FrozenInstanceError):
        found.bytes = 3  # type: ignore[misc]
    for change in (
        lambda: found.__setitem__("bytes", 3),
        lambda: found.pop("bytes"),
        lambda: found.update(bytes=3),
        lambda: found.clear(),
        lambda: found.setdefault("more", 1),
    ):
        with pytest.raises(TypeError, match="as_dict"):
            change()
    again = copy.deepcopy(found)
    assert (again, type(again)) == (found, ReportResult)
    assert replace(found, bytes=13)["bytes"] == 13


def test_an_evaluation_becomes_the_document_of_before() -> None:
    score = Estimate(0.9, 0.01, 600)
    against = Comparison(0.1, 0.05, 0.15, "helped", 0.07)
    found = EpisodeEvaluation(
        metric="accuracy",
        mean=0.9,
        ci95=0.01,
        way=(3, 5),
        shot=1,
        inductive=score,
        per_step=(Step(0, Estimate(0.2, 0.01, 600)),),
        baselines={"ridge": Baseline(score, against=against, units=12)},
        curve=(CurvePoint(1, 0.9, 0.01),),
        scores=Path("/s.jsonl"),
    ).as_dict()
    assert found["way"] == [3, 5]
    assert found["per_step"] == [{"step": 0, "mean": 0.2, "ci95": 0.01, "n": 600}]
    assert found["baselines"] == {
        "ridge": {
            **score.as_dict(),
            "delta": 0.1,
            "delta_ci95": [0.05, 0.15],
            "verdict": "helped",
            "detectable": 0.07,
            "units": 12,
        }
    }
    assert found["scores"] == "/s.jsonl"
    assert "dry_run" not in found
    json.dumps(found)


def test_a_comparison_keeps_its_keys() -> None:
    on = Units("test", 5, 1, 15, "episode", "inductive", "ab")
    item = Item(Path("a"), "accuracy", 0.9, 0.1, 40, on, (Path("a/model"),), (0,))
    pair = Pair(
        *(Path("a"), Path("b"), "accuracy", 0.1, (0.0, 0.2), 0.04, 0.08),
        *("no_difference", 0.2, 40, 0, "models", on),
    )
    found = CompareResult((item,), (pair,))
    assert list(found) == ["items", "pairs"]
    ((one,), (other,)) = found["items"], found["pairs"]
    assert (one["path"], one["models"], one["seeds"]) == ("a", ["a/model"], [0])
    assert {key: one[key] for key in ("split", "way", "unit", "mode")} == {
        "split": "test",
        "way": 5,
        "unit": "episode",
        "mode": "inductive",
    }
    assert (other["delta_ci95"], other["p_adjusted"], other["detectable"]) == (
        [0.0, 0.2],
        0.08,
        0.2,
    )
    assert "on" not in one
    assert "on" not in other


def test_parts_leave_out_what_is_optional_and_missing() -> None:
    found = DoctorResult(
        {"torch": "2"},
        (Device("cpu", True, 0.1, None),),
        {"onnx": Extra(present=True, version="1"), "text": Extra(present=False, missing="x")},
        Cache(None, None, writable=False),
        (Finding("error", "a.b", "m"),),
        "not ready",
    )
    assert found["devices"] == [{"name": "cpu", "ok": True, "seconds": 0.1, "error": None}]
    assert found["extras"] == {
        "onnx": {"present": True, "version": "1"},
        "text": {"present": False, "missing": "x"},
    }
    assert found["problems"] == [Finding("error", "a.b", "m").as_dict()]


def test_plain_data_takes_paths_and_tuples_but_keeps_numbers() -> None:
    assert plain({"a": (Path("x"), 1.5, None)}) == {"a": ["x", 1.5, None]}
    assert finite(plain({"a": float("nan")})) == {"a": None}


def test_what_can_be_fetched_is_typed() -> None:
    found = {one.name: one for one in fetchable()}
    assert found["omniglot"].bytes > 1_000_000
    assert set(found["omniglot"].as_dict()) == {
        "name",
        "kind",
        "summary",
        "bytes",
        "citation",
        "licence",
    }


def test_every_result_of_a_verb_is_a_frozen_result() -> None:
    import importlib
    import pkgutil

    import metacli.engine.results as room

    found = []
    for one in pkgutil.iter_modules(room.__path__):
        module = importlib.import_module(f"{room.__name__}.{one.name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Result) and value is not Result
        ]
    assert len(set(found)) >= 10
    assert all(one.__dataclass_params__.frozen for one in found)  # type: ignore[attr-defined]
