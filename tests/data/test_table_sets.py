"""Tables of cells as sets of tasks: several targets of the same rows, or rows of the tasks' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.data.multi_task.from_tables import Piece, table_set
from metacli.data.multi_task.splits import divide_rows
from metacli.data.tables.choice import Choice
from metacli.data.tables.reader import parse_table
from metacli.errors import DataError

HERE = Path()


def people(rows: int = 24, gone: tuple[int, ...] = ()) -> str:
    lines = ["age,town,rich,kind,hours"]
    for number in range(rows):
        rich = "" if number in gone else ("yes" if number % 3 else "no")
        town, kind = "ab"[number % 2], ("x", "y", "z")[number % 3]
        lines.append(f"{20 + number},{town},{rich},{kind},{30 + number / 2}")
    return "\n".join(lines) + "\n"


def read(text: str, name: str = "people"):
    return parse_table(text.encode(), "csv", name)


def several(text: str, targets=("rich", "kind", "hours"), **changes):
    table = read(text)
    pieces = [Piece(target, table, target) for target in targets]
    return table_set("people", pieces, Choice(**changes), "0", 0, folder=HERE)[0]


def test_targets_of_three_kinds_share_their_rows_and_none_is_an_input():
    made = several(people())
    assert made.kinds == ("classification", "classification", "regression")
    assert made.labels == (("no", "yes"), ("x", "y", "z"), ())
    assert (made.rows, made.metric, made.scale) == ("shared", "mean_score", "task")
    assert made.columns == ("age", "town: a", "town: b", "town: another")
    assert made.x[0] is made.x[2]
    assert made.x[0].shape == (24, 4)
    assert made.read.targets == ("rich", "kind", "hours")


def test_inputs_are_encoded_with_statistics_of_training_rows():
    made = several(people())
    rows = divide_rows(made, 0)["train"][0]
    ages = 20.0 + np.arange(24)
    wanted = (ages - ages[rows].mean()) / ages[rows].std()
    assert made.x[0][:, 0] == pytest.approx(wanted, abs=1e-6)
    lines = people().splitlines()
    test = divide_rows(made, 0)["test"][0][0]
    lines[1 + test] = lines[1 + test].replace(f"{20 + test},", "900,", 1)
    again = several("\n".join(lines) + "\n")
    assert np.delete(again.x[0], test, 0) == pytest.approx(np.delete(made.x[0], test, 0))


def test_an_empty_target_is_missing_for_its_task_alone():
    made = several(people(gone=(0, 4)))
    assert np.flatnonzero(np.isnan(made.y[0])).tolist() == [0, 4]
    assert not np.isnan(made.y[1]).any()
    batch = MultiTaskRows(made, divide_rows(made, 0)).batch("train", "val", "test")
    assert batch.mask.sum(1).tolist() == [22, 24, 24]


def test_rows_of_the_tasks_own_have_one_target_and_one_set_of_labels():
    one, other = read(people(12)), read(people(20).replace("yes", "no"))
    pieces = [Piece("first", one, "rich"), Piece("second", other, "rich")]
    made, _ = table_set("two", pieces, Choice(inputs=("age", "town")), "0", 0, folder=HERE)
    assert (made.rows, made.scale) == ("own", "pooled")
    assert made.classes == (("no", "yes"), ("no", "yes"))
    assert [len(x) for x in made.x] == [12, 20]
    assert made.y[1].sum() == 0


def test_the_last_rows_of_a_piece_may_be_its_test():
    table = read(people())
    pieces = [Piece(name, table, name, tested=5) for name in ("rich", "hours")]
    made, _ = table_set("people", pieces, Choice(), "0", 3, folder=HERE)
    assert divide_rows(made, 3)["test"][0].tolist() == [19, 20, 21, 22, 23]


@pytest.mark.parametrize(
    ("targets", "metric"),
    [(("hours", "age"), "nmse"), (("rich", "town"), "accuracy"), (("rich", "kind"), "accuracy")],
)
def test_the_metric_follows_the_kinds_of_the_targets(targets, metric):
    assert several(people(), targets).metric == metric


def test_rare_positives_are_judged_by_the_area_under_the_curve():
    rare = people(40).replace("yes", "no").replace(",no,", ",yes,", 5)
    assert several(rare, ("rich",), inputs=("age",)).metric == "auc"


def test_a_target_of_one_value_is_refused():
    with pytest.raises(DataError, match="rich has one value, no; wanted two") as caught:
        several(people().replace("yes", "no"))
    assert caught.value.where == "people"
    with pytest.raises(DataError, match="rich is empty in every row"):
        several(people().replace(",yes,", ",,").replace(",no,", ",,"))
