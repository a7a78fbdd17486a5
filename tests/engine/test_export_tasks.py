"""A model of many tasks as one file: cells in, scaling inside, one output for each task."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from test_export_example import run_alone
from test_task_use import BASE

from metacli.data.tables.encoding import Categorical, Encoding, Numeric
from metacli.data.tables.reader import parse_table
from metacli.engine.export import export
from metacli.engine.exporting.entrance import Cells, cells_of, single_cells
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.errors import DataError

pytestmark = pytest.mark.usefixtures("one_thread")
ENCODING = Encoding(
    (
        Numeric("age", 40.0, 12.5, missing=True),
        Categorical("town", ("a", "b", "c")),
        Numeric("year", 2000.0, 3.0, missing=False),
    )
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    monkeypatch.setattr(task_baselines, "suited", lambda table: iter(()))
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(BASE)


def test_cells_are_encoded_in_the_graph_as_in_the_reader() -> None:
    text = "age,town,year\n31.5,b,1999\n,c,2004\n80,elsewhere,2000\n7,,1990\n"
    table = parse_table(text.encode(), "csv", "people.csv")
    nan = float("nan")
    cells = torch.tensor(
        [[31.5, 1, 1999], [nan, 2, 2004], [80, -1, 2000], [7, nan, 1990]], dtype=torch.float64
    )
    expected, columns = ENCODING.encode(table), single_cells(ENCODING)
    np.testing.assert_array_equal(Cells(columns)(cells).numpy(), expected)
    np.testing.assert_allclose(
        Cells(columns)(torch.from_numpy(cells_of(columns, expected))), expected
    )


@pytest.mark.parametrize("format", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_every_task_has_an_output_that_says_what_predict_says(format: str) -> None:
    multitask("tiny.yaml", out="run")
    result = export("run", format=format, out=f"tasks.{format}")
    assert result["parity"]["inputs"] == "rows of the data"
    assert result["parity"]["max_abs"] <= 1e-5
    assert len(result["outputs"]) == 3
    columns = [one["name"] for one in result["inputs"][0]["columns"]]
    with Path("new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(np.random.default_rng(0).standard_normal((4, len(columns))).round(3))
    rows = predict("run", "new.csv")["rows"]
    found = run_alone(result["example"], "new.csv")
    assert [row[1] for row in found] == [row["task"] for row in rows]
    for mine, theirs in zip(found, rows, strict=True):
        if isinstance(theirs["prediction"], float):
            assert float(mine[2]) == pytest.approx(theirs["prediction"], rel=1e-4)
        else:
            assert mine[2] == theirs["prediction"]
    with pytest.raises(DataError, match="does not adapt by itself"):
        export("run", with_support=True)
