"""`multitask` and `evaluate` of what it makes: many tasks together, each beside itself alone."""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.cli.app import main
from metacli.cli.multitask import related_lines
from metacli.cli.views.block import Block
from metacli.data.cache.download import fetch_dataset
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import EvaluationDone, StepDone
from metacli.engine.meta_train import meta_train
from metacli.engine.models import folder as models
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.training.multi_task.build import make_rows
from metacli.errors import (
    BundleError,
    DataError,
    Interrupted,
    MetacliError,
    RecipeError,
    UsageProblem,
)
from metacli.schema.load import load

pytestmark = pytest.mark.usefixtures("one_thread")

BESIDE = Path(__file__).parents[3] / "shared" / "data"
MIRROR = os.environ.get("METACLI_MIRROR") or (str(BESIDE) if BESIDE.is_dir() else None)
needs_files = pytest.mark.skipif(
    MIRROR is None, reason="set METACLI_MIRROR to a folder with the files of these sets"
)

RECIPE = """
version: 1
kind: multitask
seed: 0
data: {source: task-families, groups: 1, tasks: 3, unrelated: 1, size: 48}
backbone: {name: mlp, hidden: [8]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 30, lr: 0.01}
evaluate: {every: 10}
"""


@pytest.fixture
def recipe(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)
    return "tiny.yaml"


