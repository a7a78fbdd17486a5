"""A prediction that is not finite is an error that names row and column; other rows are kept."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import saved, tiny_model, write_classes

from metacli.engine.adapt import adapt
from metacli.engine.models.folder import load, save
from metacli.engine.predict import predict
from metacli.errors import DataError

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")


def write(path: str, cells: np.ndarray, labels: list[str]) -> str:
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "label"])
        writer.writerows([*row, label] for row, label in zip(cells.tolist(), labels, strict=True))
    return path


def two_classes(scale: float = 1.0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    labels = ["x", "y"] * 10
    return scale * (rng.normal(size=(20, 2)) + 4 * np.tile([[0.0], [1.0]], (10, 1))), labels


def test_a_row_out_of_all_range_is_an_error_and_the_others_are_answered() -> None:
    cells, labels = two_classes()
    adapt("features", write("task.csv", cells, labels), out="source")
    steep = load(Path("source"))
    params = {name: 1e25 * value for name, value in steep.params.items()}
    save(replace(steep, params=params), Path("mine"))
    wanted = [one.prediction for one in predict("mine", "task.csv").rows]
    cells[3, 1] = 1e20
    with pytest.raises(DataError, match=r"1 of 20 inputs could not.*column b") as caught:
        predict("mine", write("new.csv", cells, labels))
    assert (caught.value.code, caught.value.exit_code) == ("predict.not_finite", 3)
    assert caught.value.where == "new.csv:5"
    rows = caught.value.result["rows"]
    assert [one["prediction"] for one in rows] == [*wanted[:3], None, *wanted[4:]]


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e10])
def test_columns_of_any_scale_are_learned_or_refused(scale: float) -> None:
    cells, labels = two_classes(scale)
    task = write("task.csv", cells, labels)
    if scale > 1e38:  # no network's float32 holds them
        with pytest.raises(DataError, match="column"):
            adapt("features", task, out="mine")
        return
    result = adapt("features", task, out="mine")
    assert result.score.value is not None
    assert result.score.value >= 0.8
    assert all(one.probabilities for one in predict("mine", task).rows)


def test_adapt_refuses_a_source_whose_predictions_are_not_finite() -> None:
    steep = tiny_model()
    params = {name: 1e30 * value for name, value in steep.params.items()}
    saved(replace(steep, params=params), Path("steep"))
    write_classes(Path("task"), {"a": 3, "b": 3})
    with pytest.raises(DataError, match="predictions are not finite") as caught:
        adapt("steep", "task", out="mine")
    assert caught.value.exit_code == 3
    assert not Path("mine").exists()
