"""Meta-training on classification tasks, and what a model of them is used for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.meta_train import meta_train
from metacli.engine.predict import predict
from metacli.engine.report import report
from metacli.engine.results.class_tasks import ClassTaskEvaluation
from metacli.errors import CheckFailed, DataError, RecipeError, UsageProblem

RECIPE = """version: 1
kind: meta
data: {{source: {source}}}
episodes: {{way: 2, shot: 4, query: 4}}
backbone: {{name: mlp, hidden: [8]}}
algorithm: {algorithm}
train: {{steps: 40, meta_batch: 4, lr: 1e-2}}
evaluate: {{every: 20, episodes: 10}}
"""
ROWS = 40


def tasks_in(where: Path, tasks: int = 12, labels: tuple[str, str] = ("no", "yes")) -> Path:
    """Patients, whose threshold on a + b differs."""
    where.mkdir()
    for task in range(tasks):
        rng = np.random.default_rng(task)
        x = rng.normal(size=(ROWS, 2))
        hit = x.sum(1) + 0.2 * rng.normal(size=ROWS) > 0.3 * np.sin(task)
        lines = [f"{a:.3f},{b:.3f},{labels[int(y)]}" for (a, b), y in zip(x, hit, strict=True)]
        (where / f"p{task:02}.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
    return where


MAML = "{name: maml, inner_lr: 0.1, inner_steps: 2}"


def trained(where: Path, *overrides: str, name: str = "run", algorithm: str = MAML) -> Path:
    path = where / f"{name}.yaml"
    path.write_text(RECIPE.format(source=where / "patients", algorithm=algorithm))
    meta_train(str(path), overrides, out=where / name, device="cpu")
    return where / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("class-tasks")
    tasks_in(where / "patients")
    return trained(where, "baselines=[joint]")


@pytest.fixture(scope="module")
def measured(run: Path) -> ClassTaskEvaluation:
    found = evaluate(run, episodes=4)
    assert isinstance(found, ClassTaskEvaluation)
    return found


def test_a_model_of_tasks_is_measured_on_tasks_that_are_new(
    run: Path, measured: ClassTaskEvaluation
) -> None:
    result = measured
    assert (result.metric, result.num_tasks, result.draws) == ("accuracy", 2, 2)
    assert result.mean > 0.75
    assert result.labels == ("no", "yes")
    rows = result.tasks
    assert result.mean == pytest.approx(np.mean([one.value for one in rows]))
    assert all(one.rows == ROWS for one in rows)
    assert all(sum(one.rates.values()) == pytest.approx(1) for one in rows)
    wanted = {"accuracy", "balanced_accuracy", "auc", "delta_auprc"}
    assert set(result.measures) == wanted
    spread = np.std([one.value for one in rows], ddof=1) / np.sqrt(2)
    assert result.ci95 == pytest.approx(12.706 * spread, rel=1e-3)  # Student's t of two tasks
    assert {"untrained", "joint", "logistic regression on the same rows"} <= set(result.baselines)
    lines = [json.loads(one) for one in (run / "scores.jsonl").read_text().splitlines()]
    assert {one["metric"] for one in lines} == wanted
    assert {one["unit"] for one in lines} == {"task"}
    assert all(len(one["values"]) == 2 for one in lines)
    json.dumps(result)


def test_a_check_may_name_the_worst_task_and_the_same_evaluation_gives_the_same_numbers(
    run: Path, measured: ClassTaskEvaluation
) -> None:
    worst = min(one.measures["accuracy"] for one in measured.tasks)
    assert measured.checked()["accuracy_worst"] == worst
    assert measured.checked()["auc_low"] == pytest.approx(
        measured.measures["auc"].mean - measured.measures["auc"].ci95
    )
    bounds = ["auc=0.6", f"accuracy_worst={worst + 0.01:.4f}"]
    with pytest.raises(CheckFailed, match="accuracy_worst") as found:
        evaluate(run, episodes=4, fail_under=bounds)
    assert found.value.result == measured.as_dict()
    with pytest.raises(UsageProblem, match="no metric 'mse'"):
        evaluate(run, episodes=4, fail_over=["mse=1"])


def test_a_report_shows_every_task(
    run: Path, measured: ClassTaskEvaluation, tmp_path: Path
) -> None:
    report(run, out=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Task by task" in page
    assert all(one.name in page for one in measured.tasks)
    assert "on new tasks" in page


@pytest.mark.slow
def test_an_adapted_model_and_its_learner_are_exported(run: Path, tmp_path: Path) -> None:
    made = adapt(
        run, tasks_in(tmp_path / "new", 1) / "p00.csv", out=tmp_path / "made", device="cpu"
    )
    assert made.task.labels == ("no", "yes")
    for model in (tmp_path / "made", run):
        whole = model == run
        found = export(model, out=tmp_path / f"{model.name}.pt2", with_support=whole)
        assert found.parity.max_abs <= found.parity.tolerance


def test_tasks_of_another_set_are_all_new(run: Path, tmp_path: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")  # its scores are added to
    result = evaluate(own, tasks_in(tmp_path / "others", 5), episodes=5)
    assert result.num_tasks == 5
    with pytest.raises(DataError, match="answers no or yes in every task") as found:
        evaluate(own, tasks_in(tmp_path / "words", 5, ("bad", "good")), episodes=5)
    assert found.value.code == "model.labels"


def test_a_folder_of_new_tasks_gives_a_model_each_with_the_labels_of_the_source(
    run: Path, tmp_path: Path
) -> None:
    folder = tasks_in(tmp_path / "new", 3)
    result = adapt(run, folder, out=tmp_path / "made", device="cpu")
    assert result.adapted == 3
    assert result.mean > 0.7
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n4,4\n-4,-4\n")
    answers = predict(tmp_path / "made" / "p00", [rows])
    assert [one.prediction for one in answers.rows] == ["yes", "no"]


def test_a_task_with_other_labels_is_refused_by_a_shared_head(run: Path, tmp_path: Path) -> None:
    folder = tasks_in(tmp_path / "words", 1, ("bad", "good"))
    with pytest.raises(DataError, match="answers no or yes in every task"):
        adapt(run, folder / "p00.csv", out=tmp_path / "made", device="cpu")
    made = adapt(run, folder / "p00.csv", method="prototype", out=tmp_path / "made", device="cpu")
    assert made.task.labels == ("bad", "good")


@pytest.mark.parametrize(
    "algorithm",
    [
        "{name: protonet}",
        pytest.param("{name: r2d2}", marks=pytest.mark.slow),
        pytest.param("{name: anil, inner_lr: 0.1}", marks=pytest.mark.slow),
        pytest.param("{name: cavia}", marks=pytest.mark.slow),
        "{name: joint, inner_lr: 0.1}",
        pytest.param("{name: reptile, inner_lr: 0.1}", marks=pytest.mark.slow),
        pytest.param("{name: maml, inner_lr: 0.1, head: proto}", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_every_learner_of_regression_learns_from_tasks_with_classes(
    tmp_path: Path, algorithm: str
) -> None:
    tasks_in(tmp_path / "patients")
    run = trained(tmp_path, algorithm=algorithm)
    assert evaluate(run, episodes=2).measures["auc"].mean > 0.75


@pytest.mark.slow
def test_examples_may_be_counted_by_task(tmp_path: Path) -> None:
    tasks_in(tmp_path / "patients")
    run = trained(tmp_path, "episodes.per=task", "episodes.shot=6")
    result = evaluate(run, episodes=2)
    assert (result.per, result.shot) == ("task", 6)
    assert result.measures["auc"].mean > 0.75


def test_a_recipe_that_does_not_fit_the_tasks_is_told_so(tmp_path: Path) -> None:
    tasks_in(tmp_path / "patients")
    with pytest.raises(RecipeError) as found:
        trained(tmp_path, "episodes.way=3", "episodes.balanced=false")
    words = str([one.message for one in found.value.findings])
    assert "every task has 2 labels, episodes.way is 3" in words
    assert "one number of examples" in words
    with pytest.raises(RecipeError, match="pretrain learns the classes of a pool"):
        trained(tmp_path, algorithm="{name: pretrain}")


def test_a_task_that_became_a_test_task_after_training_is_refused(tmp_path: Path) -> None:
    folder = tasks_in(tmp_path / "patients")
    run = trained(tmp_path)
    shown = json.loads((run / "model" / "model.json").read_text())["provenance"]["data"]
    assert len(shown["tasks"]) == 9
    for one in folder.glob("*.csv"):
        if one.stem not in {name.removesuffix(".csv") for name in shown["tasks"]}:
            one.unlink()
    with pytest.raises(DataError, match="were trained on"):
        evaluate(run, episodes=4)


def test_data_alone_are_given_a_learner_whose_head_the_tasks_share(tmp_path: Path) -> None:
    folder, remarks = tasks_in(tmp_path / "patients"), []
    words = ["train.steps=2", "evaluate.every=2", "evaluate.episodes=4"]
    result = meta_train(
        str(folder), words, out=tmp_path / "run", device="cpu", report=remarks.append
    )
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    assert "name: maml" in recipe
    assert "head: linear" in recipe
    assert any("training tasks-maml" in str(one) for one in remarks)
    assert result.status == "finished"
