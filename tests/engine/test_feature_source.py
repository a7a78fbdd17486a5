"""Columns of embeddings: a head on what some other network made, equal to scikit-learn's."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.models import folder as models
from metacli.engine.predict import predict
from metacli.errors import DataError, UsageProblem

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


def test_classes_are_told_as_scikit_learn_tells_them() -> None:
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


def test_numbers_are_told_as_ridge_tells_them() -> None:
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


def test_what_are_no_embeddings_is_named() -> None:
    x, y = embeddings()
    text = [[*row, "red"] for row in x[:, :-1].tolist()]
    with Path("task.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*(f"e{i}" for i in range(D)), "label"]])
        csv.writer(file).writerows([*row, n] for row, n in zip(text, y, strict=True))
    with pytest.raises(DataError, match="e5") as caught:
        adapt("features", "task.csv")
    assert caught.value.exit_code == 3
    adapt("features", "task.csv", input="e0,e1,e2", out="mine")


def test_it_is_exported_like_any_other_model() -> None:
    x, y = embeddings()
    adapt("features", write("task.csv", x, [f"c{n}" for n in y]), out="mine")
    assert export("mine", format="pt2")["parity"]["max_abs"] <= 1e-5
