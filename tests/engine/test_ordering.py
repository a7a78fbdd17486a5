"""Rows whose order counts: said where it is seen, the last ones held out with `--order`, and what
lies outside of what was seen has a wider interval and a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import saved, tiny_model

from metacli.data.tables.reader import Table, parse_table
from metacli.data.user.ordering import autocorrelation, looks_ordered, ranks
from metacli.engine.adapt import adapt
from metacli.engine.adapting.splits import last_rows
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Notice
from metacli.engine.predict import predict
from metacli.errors import DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")
QUICK = {"method": "linear-probe", "compare": False, "device": "cpu", "type": "regression"}


def table(text: str) -> Table:
    return parse_table(text.encode(), "csv", "t.csv")


def walk(rows: int = 120, seed: int = 0) -> list[str]:
    """A random walk with a covariate; lines of x, y."""
    rng = np.random.Generator(np.random.PCG64(seed))
    x, y = rng.standard_normal(rows), np.cumsum(rng.standard_normal(rows))
    return [f"{a:.6f},{a + b:.6f}" for a, b in zip(x, y, strict=True)]


def written(name: str, lines: list[str], header: str = "x,y") -> Path:
    path = Path(name)
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def codes(events: list[Event]) -> set[str]:
    return {one.code for one in events if isinstance(one, Notice)}


def test_rows_are_sorted_by_numbers_or_dates_and_ties_stay_as_they_stand() -> None:
    assert ranks(table("t,y\n3,0\n1,0\n2,0\n1,1\n"), "t").tolist() == [1, 3, 2, 0]
    dates = table("day,y\n2021-03-01,0\n2020-12-31,0\n2021-01-15,0\n")
    assert ranks(dates, "day").tolist() == [1, 2, 0]
    assert ranks(dates, "rows").tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="has no column 'dya'") as caught:
        ranks(dates, "dya")
    assert caught.value.hint == "did you mean 'day'?"
    with pytest.raises(DataError, match=r"row 3, column t of t\.csv is empty"):
        ranks(table("t,y\n3,0\n,0\n"), "t")


def test_a_column_of_time_that_only_rises_or_falls_makes_rows_look_ordered() -> None:
    days = [f"2020-01-{day:02}" for day in range(1, 15)]
    text = "\n".join(f"{day},{n % 3}" for n, day in enumerate(days))
    assert looks_ordered(table(f"day,y\n{text}\n")) == "day"
    mixed = "\n".join(f"{day},0" for day in [*days[7:], *days[:7]])
    assert looks_ordered(table(f"day,y\n{mixed}\n")) is None
    numbers = "\n".join(f"{n},{n}" for n in range(20))
    assert looks_ordered(table(f"size,time\n{numbers}\n")) == "time"
    assert looks_ordered(table(f"size,price\n{numbers}\n")) is None  # sorted by price is no time


def test_a_date_among_many_columns_of_numbers_makes_rows_look_ordered() -> None:
    names = [f"e{number}" for number in range(80)]
    rows = [",".join([f"2020-01-{day:02}", *["0.5", "2020"] * 40]) for day in range(1, 15)]
    wide = table("\n".join([",".join(["day", *names]), *rows]) + "\n")
    assert wide.is_wide
    assert looks_ordered(wide) == "day"
    assert (
        looks_ordered(table("\n".join([",".join(["day", *names]), *rows[7:], *rows[:7]]))) is None
    )


def test_only_neighbours_that_err_alike_are_autocorrelated() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    alone = [autocorrelation(rng.standard_normal(100)) for _ in range(400)]
    assert sum(one is not None for one in alone) <= 12  # one in a hundred, by chance
    found = autocorrelation(np.cumsum(rng.standard_normal(100)))
    assert found is not None
    assert found > 0.5


def test_blocks_of_last_rows_are_predicted_from_all_rows_before_them() -> None:
    splits = last_rows(100)
    assert [len(one.query) for one in splits] == [10, 10, 10, 10]
    for one in splits:
        assert one.support.tolist() == list(range(one.query[0]))
    assert splits[-1].query[-1] == 99
    (alone,) = last_rows(50, 0.2)
    assert alone.query.tolist() == list(range(40, 50))
    assert last_rows(2) == []


def test_adapt_says_that_rows_look_ordered_and_order_holds_out_the_last_ones() -> None:
    path, events = written("walk.csv", walk()), []
    folds = adapt("columns", path, target="y", out="a", report=events.append, **QUICK)
    assert "adapt.ordered" in codes(events)
    events.clear()
    last = adapt("columns", path, target="y", order="rows", out="b", report=events.append, **QUICK)
    assert "adapt.ordered" not in codes(events)
    assert folds["score"]["how"].startswith("kfold")
    assert last["score"]["how"] == "order:4"
    assert last["score"]["n"] == 48
    wide, narrow = (predict(one, path)["rows"][0] for one in ("b", "a"))
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]


def test_independent_rows_do_not_look_ordered() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    lines = [f"{a:.5f},{a + 0.1 * b:.5f}" for a, b in rng.standard_normal((100, 2))]
    events: list[Event] = []
    adapt("columns", written("t.csv", lines), target="y", report=events.append, **QUICK)
    assert "adapt.ordered" not in codes(events)


def test_evaluate_prints_the_coverage_of_the_intervals_of_predict() -> None:
    rng = np.random.Generator(np.random.PCG64(4))
    lines = [f"{a:.5f},{a + 0.1 * b:.5f}" for a, b in rng.standard_normal((300, 2))]
    adapt("columns", written("known.csv", lines[:100]), target="y", out="m", **QUICK)
    new = written("new.csv", lines[100:])
    found = evaluate("m", new)
    rows, truth = predict("m", new)["rows"], [float(line.split(",")[1]) for line in lines[100:]]
    inside = [row["low"] <= y <= row["high"] for row, y in zip(rows, truth, strict=True)]
    assert found["coverage"] == pytest.approx(np.mean(inside))
    assert found["level"] == 0.9
    assert 0.8 <= found["coverage"] <= 1.0


def test_evaluate_measures_the_last_rows_of_an_order() -> None:
    adapt("columns", written("known.csv", walk(60)), target="y", out="m", **QUICK)
    lines = [f"{n},{line}" for n, line in enumerate(reversed(walk(50, 1)))]
    new = written("new.csv", lines, "time,x,y")
    found = evaluate("m", new, order="time")
    assert found["query"] == 20
    events: list[Event] = []
    evaluate("m", new, report=events.append, force=True)
    assert "evaluate.ordered" in codes(events)
    with pytest.raises(UsageProblem, match="--order is for an adapted model"):
        evaluate(saved(tiny_model(), Path("learner")), order="time")


def test_an_order_and_folds_do_not_fit_together() -> None:
    with pytest.raises(UsageProblem, match="--order holds out the last rows"):
        adapt("columns", written("t.csv", walk()), target="y", order="rows", folds=3, **QUICK)


def test_rows_outside_of_what_was_seen_are_named_and_have_an_honest_interval() -> None:
    """The truth stays at 30 where the column leaves its range; a line through the rows does not."""
    rng = np.random.Generator(np.random.PCG64(5))
    x = rng.uniform(0, 1, (80, 2))
    lines = [f"{a:.5f},{b:.5f},{30 + 2 * a + 0.05 * b:.5f}" for a, b in x]
    adapt("columns", written("known.csv", lines, "size,age,y"), target="y", out="m", **QUICK)
    new = written("new.csv", ["0.5,0.5", "30,0.5", "0.5,0.5"], "size,age")
    events: list[Event] = []
    rows = predict("m", new, report=events.append)["rows"]
    (said,) = [one for one in events if isinstance(one, Notice)]
    assert said.code == "predict.out_of_range"
    assert "1 of 3 rows" in said.message
    assert "new.csv:3 (size)" in said.message
    assert rows[0] | {"input": ""} == rows[2] | {"input": ""}
    usual, far = (row["high"] - row["low"] for row in rows[:2])
    assert far > 5 * usual
    assert rows[1]["low"] <= 32.025 <= rows[1]["high"]  # as if it stayed where it was last seen


def test_rows_within_are_answered_as_ever() -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    lines = [f"{a:.5f},{a:.5f}" for a in rng.uniform(0, 1, 60)]
    path = written("known.csv", lines)
    adapt("columns", path, target="y", out="m", **QUICK)
    events: list[Event] = []
    predict("m", path, report=events.append)
    assert "predict.out_of_range" not in codes(events)
