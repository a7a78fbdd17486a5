"""`adapt DATA` without a source for the columns of a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.predict import predict
from metacli.engine.results.adapt import RegressionScore
from metacli.errors import DataError

pytestmark = pytest.mark.usefixtures("workplace")
TREES = ("boosted-trees", "random-forest", "blend")
HEADS = ("linear-probe", "nearest-neighbours", *TREES, "in-context")


def write(path: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def houses(path: str, count: int, seed: int = 0) -> str:
    """Numbers, words, dates, missing cells and an identifier; what a house costs is linear."""
    draw, rows = np.random.default_rng(seed), []
    for number in range(count):
        area, place = int(draw.integers(40, 200)), ("north", "south")[int(draw.integers(2))]
        day = date(2020, 1, 1) + timedelta(days=int(draw.integers(1400)))
        price = 2000 * area + 50_000 * (place == "south") + 5000 * draw.normal()
        seen = "" if number == 4 else area
        rows.append([f"H{seed}-{number:04d}", seen, place, day.isoformat(), round(price)])
    return write(path, ["id", "area", "district", "sold", "price"], rows)


def steps(path: str, count: int, seed: int = 0) -> str:
    """Classes that are a box in two columns, which no linear model tells."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-1, 1, (count, 2)).round(4)
    inside = (np.abs(x) < 0.6).all(1)
    names = ["inside" if one else "outside" for one in inside]
    return write(
        path, ["a", "b", "label"], [[*p, w] for p, w in zip(x.tolist(), names, strict=True)]
    )


def test_a_table_of_every_kind_of_column_is_a_regression_without_a_flag_but_the_target() -> None:
    found = adapt(None, houses("houses.csv", 30), target="price", folds=3, out="prices")
    assert found.choice is not None
    assert (found.choice.source, found.choice.method) == ("columns", "linear-probe")
    tried = {one.method for one in found.choice.tried}
    assert tried == {*HEADS, "mean", "last-value"}
    errors = [one.value or 0.0 for one in found.choice.tried]
    assert errors == sorted(errors)  # best first
    assert found.choice.metric == found.score.metric == "mae"
    assert isinstance(found.score, RegressionScore)
    assert found.score.value < 30_000
    assert any("not read: id" in one for one in found.task.guessed)
    assert evaluate("prices", houses("new.csv", 12, seed=1))["mean"] < 30_000
    assert len(predict("prices", "new.csv")["rows"]) == 12
    assert json.dumps(dict(found))


@pytest.mark.slow
def test_trees_are_chosen_where_no_line_divides_the_classes() -> None:
    found = adapt(None, steps("steps.csv", 80), folds=3, out="box", budget=600)
    assert found.choice is not None
    assert {one.method for one in found.choice.tried} == set(HEADS)
    assert found.method in TREES
    assert None not in found.options.values()
    assert evaluate("box", steps("new.csv", 60, seed=1))["mean"] > 0.8


@pytest.mark.slow
def test_numbers_that_depend_on_nothing_are_answered_with_their_mean() -> None:
    draw = np.random.default_rng(0)
    rows = [[*draw.normal(size=2).round(3), round(float(draw.normal(10, 1)), 3)] for _ in range(20)]
    found = adapt(None, write("noise.csv", ["a", "b", "y"], rows), target="y", out="flat")
    assert found.method == "mean"
    mean = np.mean([row[2] for row in rows])
    said = [float(row["prediction"]) for row in predict("flat", "noise.csv")["rows"]]
    np.testing.assert_allclose(said, mean, rtol=1e-5)


def test_ten_rows_are_enough() -> None:
    found = adapt(None, houses("few.csv", 10), target="price", folds=3, out="few")
    assert isinstance(found.score, RegressionScore)
    assert found.score.n == 10


