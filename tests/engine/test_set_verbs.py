"""meta-train, evaluate, adapt and predict on sets of tasks, end to end with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metacli.cli.app import main
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.engine.results.sets import SetAdaptation, SetEvaluation
from metacli.engine.sets.folder import load, save
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.errors import BundleError, DataError, RecipeError, UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = "functions-4t-mtnp"
SMALL = [
    *("algorithm.width=8", "algorithm.heads=2", "algorithm.blocks=1", "algorithm.reads=1"),
    *("baselines=[]", "train.meta_batch=4", "evaluate.every=2", "evaluate.episodes=64"),
]
SET = "x,sine,tanh,sigmoid,gaussian\n" + "".join(
    f"{m},{m / 10},{m / 20 if m % 2 else ''},{m / 30},{1 - m / 10}\n" for m in range(-4, 5)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    meta_train(RECIPE, [*SMALL, "train.steps=4"], out=str(folder))
    return folder


def written(tmp_path: Path, text: str = SET) -> Path:
    path = tmp_path / "set.csv"
    path.write_text(text)
    return path


def test_a_run_keeps_its_best_state_as_a_model_of_sets(run: Path) -> None:
    model = load(run / "model")
    assert isinstance(model, SetModel)
    assert model.known == ("sine", "tanh", "sigmoid", "gaussian")
    assert model.recipe.algorithm.options["width"] == 8
    document = json.loads((run / "run.json").read_text())
    assert document["status"] == "finished"
    assert document["data"]["source"] == "functions"


def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    settings = [*SMALL, "train.schedule=constant"]
    first, whole = tmp_path / "first", tmp_path / "whole"
    meta_train(RECIPE, [*settings, "train.steps=2"], out=str(first))
    meta_train(None, ["train.steps=4"], resume=str(first))
    meta_train(RECIPE, [*settings, "train.steps=4"], out=str(whole))
    ends = [json.loads((one / "metrics.json").read_text())["val_mse"] for one in (first, whole)]
    assert ends[0] == ends[1]


def test_evaluate_compares_joint_and_separate_by_points_and_tasks(run: Path) -> None:
    found = evaluate(str(run), shot="5,10", episodes=50)
    assert isinstance(found, SetEvaluation)
    assert [(one.points, one.tasks) for one in found.cells] == [(5, 4), (10, 4), (5, 2), (5, 3)]
    assert all(one.sets == 50 for one in found.cells)
    first = found.cells[0]
    assert found.mean == first.joint.mse.mean
    assert first.delta == pytest.approx(first.joint.mse.mean - first.separate.mse.mean)
    assert first.delta_ci95[0] < first.delta < first.delta_ci95[1]


def test_adapt_gives_a_model_that_predicts_every_task(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    found = adapt(str(run), written(tmp_path), out=str(mine))
    assert isinstance(found, SetAdaptation)
    assert [one.name for one in found.tasks] == ["sine", "tanh", "sigmoid", "gaussian"]
    assert [one.labels for one in found.tasks] == [9, 4, 9, 9]
    document = found.as_dict()
    assert set(document["coupling"]) == {"tasks", "matrix", "what"}  # type: ignore[arg-type]
    wanted = {"name", "metric", "labels", "value", "alone", "delta", "delta_ci95", "verdict"}
    assert wanted <= set(document["tasks"][0])  # type: ignore[index,arg-type]
    new = tmp_path / "new.csv"
    new.write_text("x\n-1\n2.5\n")
    rows = predict(str(mine), str(new))["rows"]
    assert [row["task"] for row in rows] == 2 * [one.name for one in found.tasks]
    assert all(row["low"] < row["prediction"] < row["high"] for row in rows)
    model = load(mine)
    assert isinstance(model, AdaptedSet)
    again = tmp_path / "again"
    save(model, again)
    assert predict(str(again), str(new))["rows"] == rows


def test_rows_that_name_their_task_are_answered_for_that_task_alone(
    run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.csv"
    path.write_text("x,which,y\n1,sine,2\n2,tanh,1\n3,sine,0\n4,tanh,2\n")
    mine = tmp_path / "mine"
    adapt(str(run), path, ["data.task=which"], out=str(mine))
    new = tmp_path / "new.csv"
    new.write_text("x,which\n-1,tanh\n2.5,sine\n3,tanh\n")
    rows = predict(str(mine), str(new))["rows"]
    assert [row["task"] for row in rows] == ["tanh", "sine", "tanh"]
    assert [row["input"].rpartition(":")[2] for row in rows] == ["2", "3", "4"]


def test_commands_show_tables_for_people(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--shot", "5", "--episodes", "50"]) == 0
    shown = capsys.readouterr().out
    assert "joint - separate" in shown
    assert main(["adapt", str(run), str(written(tmp_path)), "-o", str(tmp_path / "mine")]) == 0
    shown = capsys.readouterr().out
    assert "joint - separate" in shown
    assert "probability that two tasks are related" in shown


def test_what_does_not_fit_is_reported_by_name(run: Path, tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(UsageProblem, match="no setting inner_steps"):
        adapt(str(run), path, ["inner_steps=3"])
    with pytest.raises(UsageProblem, match="guard is true or false"):
        adapt(str(run), path, ["guard=maybe"])
    with pytest.raises(DataError, match="has no column 'cosine'"):
        adapt(str(run), path, ["data.target=tanh,cosine"])
    other = written(tmp_path, "x,cosine\n1,2\n2,3\n")
    with pytest.raises(DataError, match=r"knows tasks by name.* found cosine"):
        adapt(str(run), other, ["data.target=cosine"])
    with pytest.raises(BundleError, match="not been adapted to a set"):
        predict(str(run), str(path))
    with pytest.raises(UsageProblem, match="fresh sets of its own source"):
        evaluate(str(run), way="5")
    with pytest.raises(UsageProblem, match="is of kind meta-multitask"):
        multitask(RECIPE)
    with pytest.raises(RecipeError, match="does not learn sets") as wrong:
        meta_train(RECIPE, ["algorithm.name=maml"], dry_run=True)
    assert wrong.value.code == "recipe.unknown_name"
    with pytest.raises(RecipeError, match="no source of sets 'school'"):
        meta_train(RECIPE, ["data.source=school"], dry_run=True)
