"""The last value of rows with dates is that of the time before, and the rows held out have no part
in encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.engine.adapt import adapt
from metacli.engine.adapting.time_order import latest_last, value_before
from metacli.engine.predict import predict
from metacli.engine.results.adapt import Adaptation

pytestmark = pytest.mark.usefixtures("workplace")


def test_the_value_before_is_the_latest_known_one() -> None:
    times = np.array([3.0, 1.0, np.nan, 7.0])
    y = np.array([[30.0], [10.0], [99.0], [70.0]])
    found = value_before(times, y, np.array([0.5, 1.0, 2.0, 7.0, 8.0, np.nan]))
    assert found[:, 0].tolist() == [52.25, 52.25, 10.0, 30.0, 70.0, 52.25]
    assert latest_last(times).tolist() == [2, 1, 0, 3]


def walk(path: Path, *, shuffled: bool) -> Path:
    """A random walk by days, which nothing but its last value forecasts."""
    draw = np.random.default_rng(0)
    values = 100 + np.cumsum(draw.normal(0, 5, 60) + 20 * (draw.random(60) < 0.1))
    rows = [
        f"2024-{1 + n // 28:02}-{1 + n % 28:02},{draw.normal():.3f},{v:.2f}"
        for n, v in enumerate(values)
    ]
    if shuffled:
        rows = [rows[at] for at in draw.permutation(60)]
    path.write_text("\n".join(["day,noise,price", *rows]) + "\n")
    return path


@pytest.mark.slow
def test_the_last_value_is_scored_in_the_order_of_time_whatever_the_order_of_the_rows() -> None:
    def tried(path: Path) -> dict[str, float | None]:
        found = adapt(None, path, target="price", dry_run=True, compare=False)
        assert isinstance(found, Adaptation)
        assert found.choice is not None
        return {one.method: one.value for one in found.choice.tried}

    ordered, mixed = (
        tried(walk(Path("a.csv"), shuffled=False)),
        tried(walk(Path("b.csv"), shuffled=True)),
    )
    for values in (ordered, mixed):
        assert values["last-value"] is not None
        assert values["mean"] is not None
        assert values["last-value"] < 0.5 * values["mean"]


def test_a_model_of_the_last_value_says_the_latest() -> None:
    path = walk(Path("b.csv"), shuffled=True)
    adapt("columns", path, method="last-value", target="price", out="m", compare=False)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    latest = float(max(rows)[2])
    Path("new.csv").write_text("day,noise\n2024-06-01,0\n")
    (row,) = predict("m", "new.csv")["rows"]
    assert row["prediction"] == pytest.approx(latest, rel=1e-4)
