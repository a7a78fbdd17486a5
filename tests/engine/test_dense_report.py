"""The report of a run of dense tasks, and what `evaluate` keeps for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_report import read

from metacli.engine.compare import compare
from metacli.engine.dense import evaluate as dense_evaluate
from metacli.engine.evaluate import evaluate
from metacli.engine.multitask import multitask
from metacli.engine.report import report
from metacli.engine.reporting import on_dense
from metacli.engine.scoring import score_file
from metacli.nn.dense.targets import TASKS
from metacli.schema.load import load

pytestmark = pytest.mark.usefixtures("workplace")
SMALL = (
    *("data.size=16", "data.images=12", "data.val=4", "data.test=11", "data.rows=2"),
    *("backbone.widths=[8,8]", "train.steps=2", "evaluate.every=1"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, which each test copies."""
    folder = tmp_path_factory.mktemp("dense") / "run"
    multitask("scenes-hard", SMALL, out=folder)
    return folder


@pytest.fixture
def run(trained: Path) -> Path:
    shutil.copytree(trained, "run")
    return Path("run")


def test_a_report_says_task_by_task_whether_learning_together_helps(run: Path) -> None:
    done = evaluate(run)
    report(run)
    page = read()
    assert page.texts["h2"] == [
        *("Together and separately", "Learning curves", "Truth and answer", "What it is"),
        "To repeat it",
    ]
    headline = page.texts["p"][0]
    assert "on 11 test images" in headline
    assert all(task in headline for task in TASKS)
    shown = on_dense.changed(done.delta_p, done.delta_p_ci95)
    assert shown in headline
    assert shown in page.texts["td"]
    for task, one in done.task_delta_p.items():
        assert on_dense.changed(one.delta, one.ci95) in page.texts["td"], task
    assert f"{100 * done.measures['segmentation']['miou']:.1f} %" in page.texts["td"]
    assert f"{100 * done.single_task['normals']['within_30']:.1f} %" in page.texts["td"]
    assert len(page.all("img")) == 4 * (1 + 2 * len(TASKS))
    assert "metacli multitask run/recipe.yaml\n" in page.texts["code"][0] + "\n"
    text = next(text for text in page.texts["code"] if "backbone:" in text)
    Path("again.yaml").write_text(text)
    assert load("again.yaml").recipe == load(str(run)).recipe


def test_a_report_of_a_run_that_was_not_evaluated_reads_no_test_images(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits, real = [], on_dense.scenes
    monkeypatch.setattr(
        on_dense, "scenes", lambda options, split: splits.append(split) or real(options, split)
    )
    monkeypatch.setattr(dense_evaluate, "scenes", on_dense.scenes)
    report(run)
    assert splits == ["val"]
    assert "Not evaluated on test images yet." in read().texts["p"][0]
    assert "on 4 validation images" in read().texts["p"][0]


def test_a_model_by_itself_has_nothing_to_be_compared_with(run: Path) -> None:
    shutil.copytree(run / "model", "alone")
    evaluate("alone")
    report("alone")
    headline = read().texts["p"][0]
    assert "There are no networks for each task to compare it with." in headline
    assert "Not evaluated" not in headline


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (
            ("helped", "helped", "hurt"),
            "better for segmentation and depth; worse for normals",
        ),
        (("no_difference",) * 3, "no clear difference for segmentation, depth and normals"),
    ],
)
def test_the_headline_is_the_verdict_of_each_task(
    run: Path, verdicts: tuple[str, ...], said: str
) -> None:
    subject = on_dense.open_dense_subject(run / "model", "run")
    tasks = [{"name": t, "verdict": v} for t, v in zip(TASKS, verdicts, strict=True)]
    line = {"split": "test", "images": 50, "tasks": tasks, "delta_p": 0.0123}
    sentence = on_dense.headline(subject, {**line, "delta_p_ci95": [-0.01, 0.0345]})
    assert f"with a network for each task by the loss on 50 test images: {said}." in sentence
    assert "Δp is +1.2 % [-1.0, +3.5]" in sentence


def test_evaluations_of_two_runs_are_compared_image_by_image(run: Path) -> None:
    multitask("scenes-hard", [*SMALL, "weighting.name=uncertainty"], out="other")
    found = [evaluate(one) for one in ("run", "other")]
    lines = score_file.read(run / "scores.jsonl")
    assert len(lines[0]["values"]) == 11
    (pair,) = compare(["run", "other"]).pairs
    assert pair.n == 11
    assert pair.delta == pytest.approx(found[1].mean - found[0].mean)
