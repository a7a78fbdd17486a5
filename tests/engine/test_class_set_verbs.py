"""meta-train, evaluate and inspect on sets of classifications, end to end with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.cli.app import main
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.inspect import inspect
from metacli.engine.meta_train import meta_train
from metacli.engine.report import report
from metacli.engine.results.sets import SetEvaluation
from metacli.engine.sets.class_folder import load_classes, save_classes
from metacli.engine.sets.class_sources import AskedSets, class_source
from metacli.errors import DataError, RecipeError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
RECIPE = """
version: 1
kind: meta-multitask
data: {source: glyphs, variant: styles}
sets: {tasks: [2, 3], way: 3, shot: [1, 2], query: 2}
backbone: {name: mlp, hidden: [8]}
algorithm: {name: mtnp, width: 8, heads: 2, blocks: 1, reads: 1}
train: {steps: 4, meta_batch: 2, lr: 0.003}
evaluate: {every: 2, episodes: 16}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "sets.yaml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("name", ["mtnp", "mmaml", "coupled"])
@pytest.mark.parametrize("variant", ["styles", "alphabets"])
@pytest.mark.slow
def test_every_learner_trains_and_is_measured_jointly_and_separately(
    name: str, variant: str, recipe: Path, tmp_path: Path
) -> None:
    text = RECIPE.replace("mtnp, width: 8, heads: 2, blocks: 1, reads: 1", f"{name}")
    if name == "mtnp":
        text = RECIPE
    recipe.write_text(text.replace("styles", variant).replace("steps: 4", "steps: 2"))
    out = tmp_path / "run"
    meta_train(str(recipe), [], out=str(out))
    found = evaluate(str(out), episodes=20)
    assert isinstance(found, SetEvaluation)
    assert found.metric == "accuracy"
    assert found.class_cells is not None
    assert [(one.tasks, one.way, one.shot) for one in found.class_cells] == [(3, 3, 1), (2, 3, 1)]
    first = found.class_cells[0]
    assert first.sets == 20
    assert found.mean == first.joint.of("accuracy").mean
    assert first.delta == pytest.approx(
        first.joint.of("accuracy").mean - first.separate.of("accuracy").mean
    )
    assert first.delta_ci95[0] <= first.delta <= first.delta_ci95[1]


def test_a_model_is_saved_whole_and_resumed_runs_end_as_others(
    recipe: Path, tmp_path: Path
) -> None:
    first, whole = tmp_path / "first", tmp_path / "whole"
    meta_train(str(recipe), ["train.steps=2"], out=str(first))
    meta_train(None, ["train.steps=4"], resume=str(first))
    meta_train(str(recipe), [], out=str(whole))
    scores = [json.loads((one / "metrics.json").read_text()) for one in (first, whole)]
    assert scores[0]["val_accuracy"] == scores[1]["val_accuracy"]
    model = load_classes(whole / "model")
    save_classes(model, tmp_path / "again")
    again = load_classes(tmp_path / "again")
    episodes = class_source(model.recipe, "test", AskedSets(group=2)).meta_batch_at(0)
    for seeing in (together, alone):
        sees = seeing(episodes.roles)
        found, same = (one.respond(episodes, sees).logits for one in (model, again))
        assert torch.equal(found, same)


def test_a_run_is_reported_and_inspected(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    meta_train(str(recipe), ["train.steps=2"], out=str(out))
    report(out, out=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "on validation sets, whose tasks are learned together" in page
    assert 'id="what"' in page
    run = inspect(str(out))
    assert (run.what, run.valid, run["details"]["status"]) == ("run", True, "finished")
    model = inspect(str(out / "model"))
    assert (model.what, model.valid) == ("model of sets", True)
    assert model["details"]["learner"] == "mtnp"


def test_commands_show_tables_for_people(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["inspect", str(recipe)]) == 0
    assert main(["meta-train", str(recipe), "-o", str(out), "train.steps=2"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), "--shot", "1", "--episodes", "20"]) == 0
    shown = capsys.readouterr().out
    assert "joint - separate" in shown
    assert "styles" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("algorithm: {name: mtnp", "algorithm: {name: maml"), "does not learn sets"),
        (("backbone: {name: mlp, hidden: [8]}\n", ""), "backbone is missing"),
        (("shot: [1, 2], ", ""), "sets.shot is missing"),
        (("query: 2", "query: 2, points: 5"), "sets.points is of regressions"),
        (("variant: styles", "variant: colours"), "data.variant"),
        (("mlp, hidden: [8]", "conv4, norm: batch"), "backbone.norm of a set is group or none"),
        (("source: glyphs, variant: styles", "source: school"), "no source of sets"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_answered_by_name(
    change: tuple[str, str], message: str, recipe: Path, tmp_path: Path
) -> None:
    text = RECIPE.replace(*change)
    if "maml" in change[1]:
        text = text.replace(", width: 8, heads: 2, blocks: 1, reads: 1", "")
    recipe.write_text(text)
    with pytest.raises(RecipeError, match=message):
        meta_train(str(recipe), [], out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_sets_that_are_too_large_are_named_before_anything_is_written(
    recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="need 30 in 3 styles"):
        meta_train(str(recipe), ["sets.query=8"], out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_report_shows_a_model_of_sets_of_classes_and_export_says_what_it_is_for(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    meta_train(str(recipe), ["train.steps=2"], out=str(out))
    with pytest.raises(DataError, match="has not been adapted to a set yet"):
        export(str(out))
    report(str(out), out=str(tmp_path / "page.html"))
    assert "accuracy" in (tmp_path / "page.html").read_text("utf-8")
    table = tmp_path / "set.csv"
    table.write_text("x,task,y\n1,a,2\n2,b,1\n")
    with pytest.raises(DataError, match="the model takes images"):
        adapt(str(out), table, out=str(tmp_path / "mine"))