def test_the_score_is_of_choices_that_did_not_see_what_they_answer_for() -> None:
    """A column of noise for each row would win, were the folds not held out."""
    draw = np.random.default_rng(3)
    rows = [[*draw.normal(size=20).round(3), "xy"[i % 2]] for i in range(24)]
    header = [*(f"c{i}" for i in range(20)), "label"]
    found = adapt(None, write("chance.csv", header, rows), target="label", folds=3, out="chance")
    assert found.score.value is not None
    assert found.score.value < 0.75


@pytest.mark.parametrize("method", HEADS)
@pytest.mark.parametrize("target", ["price", "district"])
def test_what_is_saved_answers_for_a_row_alone_as_among_others(method: str, target: str) -> None:
    houses("houses.csv", 24)
    wanted = "regression" if target == "price" else "classification"
    given = ["depth=3", "rounds=10"] if method == "boosted-trees" else []
    found = adapt("columns", "houses.csv", given, target=target, method=method, folds=2, out="m")
    assert found.task.type == wanted
    rows = predict("m", "houses.csv")["rows"]
    with Path("houses.csv").open() as file:
        header, *lines = list(csv.reader(file))
    alone = predict("m", write("one.csv", header, [lines[7]]))["rows"][0]
    if wanted == "regression":
        assert float(alone["prediction"]) == pytest.approx(float(rows[7]["prediction"]), rel=1e-5)
    else:
        assert alone["prediction"] == rows[7]["prediction"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [*HEADS, "mean", "last-value"])
def test_an_export_answers_as_the_model(method: str) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is missing")
    houses("houses.csv", 24)
    adapt("columns", "houses.csv", target="price", method=method, folds=2, out="m")
    for form in ("onnx", "pt2"):
        made = export("m", format=form, out=f"m.{form}")
        assert made["parity"]["max_abs"] <= 1e-4
        assert made["outputs"][0]["shape"] == ["batch", 1]


@pytest.mark.slow
def test_rows_without_a_target_are_left_out_where_that_is_asked_for() -> None:
    draw = np.random.default_rng(0)
    cells = [
        [round(a, 3), "" if at < 3 else "no" if a < 0 else "yes"]
        for at, a in enumerate(draw.normal(size=30))
    ]
    path = write("gaps.csv", ["size", "label"], cells)
    with pytest.raises(DataError, match="row 2, column label"):
        adapt(None, path, out="g")
    found = adapt(None, path, out="g", skip_bad=True, compare=False)
    assert (found.task.support, found.task.skipped) == (27, 3)


def test_rows_are_added_to_a_chosen_model() -> None:
    houses("houses.csv", 20), houses("more.csv", 8, seed=1)
    given = ["depth=2", "rounds=10"]
    adapt("columns", "houses.csv", given, target="price", method="boosted-trees", out="m")
    found = adapt("m", "more.csv", add=True, target="price", out="n")
    assert (found.added, found.task.support) == (8, 28)


def test_numbers_are_predicted_from_texts() -> None:
    words = ["a good day out", "quite a bad film", "nothing to say here", "the best of all meals"]
    rows = [[f"{words[i % 4]}, number {i}", i % 4 + i / 100] for i in range(24)]
    write("texts.csv", ["text", "stars"], rows)
    found = adapt(None, "texts.csv", target="stars", folds=3, out="m")
    assert found.choice is not None
    assert found.choice.metric == "mae"
    tried = {(one.source, one.method) for one in found.choice.tried}
    assert {("ngrams", "mean"), ("ngrams", "linear-probe"), ("texts", "linear-probe")} <= tried
    assert isinstance(found.score, RegressionScore)
    assert found.score.value <= 1.05 * max(one.value or 0.0 for one in found.choice.tried)
    said = [float(row["prediction"]) for row in predict("m", "texts.csv")["rows"]]
    assert np.abs(np.array(said) - [row[1] for row in rows]).mean() < 1.0
    again = adapt("m", write("more.csv", ["text", "stars"], rows[:3]), add=True, out="n")
    assert again.added == 3