@pytest.fixture
def few_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boosted trees take longer than all the rest."""
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    real = task_baselines.suited
    short = lambda table: (one for one in real(table) if one[0] != "trees-task-column")  # noqa: E731
    monkeypatch.setattr(task_baselines, "suited", short)


def test_a_run_compares_each_task_with_itself_alone_on_validation(recipe):
    result = multitask(recipe, out="run")
    assert result["status"] == "finished"
    names = [task["name"] for task in result["tasks"]]
    assert names == ["group1-1", "group1-2", "group1-3", "alone-1"]
    for task in result["tasks"]:
        assert task["metric"] == "nmse"
        assert task["delta"] == pytest.approx(task["value"] - task["single_task"])
    assert result["mean_delta"] == pytest.approx(np.mean([t["delta"] for t in result["tasks"]]))
    assert set(result["baselines"]) == {
        "single-task",
        "per-task",
        "pooled",
        "pooled-task-column",
        "feature-augmentation",
        "random-intercepts",
        "random-slopes",
        "trees-task-column",
    }
    validation = np.mean([task["value"] for task in result["tasks"]])
    assert result["metrics"]["val_nmse"]["mean"] == pytest.approx(validation)
    assert Path("run/baselines/single-task/model.json").is_file()
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"


@pytest.mark.usefixtures("few_baselines")
def test_the_single_task_baseline_is_each_network_trained_by_itself(recipe):
    """One task alone with the same network ends where it ends among the others."""
    multitask(recipe, ["train.steps=10"], out="run")
    together = models.load(Path("run/baselines/single-task"))
    rows = make_rows(together.recipe)
    x, y = rows.numbers("train")
    standard = rows.standard("train")
    theta = {
        name: value[:1].clone()
        for name, value in together.problem().init(0).items()
        if name.startswith(("trunk.", "heads."))
    }
    moved = [value.requires_grad_() for value in theta.values()]
    optimizer = torch.optim.Adam(moved, lr=0.01)
    a = torch.tensor((x[0] - standard.x_mean) / standard.x_scale, dtype=torch.float32)
    b = torch.tensor((y[0] - standard.y_mean[0]) / standard.y_scale[0], dtype=torch.float32)
    for _ in range(10):
        optimizer.zero_grad()
        hidden = torch.relu(a @ theta["trunk.0.weight"][0] + theta["trunk.0.bias"][0])
        out = hidden @ theta["heads.weight"][0] + theta["heads.bias"][0]
        (out - b).square().mean().backward()
        optimizer.step()
    assert together.provenance["best_step"] == 10
    for name, value in theta.items():
        torch.testing.assert_close(together.params[name][:1], value.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("few_baselines")
def test_test_rows_are_read_by_evaluate_alone(recipe, monkeypatch):
    from metacli.data.multi_task.dataset import MultiTaskRows

    asked: list[str] = []
    real = MultiTaskRows.numbers
    monkeypatch.setattr(
        MultiTaskRows, "numbers", lambda self, *splits: asked.extend(splits) or real(self, *splits)
    )
    multitask(recipe, out="run")
    assert set(asked) == {"train", "val"}
    evaluate("run")
    assert "test" in asked


@pytest.mark.usefixtures("few_baselines")
def test_evaluate_scores_test_rows_with_verdicts_and_records_them(recipe):
    multitask(recipe, out="run")
    result = evaluate("run")
    assert (result["metric"], result["split"], len(result["tasks"])) == ("nmse", "test", 4)
    model = models.load(Path("run/model"))
    rows = make_rows(model.recipe)
    found = predictions(model.problem(), model.params, rows, "test")
    y = rows.numbers("test")[1]
    by_hand = [((a - b) ** 2).mean() / a.var() for a, b in zip(y, found, strict=True)]
    assert [task["value"] for task in result["tasks"]] == pytest.approx(by_hand)
    assert result["mean"] == pytest.approx(np.mean(by_hand))
    words = {"helped", "no_difference", "hurt", "too_few_to_say"}
    assert {task["verdict"] for task in result["tasks"]} <= words
    [line] = [json.loads(one) for one in Path(result["scores"]).read_text().splitlines()]
    assert (line["unit"], line["values"]) == ("task", pytest.approx(by_hand))
    assert result["baselines"]["single-task"]["verdict"] in words


@pytest.mark.usefixtures("few_baselines")
def test_predictions_answer_row_by_row(recipe):
    multitask(recipe, out="run")
    model = models.load(Path("run/model"))
    batch = make_rows(model.recipe).batch("val")
    whole = model.problem().predict(model.params, batch.x)
    alone = model.problem().predict(model.params, batch.x[:, 2:3])
    torch.testing.assert_close(whole[:, 2:3], alone)


@pytest.mark.usefixtures("few_baselines", "signals_heard")
@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_bits(recipe):
    options = ["weighting.name=dwa", "weighting.window=3"]
    multitask(recipe, options, out="whole")

    def stop(event: object) -> None:
        if isinstance(event, StepDone) and event.step == 13:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        multitask(recipe, options, out="cut", report=stop)
    assert caught.value.result["resume_command"].startswith("metacli multitask --resume")
    result = multitask(resume="cut")
    assert (result["status"], result["steps"]) == ("finished", 30)
    one, other = models.load(Path("whole/model")), models.load(Path("cut/model"))
    assert all(torch.equal(one.params[name], other.params[name]) for name in one.params)
    assert result["tasks"] == multitask(resume="whole")["tasks"]


@pytest.mark.usefixtures("few_baselines", "signals_heard")
def test_a_compared_run_that_is_trained_further_and_stopped_says_what_it_knows(recipe):
    steps = [f"train.steps={count}" for count in (2, 6)]
    first = multitask(recipe, steps[:1], out="run")

    def stop(event: object) -> None:
        if isinstance(event, StepDone):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        multitask(resume="run", overrides=steps[1:], report=stop)
    assert caught.value.result["tasks"] == first["tasks"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["sharing.name=hrad"], "did you mean hard"),
        (["weighting.name=pcgrad"], "unknown weighting"),
        (["surgery.name=pcgrad", "weighting.name=log"], "balances the tasks itself"),
        (["surgery.name=mgda", "sharing.name=none"], "no shared parameters"),
        (["weighting.name=gradnorm", "sharing.name=soft-l2"], "needs a shared layer"),
        (["backbone.name=linear", "backbone.hidden=null"], "unknown key"),
        (["sharing.name=mean-ridge"], "linear backbone"),
        (["weighting.temperature=2"], "unknown key"),
        (["guard=true", "sharing.name=none"], "what tasks share"),
        (["groups=[[group1-1, group1-9]]"], "group1-9"),
    ],
)
def test_what_does_not_fit_together_is_reported_before_anything_is_written(recipe, changes, said):
    with pytest.raises(RecipeError) as caught:
        multitask(recipe, changes, out="run")
    error = caught.value
    every = [(error.message, error.hint), *((one.message, one.hint) for one in error.findings)]
    assert said in " ".join(str(text) for pair in every for text in pair)
    assert not Path("run").exists()


def test_each_verb_sends_a_recipe_of_the_other_kind_to_the_other(recipe):
    with pytest.raises(UsageProblem) as caught:
        meta_train(recipe)
    assert caught.value.hint == "metacli multitask tiny.yaml"
    with pytest.raises(UsageProblem) as caught:
        multitask("glyphs-5w1s-protonet")
    assert caught.value.hint == "metacli meta-train glyphs-5w1s-protonet"


@pytest.mark.usefixtures("few_baselines")
def test_verbs_for_few_shot_models_say_that_this_is_none(recipe, tmp_path):
    multitask(recipe, ["train.steps=1"], out="run")
    (tmp_path / "task" / "a").mkdir(parents=True)
    calls = [
        lambda: adapt("run", "task"),
        lambda: predict("run", ["task"]),
        lambda: evaluate("run", way=5),
    ]
    for call in calls:
        with pytest.raises(MetacliError) as caught:
            call()
        assert isinstance(caught.value, BundleError | UsageProblem | DataError)


@pytest.mark.usefixtures("few_baselines")
def test_another_division_than_the_models_is_refused(recipe, tmp_path):
    multitask(recipe, ["train.steps=1"], out="run")
    document = Path("run/model/model.json").read_text()
    assert '"digest"' in document
    model = models.load(Path("run/model"))
    changed = model.recipe.model_copy(
        update={"data": model.recipe.data.model_copy(update={"options": {"split_seed": 5}})}
    )
    from dataclasses import replace

    models.save(replace(model, recipe=changed), tmp_path / "other")
    with pytest.raises(DataError, match="splits"):
        evaluate(str(tmp_path / "other"))


@pytest.mark.usefixtures("few_baselines")
def test_mean_ridge_is_solved_in_one_step_and_shipped_with_the_validation_rows(recipe):
    events: list = []
    Path("ridge.yaml").write_text(
        RECIPE.replace("{name: hard}", "{name: mean-ridge, folds: 3}").replace(
            "{name: mlp, hidden: [8]}", "{name: linear}"
        )
    )
    result = multitask("ridge.yaml", out="run", report=events.append)
    assert result["steps"] == 1
    assert sum(isinstance(event, EvaluationDone) for event in events) == 1
    shipped = models.load(Path("run/model"))
    rows = make_rows(shipped.recipe)
    assert shipped.params["input.mean"].numpy() == pytest.approx(
        rows.standard("train", "val").x_mean
    )
    assert shipped.params["ridge.penalties"].shape == (3,)
    again = multitask(resume="run")["tasks"]
    assert [t["delta"] for t in again] == pytest.approx([t["delta"] for t in result["tasks"]])


def test_the_simple_models_are_those_of_scikit_learn(recipe):
    from sklearn.linear_model import RidgeCV

    rows = make_rows(load(recipe).recipe)
    found = dict(outside_predictions(rows, ("train",), "val", lambda name: None))
    x, y = rows.numbers("train")
    standard = rows.standard("train")
    scaled = [(one - standard.x_mean) / standard.x_scale for one in x]
    model = RidgeCV(alphas=np.logspace(-1, 4, 16)).fit(scaled[2], y[2])
    inputs = (rows.numbers("val")[0][2] - standard.x_mean) / standard.x_scale
    assert found["per-task"][2] == pytest.approx(model.predict(inputs), abs=1e-6)


@needs_files
@pytest.mark.slow
@pytest.mark.usefixtures("few_baselines")
def test_school_together_is_better_than_apart_and_than_pooled(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fetch_dataset("school", cache, mirror=MIRROR, offline=True)
    # Fewer penalties to choose from, so that this takes seconds.
    changes = ["sharing.slope=[300.0]", "sharing.intercept=[10.0]", "sharing.mean=[1.0]"]
    multitask("school-soft", changes, out="run")
    result = evaluate("run")
    assert result["mean"] == pytest.approx(0.382, abs=0.002)
    assert result["mean_task_r2"] < result["within_tasks"] < result["mean"]
    beaten = result["baselines"]
    for name in ("single-task", "per-task", "pooled", "random-intercepts"):
        assert beaten[name]["delta"] > 0, name
    assert beaten["single-task"]["verdict"] == "helped"


@pytest.mark.slow
@pytest.mark.usefixtures("few_baselines")
def test_the_commands_that_the_tutorial_shows_work(cache, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / "tutorials" / "related-tasks.md"
    section = page.read_text(encoding="utf-8")
    lines = section.partition("```\n")[2].partition("```")[0].splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert ["fetch", "school"] in commands
    if MIRROR is None:
        commands = commands[: commands.index(["fetch", "school"])]
    else:
        monkeypatch.setenv("METACLI_MIRROR", MIRROR)
    quick = {
        "task-families-hard": ["train.steps=20"],
        "school-soft": ["sharing.slope=[300.0]", "sharing.intercept=[10.0]"],
    }
    for words in commands:
        more = [extra for name in words[1:2] for extra in quick.get(name, [])]
        assert main([*words, *(more if words[0] == "multitask" else [])]) == 0, words
    out = capsys.readouterr().out
    assert " over 14 tasks: " in out
    assert "next: metacli evaluate" in out


@pytest.mark.usefixtures("few_baselines")
def test_a_run_says_which_tasks_belong_together_and_draws_it(recipe):
    result = multitask(recipe, out="run")
    found = json.loads(Path("run/relatedness.json").read_text())
    assert found["tasks"] == result["relatedness"]["tasks"] == [t["name"] for t in result["tasks"]]
    assert not result["relatedness"]["trained"]
    matrix = np.array(found["matrix"])
    assert matrix.shape == (4, 4)
    assert matrix.diagonal().tolist() == [1.0] * 4
    assert sorted(name for group in found["groups"] for name in group) == sorted(found["tasks"])
    names = {path.name for path in Path("run/plots").iterdir()}
    assert names == {"curves.svg", "deltas.svg", "relatedness.svg"}
    for name in names:
        assert Path("run/plots", name).read_bytes().lstrip().startswith(b"<?xml")


@pytest.mark.usefixtures("few_baselines")
def test_groups_auto_trains_the_suggested_groups_and_a_repeat_has_the_same(recipe):
    result = multitask(recipe, ["groups=auto", "data.size=160", "train.steps=10"], out="run")
    assert result["relatedness"]["trained"]
    assert list(related_lines(Block(result["relatedness"])))[1] == (
        "to share only where it helps: guard=true"
    )
    found = json.loads(Path("run/relatedness.json").read_text())["groups"]
    assert found == [["group1-1", "group1-2", "group1-3"], ["alone-1"]]
    model = models.load(Path("run/model"))
    assert [list(group) for group in model.recipe.groups] == found
    assert any(name.startswith("group.1.trunk.") for name in model.params)
    multitask("run/recipe.yaml", out="again")
    again = models.load(Path("again/model"))
    assert all(torch.equal(model.params[name], again.params[name]) for name in model.params)


@pytest.mark.usefixtures("few_baselines")
@pytest.mark.slow
def test_a_guarded_model_answers_as_each_task_was_decided(recipe, monkeypatch):
    from metacli.engine.training.multi_task import compare as multi_task_compare
    from metacli.engine.training.multi_task.guard import Decision, Guarded

    chosen = [True, False, True, False]
    decided = Guarded([Decision(shares, 0.1, 0.05) for shares in chosen])
    monkeypatch.setattr(multi_task_compare, "decide", lambda *_, others: decided)
    result = multitask(recipe, ["guard=true"], out="run")
    multitask(recipe, out="plain")
    rows = make_rows(models.load(Path("run/model")).recipe)
    found = {}
    for name in ("run/model", "plain/model", "run/baselines/single-task"):
        model = models.load(Path(name))
        found[name] = predictions(model.problem(), model.params, rows, "test")
    guarded = models.load(Path("run/model"))
    problem = guarded.problem()
    first = predictions(problem.first, problem.first_params(guarded.params), rows, "test")
    for task, shares in enumerate(chosen):
        if shares:  # the mean of the run's own network and one from another seed
            assert first[task] == pytest.approx(found["plain/model"][task])
        else:
            alone = found["run/baselines/single-task"][task]
            assert found["run/model"][task] == pytest.approx(alone)
    assert [
        t["guard"]["answer"] for t in json.loads(Path("run/tasks.json").read_text())["tasks"]
    ] == [
        "together",
        "alone",
        "together",
        "alone",
    ]
    assert result["metrics"]["val_nmse"]["mean"] != result["baselines"]["unguarded"]["mean"]
    assert evaluate("run")["tasks"][1]["delta"] == 0.0


def test_the_guard_shares_only_what_is_better_by_one_standard_error():
    from metacli.engine.training.multi_task.guard import judge

    rng = np.random.default_rng(0)
    y = [rng.normal(size=40) for _ in range(5)]
    near = [one + 0.1 * rng.normal(size=40) for one in y]
    far = [one + 1.0 * rng.normal(size=40) for one in y]
    assert judge("nmse", y, near, far).shares
    assert not judge("nmse", y, far, near).shares
    tie = judge("nmse", y, near, near)
    assert (tie.shares, tie.gain) == (False, 0.0)
    one_fold = judge("nmse", y, [near[0], *far[1:]], far)  # luck in one fold is not enough
    assert one_fold.gain > 0
    assert not one_fold.shares


def test_inner_folds_leave_every_training_row_out_once(recipe):
    from metacli.engine.training.multi_task.guard import FOLDS, inner_folds, without_fold

    rows = make_rows(load(recipe).recipe)
    numbers = inner_folds(rows)
    held = [without_fold(rows, numbers, fold).parts for fold in range(FOLDS)]
    for task, own in enumerate(rows.parts["train"]):
        every = np.concatenate([parts["test"][task] for parts in held])
        assert sorted(every) == sorted(own)
        for parts in held:
            assert not set(parts["train"][task]) & set(parts["test"][task])
            assert list(parts["val"][task]) == list(rows.parts["val"][task])
