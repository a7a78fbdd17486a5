"""Models of sets after training: predict in Python, labelled rows, inspect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import saved, table

from metacli.algorithms.meta_multitask.protocol import alone
from metacli.cli.app import main
from metacli.data.sets.from_user import asking
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Notice
from metacli.engine.inspect import inspect
from metacli.engine.load import load
from metacli.engine.predict import predict
from metacli.engine.sets.opening import open_adapted
from metacli.errors import BundleError, CheckFailed, DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    adapt(saved(Path("model")), table(Path("set.csv")), out="mine")


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return path


def test_a_model_in_memory_answers_arrays_as_it_answers_files() -> None:
    Path("new.csv").write_text("x\n-1\n2.5\n")
    model = load("mine")
    assert model.tasks == ("sine", "tanh", "gaussian")
    assert model.labels == ()
    wanted = [row["prediction"] for row in predict("mine", "new.csv")["rows"]]
    found = model.predict(np.array([[-1.0], [2.5]]))
    assert [one.prediction for one in found.rows] == pytest.approx(wanted)
    assert [one.input for one in found.rows[:4]] == ["[0]", "[0]", "[0]", "[1]"]
    assert {one.task for one in found.rows} == set(model.tasks)
    with pytest.raises(DataError, match=r"wanted \[rows, 1\] of finite numbers: x"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(UsageProblem, match="--reject is for classes"):
        model.predict("new.csv", reject="auto")


def test_a_file_or_folder_called_like_a_task_is_answered_for_it() -> None:
    folder(Path("set"), sine="x,y\n1,2\n2,1\n", tanh="x,y\n1,0\n3,2\n")
    adapt("model", "set", out="two")
    folder(Path("new"), tanh="x\n1.5\n2.5\n")
    rows = predict("two", "new")["rows"]
    assert [row["task"] for row in rows] == ["tanh", "tanh"]
    assert [row["input"] for row in rows] == ["new/tanh.csv:2", "new/tanh.csv:3"]
    one = predict("two", "new/tanh.csv")["rows"]
    assert [row["prediction"] for row in one] == [row["prediction"] for row in rows]
    Path("other.csv").write_text("x\n1.5\n")
    assert [row["task"] for row in predict("two", "other.csv")["rows"]] == ["sine", "tanh"]


def test_rows_of_an_unknown_task_are_named_and_the_others_answered() -> None:
    Path("long.csv").write_text("x,task,y\n1,sine,2\n2,tanh,1\n3,sine,0\n")
    adapt("model", "long.csv", out="two")
    Path("new.csv").write_text("x,task\n1,tanh\n2,cosine\n3,sine\n")
    with pytest.raises(
        DataError, match="no task cosine in this model, which has sine, tanh"
    ) as bad:
        predict("two", "new.csv")
    assert bad.value.where == "new.csv:3"
    rows = bad.value.result["rows"]  # type: ignore[index]
    assert [row["prediction"] is None for row in rows] == [False, True, False]  # type: ignore


def test_labelled_rows_are_scored_as_predict_answers_them() -> None:
    Path("later.csv").write_text("x,sine,tanh\n-1,0.5,\n2,0.25,1\n3,,2\n")
    found = evaluate("mine", "later.csv")
    rows = {(r["input"], r["task"]): r for r in predict("mine", "later.csv")["rows"]}
    truth = {"sine": [(2, 0.5), (3, 0.25)], "tanh": [(3, 1.0), (4, 2.0)]}
    means = {
        task: np.mean([abs(rows[f"later.csv:{at}", task]["prediction"] - y) for at, y in pairs])
        for task, pairs in truth.items()
    }
    scores = {one["name"]: one for one in found["tasks"]}
    assert {name: one["value"] for name, one in scores.items()} == pytest.approx(means, rel=1e-5)
    assert found["mean"] == pytest.approx(np.mean(list(means.values())), rel=1e-5)
    inside = [
        rows[f"later.csv:{at}", task]["low"] <= y <= rows[f"later.csv:{at}", task]["high"]
        for task, pairs in truth.items()
        for at, y in pairs
    ]
    assert found["coverage90"] == np.mean(inside)
    model = open_adapted(Path("mine"))
    x = model.support.x.new_tensor([[[-1.0], [2.0]]]).expand(3, 2, 1)
    separate = model.source.answer(
        asking(model.support, model.roles, x[None]), alone(model.roles)
    ).mean[0, 0]
    by_itself = np.mean([abs(float(a) - b) for a, b in zip(separate, (0.5, 0.25), strict=True)])
    assert scores["sine"]["single_task"] == pytest.approx(by_itself, rel=1e-5)
    assert set(found["baselines"]) == {"each task alone", "the mean of its labels"}


def test_what_labelled_rows_must_be_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("none.csv").write_text("x,other\n1,2\n")
    with pytest.raises(DataError, match="no label of any task of the model: sine, tanh, gaussian"):
        evaluate("mine", "none.csv")
    with pytest.raises(UsageProblem, match="measured on labelled examples"):
        evaluate("mine")
    with pytest.raises(CheckFailed, match="mae is"):
        evaluate("mine", "set.csv", fail_over=["mae=0"])
    assert main(["evaluate", "mine", "set.csv"]) == 0
    shown = capsys.readouterr().out
    assert "of the rows within the intervals of predict" in shown
    assert "each task alone" in shown


def test_inspect_says_what_a_model_of_sets_knows_and_what_to_type() -> None:
    found = inspect("model")
    assert (found.what, found.valid) == ("model of sets", True)
    assert found["details"]["tasks_known"] == ["sine", "tanh", "sigmoid", "gaussian"]
    assert found.next[1] == "metacli adapt model SET"
    mine = inspect("mine")
    assert mine.what == "model of a set of tasks"
    assert mine["details"]["tasks"]["sine"] == "9 labels"
    weights = Path("mine/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert not inspect("mine").valid


def test_inspect_of_a_folder_of_sets_names_what_is_wrong_in_each() -> None:
    long = "x,y\n" + "".join(f"{n},{n}\n" for n in range(9))
    folder(Path("SETS/good"), a="x,y\n1,2\n2,3\n", b="x,y\n1,2\n2,3\n")
    folder(Path("SETS/alone"), a="x,y\n1,2\n")
    folder(Path("SETS/odd"), a="x,y\n1,2\n", b="z,y\n1,2\n", c="x,y\n1,\n", d=long)
    found = inspect("SETS")
    assert (found.what, found.valid) == ("sets of tasks", False)
    assert found["details"]["tasks"]["good"] == {
        "a": "2 labels of 2 rows",
        "b": "2 labels of 2 rows",
    }
    said = {(one.code, one.message) for one in found.problems}
    assert ("sets.no_label", "task c of odd has no label") in said
    assert ("sets.one_task", "alone has one task, a: there is nothing to learn together") in said
    assert any("b.csv of odd has no column x and has also z" in text for _, text in said)
    assert not any(" good" in text for _, text in said)


def test_inspect_of_a_set_in_a_folder_or_table_says_which_tasks_it_holds() -> None:
    long = "x,y\n" + "".join(f"{n},{n * n}\n" for n in range(12))
    folder(Path("set"), few="x,y\n1,2\n2,3\n3,5\n", many=long)
    found = inspect("set")
    assert found.what == "set of tasks"
    assert found["details"]["as_a_set"] == {
        "few": "3 labels of 3 rows",
        "many": "12 labels of 12 rows",
    }
    assert any("3 labels of few, 12 of many" in one.message for one in found.problems)
    assert found.next[-1] == "metacli adapt SET_MODEL set"
    words = "x,y\n" + "1,up\n2,down\n3,up\n" * 3
    folder(Path("classes"), first=words, second=words.replace("3,", "4,"))
    assert not [one for one in inspect("classes").problems if "as a set" in one.message]
    Path("rows.csv").write_text("x,task,y\n1,a,2\n2,b,1\n3,a,0\n")
    rows = inspect("rows.csv")
    assert (rows.what, rows.valid) == ("set of tasks", True)
    assert rows["details"]["a"] == "2 labels of 2 rows"
    assert rows.next == ("metacli adapt SET_MODEL rows.csv",)


def test_a_task_that_is_added_joins_as_if_it_had_been_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("sigmoid.csv").write_text("note,x,y\na,-1,0.25\nb,1,0.75\nc,3,1\n")
    before = Path("mine/weights.safetensors").read_bytes()
    found = adapt("mine", "sigmoid.csv", add=True, out="more")
    assert found["added"] == ["sigmoid"]
    assert [one["name"] for one in found["tasks"]] == ["sine", "tanh", "gaussian", "sigmoid"]
    assert Path("mine/weights.safetensors").read_bytes() == before
    rows = {"-1": "0.25", "1": "0.75", "3": "1"}
    lines = Path("set.csv").read_text().splitlines()
    whole = [f"{lines[0]},sigmoid", *(f"{line}," for line in lines[1:])]
    whole += [f"{x},,,,{y}" for x, y in rows.items()]
    Path("whole.csv").write_text("\n".join(whole) + "\n")
    adapt("model", "whole.csv", out="at_once")
    Path("new.csv").write_text("x\n0.5\n")
    answers = [
        {row["task"]: row["prediction"] for row in predict(name, "new.csv")["rows"]}
        for name in ("more", "at_once")
    ]
    assert answers[0] == pytest.approx(answers[1], rel=1e-4)
    words = ["adapt", "mine", "sigmoid.csv", "--add", "-o", "again", "--guard"]
    assert main(words) == 0
    assert "sigmoid" in capsys.readouterr().out


def test_rows_that_are_added_to_a_task_are_new_ones() -> None:
    Path("sine.csv").write_text("x,y\n0.1,0.2\n")
    found = adapt("mine", "sine.csv", add=True, out="more")
    labels = {one["name"]: one["labels"] for one in found["tasks"]}
    assert labels == {"sine": 10, "tanh": 9, "gaussian": 9}
    with pytest.raises(DataError, match="the model knows 1 of 1 rows of task sine"):
        adapt("more", "sine.csv", add=True, out="twice")
    Path("cosine.csv").write_text("x,y\n0.1,0.2\n")
    with pytest.raises(DataError, match="knows tasks by name"):
        adapt("mine", "cosine.csv", add=True, out="other")
    with pytest.raises(BundleError, match="not been adapted to a set yet"):
        adapt("model", "sine.csv", add=True, out="other")
    with pytest.raises(CheckFailed, match="mae is"):
        adapt("model", "set.csv", out="checked", fail_over=["mae=0"])


def test_rows_that_a_model_knows_are_counted_where_it_is_evaluated() -> None:
    events: list[Event] = []
    evaluate("mine", "set.csv", report=events.append)
    said = [one.message for one in events if isinstance(one, Notice)]
    assert said == ["27 of 27 labels are among those that the model was adapted to"]


def test_one_task_alone_is_adapted_to_and_said() -> None:
    events: list[Event] = []
    Path("one.csv").write_text("x,tanh\n" + "".join(f"{n},{n / 9}\n" for n in range(9)))
    found = adapt("model", "one.csv", out="one", report=events.append)
    said = [one.message for one in events if isinstance(one, Notice)]
    assert said == ["one.csv has one task, tanh: nothing to learn together"]
    (task,) = found["tasks"]
    assert task["value"] == task["alone"]
    assert found["coupling"]["matrix"] == [[0.0]]


def test_the_score_of_a_set_says_over_all_rows_whether_learning_together_helps() -> None:
    found = adapt("model", "set.csv", out="again")
    tasks = found["tasks"]
    labels = sum(one["labels"] for one in tasks)
    weighed = sum(one["labels"] * one["delta"] for one in tasks) / labels
    score = found["score"]
    assert score["delta"] == pytest.approx(weighed, rel=1e-5)
    assert score["alone"] == pytest.approx(np.mean([one["alone"] for one in tasks]), rel=1e-5)
    low, high = score["delta_ci95"]
    assert low < score["delta"] < high
    assert score["verdict"] == ("helped" if high < 0 else "hurt" if low > 0 else "no_difference")


def test_a_column_that_is_no_number_is_named_with_the_options_that_mend_it() -> None:
    Path("own.csv").write_text("depth (m),tanh,sine,note\n0.5,0.1,1,dry\n1.5,0.4,,wet\n")
    with pytest.raises(DataError, match=r"column note .* note was taken for an input") as caught:
        adapt("model", "own.csv", out="own")
    assert "--input A,B names the input columns" in str(caught.value.hint)
    found = adapt("model", "own.csv", input="depth (m)", out="own")
    assert [one["name"] for one in found["tasks"]] == ["tanh", "sine"]


def test_inspect_of_a_table_with_a_column_for_each_task_is_a_set() -> None:
    found = inspect("set.csv")
    assert (found.what, found.valid) == ("set of tasks", True)
    assert found["details"]["layout"] == "columns"
    assert found["details"]["sine"] == "9 labels of 12 rows"
