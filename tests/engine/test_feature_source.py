"""Columns of embeddings: a head on what some other network made, equal to scikit-learn's."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.inspect import inspect
from metacli.engine.models import folder as models
from metacli.engine.predict import predict
from metacli.errors import UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")
D = 6


def embeddings(rows: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of different means."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    return np.round(np.eye(3, D)[y] + 0.5 * rng.normal(size=(rows, D)), 4), y


def write(path: str, x: np.ndarray, target: list[str], name: str = "label") -> str:
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"e{i}" for i in range(D)), name])
        writer.writerows([*row, one] for row, one in zip(x.tolist(), target, strict=True))
    return path


def standard(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    middle = by.mean(0)
    return (x - middle) / np.sqrt(np.square(by - middle).sum(1).mean())


def test_classes_are_predicted_as_scikit_learn_does() -> None:
    x, y = embeddings()
    task = write("task.csv", x, [f"c{n}" for n in y])
    result = adapt("features", task, ["penalty=0.5"], out="mine")
    assert (result["method"], result["task"]["type"]) == ("linear-probe", "classification")
    model = LogisticRegression(C=2.0, tol=1e-12, max_iter=100_000).fit(standard(x, x), y)
    new, labels = embeddings(9, seed=1)
    write("new.csv", new, [f"c{n}" for n in labels])
    rows = predict("mine", "new.csv")["rows"]
    temperature = models.load(Path("mine")).confidence.temperature
    wanted = model.decision_function(standard(new, x)) / temperature
    wanted = np.exp(wanted) / np.exp(wanted).sum(1, keepdims=True)
    found = np.array([list(row["probabilities"].values()) for row in rows])
    np.testing.assert_allclose(found, wanted, atol=1e-5)  # of float32
    assert evaluate("mine", "new.csv")["mean"] > 0.5


def test_numbers_are_predicted_as_ridge_does() -> None:
    x, _ = embeddings(40)
    y = np.round(100 + 20 * x[:, 0] - 10 * x[:, 3], 3)
    task = write("task.csv", x, [f"{v}" for v in y], "price")
    result = adapt("features", task, ["penalty=2"], target="price", out="mine", baseline=True)
    assert result["task"]["type"] == "regression"
    model = Ridge(alpha=2.0).fit(standard(x, x), y)
    new, _ = embeddings(7, seed=1)
    write("new.csv", new, ["0"] * 7, "price")
    rows = predict("mine", "new.csv")["rows"]
    found = [float(row["prediction"]) for row in rows]
    np.testing.assert_allclose(found, model.predict(standard(new, x)), rtol=1e-4)


@pytest.mark.parametrize("method", ["fine-tune", "l2-sp", "lp-ft", "prototype"])
def test_every_way_that_fits_the_kind_takes_columns(method: str) -> None:
    x, y = embeddings()
    task = write("task.csv", x, [f"c{n}" for n in y])
    few = [] if method == "prototype" else ["steps=3", "lr=1e-2"]
    assert adapt("features", task, few, method=method, out="mine")["method"] == method
    numbers = write("numbers.csv", x, [f"{v:.3f}" for v in x[:, 1] + 0.5], "price")
    if method == "prototype":
        with pytest.raises(UsageProblem, match="predicts numbers"):
            adapt("features", numbers, method=method, target="price")
    else:
        result = adapt("features", numbers, few, method=method, target="price", out="two")
        assert result["score"]["metric"] == "mae"


STRANGER = "id,size,colour,sold,price\n" + "".join(
    f"{i + 1},{'' if i % 9 == 4 else i % 13},{['red', 'green', 'blue'][i % 3]},"
    f"{1 + i % 28:02}.{1 + i % 12:02}.202{i % 4},{100 * (i % 13) + 50 * (i % 3)}\n"
    for i in range(48)
)


def test_words_dates_missing_cells_and_identifiers_need_no_flag() -> None:
    Path("homes.txt").write_text(STRANGER.replace(",", ";"))
    found = inspect("homes.txt", target="price")
    assert found["valid"]
    result = adapt("features", "homes.txt", target="price", out="mine")
    assert result["task"]["type"] == "regression"
    assert {"columns are separated by semicolons", "column sold = dates, the day first"} <= set(
        result["task"]["guessed"]
    )
    assert "not read: id" in result["task"]["guessed"]
    mean = np.abs(np.arange(48) % 13 * 100 - 600).mean()
    assert result["score"]["value"] < mean / 4
    later = "colour;sold;size\nred;24.12.2023;5\nunseen;;\n"
    Path("new.csv").write_text(later)
    rows = predict("mine", "new.csv")["rows"]
    assert rows[0]["prediction"] == pytest.approx(500, abs=100)
    assert np.isfinite([row["prediction"] for row in rows]).all()


def test_columns_that_are_named_alone_are_read() -> None:
    Path("homes.csv").write_text(STRANGER)
    adapt("features", "homes.csv", target="price", input="size,colour", out="mine")
    encoding = models.load(Path("mine")).inputs.encoder
    assert encoding.names == ("size", "colour")


@pytest.mark.parametrize(
    ("offset", "size", "unit"), [(1e10, 1.0, 1.0), (0.0, 1e29, 1.0), (0.0, 1e-40, 1e29)]
)
def test_columns_and_targets_of_any_size_are_learned_as_ordinary_ones_are(
    offset: float, size: float, unit: float
) -> None:
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(40, D)), 3)
    y = 3 * x[:, 0] - x[:, 1] + 0.1 * rng.normal(size=40)
    plain = adapt("features", write("plain.csv", x, list(map(repr, y.tolist())), "y"), out="plain")
    large = write("large.csv", offset + size * x, list(map(repr, (unit * y).tolist())), "y")
    found = adapt("features", large, out="large")
    assert found["score"]["value"] / unit == pytest.approx(plain["score"]["value"], rel=0.2)
    rows = predict("large", large)["rows"]
    assert np.isfinite([[row["prediction"], row["low"], row["high"]] for row in rows]).all()


@pytest.mark.slow
def test_an_exported_file_reads_dates_without_metacli() -> None:
    Path("homes.csv").write_text(STRANGER)
    adapt("features", "homes.csv", target="price", out="mine")
    result = export("mine", out="mine.pt2")
    said = subprocess.run(
        [sys.executable, result["example"], "homes.csv"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    found = [float(line.split("\t")[1]) for line in said.stdout.splitlines()]
    wanted = [row["prediction"] for row in predict("mine", "homes.csv")["rows"]]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_it_is_exported_like_any_other_model() -> None:
    x, y = embeddings()
    adapt("features", write("task.csv", x, [f"c{n}" for n in y]), out="mine")
    assert export("mine", format="pt2")["parity"]["max_abs"] <= 1e-5
