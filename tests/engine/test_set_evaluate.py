"""`evaluate` of a learner of sets with all its arms, end to end with a tiny network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from metacli.cli.app import main
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.report import report
from metacli.engine.results.sets import SetEvaluation
from metacli.engine.sets.arms.tuned import load_tuned
from metacli.engine.sets.arms.tuning import Tuning
from metacli.engine.sets.evaluate import Gathered, bonferroni, by_task
from metacli.errors import RecipeError, UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = "functions-4t-mtnp"
SMALL = [
    *("algorithm.width=8", "algorithm.heads=2", "algorithm.blocks=1", "algorithm.reads=1"),
    *("train.meta_batch=4", "train.steps=2", "evaluate.every=2", "evaluate.episodes=64"),
    "sets.points=[3,5]",
]
QUICK = partial(Tuning, steps=(1, 2, 3, 4), trunk_steps=(1, 2), trunk_sets=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metacli.engine.sets.run.Tuning", QUICK)
        meta_train(RECIPE, [*SMALL, "baselines=[multi-task,pretrained]"], out=str(folder))
    return folder


def measured(run: Path, *words: str) -> SetEvaluation:
    found = evaluate(str(run), None, words, shot="5", episodes=50)
    assert isinstance(found, SetEvaluation)
    return found


def test_a_run_stores_what_it_chose_for_its_arms(run: Path) -> None:
    tuned = load_tuned(run / "baselines" / "arms")
    assert tuned is not None
    assert list(tuned.choices.arms) == ["multi_task", "pretrained"]
    assert [one.points for one in tuned.choices.arms["multi_task"]] == [5]
    assert tuned.trunk


def test_evaluate_compares_joint_adaptation_with_every_arm_of_the_run(run: Path) -> None:
    first = measured(run).cells[0]
    assert list(first.arms) == ["separate", "oracle", "multi_task", "pretrained"]
    assert first.arms["separate"].delta == first.delta
    assert first.arms["oracle"].delta == 0  # all tasks of a shared set are related
    scratch = first.arms["multi_task"]
    assert scratch.log_likelihood is None
    assert scratch.coverage90 is None
    assert scratch.delta == pytest.approx(scratch.joint - scratch.mse.mean)
    assert scratch.delta_ci95[0] < scratch.delta < scratch.delta_ci95[1]
    assert set(scratch.settings) == {"rate", "steps"}
    assert [one.name for one in first.by_task] == ["sine", "tanh", "sigmoid", "gaussian"]
    mean = np.mean([one.joint for one in first.by_task])
    assert first.joint.mse.mean == pytest.approx(mean, rel=1e-5)
    assert "coupling" not in first.as_dict()


def test_arms_can_be_left_out(run: Path) -> None:
    assert list(measured(run, "arms=multi-task").cells[0].arms) == ["separate", "multi_task"]
    with pytest.raises(UsageProblem, match="no arm 'single'"):
        measured(run, "arms=single")
    with pytest.raises(UsageProblem, match="no setting inner_steps"):
        measured(run, "inner_steps=3")
    with pytest.raises(RecipeError, match="no arm 'protonet' of sets"):
        meta_train(RECIPE, ["baselines=[protonet]"], dry_run=True)


def test_people_see_the_arms(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--shot", "5", "--episodes", "50", "arms=multi_task"]
    assert main(["evaluate", str(run), *words]) == 0
    shown = capsys.readouterr().out
    assert "joint - arm" in shown
    assert "multi-task" in shown


def test_mixed_sets_say_how_well_related_tasks_are_told_from_unrelated_ones(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    meta_train(RECIPE, [*SMALL, "baselines=[]", "data.variant=mixed"], out=str(folder))
    (cell,) = measured(folder).cells
    assert cell.coupling is not None
    assert 0 <= cell.coupling.auc <= 1
    assert cell.coupling.sets == 50
    assert cell.coupling.pairs >= 50 * 15
    assert len(cell.by_task) == 8


def test_a_task_is_hurt_only_beyond_what_as_many_tasks_would_give_by_chance() -> None:
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(200, 2))
    separate = joint - [[1.0, 0.0]] + 0.1 * rng.normal(size=(200, 2))
    roles = np.tile([2, 0], (200, 1))
    found = by_task(Gathered({}, [joint], [separate], [roles], []), ["a", "b", "c"])
    assert [(one.name, one.verdict) for one in found] == [("a", "no_difference"), ("c", "hurt")]
    assert found[1].sets == 200
    assert bonferroni(1, 50) == 1
    assert bonferroni(8, 50) == pytest.approx(2.8575 / 2.0096, rel=1e-2)


@pytest.mark.slow
def test_sets_of_families_are_trained_on_measured_and_reported(tmp_path: Path) -> None:
    folder, path = tmp_path / "run", tmp_path / "families.yaml"
    path.write_text(
        "version: 1\nkind: meta-multitask\ndata: {source: task-families, tasks: 2}\n"
        "sets: {points: [3, 5], query: 4}\nalgorithm: {name: mtnp}\ntrain: {steps: 2}\n"
    )
    meta_train(str(path), SMALL, out=str(folder))
    (cell,) = measured(folder).cells
    assert cell.tasks == 2 * 2 + 2
    assert cell.coupling is not None
    assert cell.coupling.pairs == 50 * 15
    assert cell.coupling.related == 50 * 2
    report(str(folder), out=str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert 'id="coupling"' in page
    assert 'id="fits"' in page
