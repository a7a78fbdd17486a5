"""What a training run takes, writes and says, and what it refuses before it writes anything."""

from __future__ import annotations

import errno
import json
import math
import threading
from pathlib import Path

import pytest
import small_runs
import torch
from small_runs import facts, lines, recipe, trained, weights
from tiny_models import write_classes

from metacli.engine.events import EvaluationDone, Note, Notice, RunFinished, RunStarted, StepDone
from metacli.engine.meta_train import meta_train
from metacli.engine.storage import disk
from metacli.engine.training import journal
from metacli.errors import (
    BundleError,
    CheckFailed,
    DataError,
    EnvironmentProblem,
    RecipeError,
    RunFailed,
    UsageProblem,
)

pytestmark = pytest.mark.usefixtures("workplace")


def nothing_but(*names: str) -> bool:
    return sorted(path.name for path in Path.cwd().iterdir()) == sorted(names)


# What it writes and says


def test_the_result_has_the_keys_of_the_contract_and_the_best_validation(finished: Path) -> None:
    events: list = []
    result = trained("here", report=events.append)
    validations = [event for event in events if isinstance(event, EvaluationDone)]
    means = {event.step: event.metrics["accuracy"]["mean"] for event in validations}
    assert list(means) == [4, 8, 12]
    assert set(result) == {
        "run",
        "model",
        "status",
        "steps",
        "planned_steps",
        "stopped_by",
        "metrics",
        "best_step",
        "resume_command",
    }
    assert result["run"] == str(Path("here").absolute())
    assert result["model"] == str(Path("here/model").absolute())
    assert (result["status"], result["steps"]) == ("finished", 12)
    assert result["best_step"] == max(means, key=lambda step: means[step])  # the first of equals
    score = result["metrics"]["val_accuracy"]
    assert score["mean"] == means[result["best_step"]]
    assert score["n"] == 3
    assert result["resume_command"] == f"metacli meta-train --resume {result['run']}"


def test_a_run_tells_its_beginning_every_step_and_its_end() -> None:
    events: list = []
    trained("here", "train.steps=3", "evaluate.every=3", report=events.append)
    start = next(event for event in events if isinstance(event, RunStarted))
    assert (start.recipe, start.steps, start.first_step) == ("tiny", 3, 0)
    network = {k: v for k, v in weights("here/model").items() if k.startswith("backbone.")}
    assert start.details["parameters"] == sum(value.numel() for value in network.values())
    assert [event.step for event in events if isinstance(event, StepDone)] == [1, 2, 3]
    assert events[-1] == RunFinished(str(Path("here").absolute()), "finished", 3)


def test_a_run_folder_holds_the_files_of_the_contract(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()} - {".lock"}
    assert names == {"recipe.yaml", "run.json", "metrics.jsonl", "metrics.json", "state", "model"}
    assert {path.name for path in (finished / "model").iterdir()} == {
        "model.json",
        "weights.safetensors",
        "README.md",
        "manifest.json",
    }
    states = {path.name for path in (finished / "state").iterdir()}
    assert {"step-8", "step-12"} <= states


def test_run_json_holds_what_the_numbers_depend_on(finished: Path) -> None:
    found = facts(finished)
    assert found["status"] == "finished"
    assert (found["seed"], found["steps"], found["recipe"]) == (0, 12, "tiny")
    assert found["versions"] == journal.versions()
    assert (found["device"], found["threads"]) == ("cpu", 1)
    assert found["settings"]["train"]["lr"] == 1e-3
    assert len(found["data_digest"]) == 64
    assert found["data"] == {"source": "glyphs", "digest": found["data_digest"]}
    assert found["commit"] == journal.commit()
    assert found["seconds"] > 0
    assert {"command", "started", "host", "pid"} <= set(found)


def test_metrics_hold_every_early_step_and_each_validation(finished: Path) -> None:
    found = lines(finished)
    assert [line["step"] for line in found if "train" in line] == list(range(1, 13))
    assert [line["step"] for line in found if "val" in line] == [4, 8, 12]
    assert set(found[0]["train"]) == {"query_loss", "query_accuracy"}
    best = facts(finished, "metrics.json")["val_accuracy"]
    assert best["mean"] == max(line["val"]["accuracy"]["mean"] for line in found if "val" in line)


def test_the_model_is_the_state_that_validated_best(finished: Path) -> None:
    best = json.loads((finished / "state" / "step-12" / "state.json").read_text())["facts"]
    kept = weights(finished / "state" / f"best-{best['best_step']}", "params.safetensors")
    model = weights(finished / "model")
    assert set(model) == set(kept)
    assert all(torch.equal(model[name], kept[name]) for name in kept)
    document = facts(finished / "model", "model.json")
    assert document["provenance"]["steps"] == best["best_step"]
    assert document["provenance"]["appearance"]["images"] == 128
    assert document["scores"]["val_accuracy"] == best["best"]


def test_the_written_recipe_gives_the_same_weights_bit_for_bit(finished: Path) -> None:
    meta_train(str(finished / "recipe.yaml"), out="again", device="cpu")
    meta_train(str(finished), out="from the folder", device="cpu")
    small_runs.assert_same_training(finished, "again")
    small_runs.assert_same_training(finished, "from the folder")


def test_another_seed_gives_other_weights(finished: Path) -> None:
    trained("other", seed=1)
    assert facts("other")["seed"] == 1
    first, second = weights(finished / "model"), weights("other/model")
    assert not torch.equal(first["backbone.0.conv.weight"], second["backbone.0.conv.weight"])


def test_without_out_runs_are_named_by_recipe_and_time_and_never_reused() -> None:
    short = ("train.steps=1", "evaluate.every=1")
    runs = [Path(trained(None, *short)["run"]) for _ in range(3)]
    assert len(set(runs)) == 3
    assert {run.parent for run in runs} == {Path("runs/tiny").absolute()}


def test_a_dry_run_writes_nothing_at_all() -> None:
    for out in (None, "here"):
        result = trained(out, dry_run=True)
        assert nothing_but("tiny.yaml")
        assert (result["status"], result["steps"], result["dry_run"]) == ("planned", 0, True)
    assert "execution: vmap" in result["recipe"]  # resolved


def test_a_dry_run_of_a_resumption_trains_nothing(finished: Path) -> None:
    run = small_runs.copied(finished)
    before = small_runs.tree(run)
    result = meta_train(resume=str(run), overrides=["train.steps=20"], dry_run=True)
    assert small_runs.tree(run) == before
    assert result["status"] == "planned"


def test_several_seeds_are_several_runs_and_their_mean() -> None:
    result = trained("many", "train.steps=2", "evaluate.every=2", seeds=2)
    assert [run["run"] for run in result["runs"]] == [
        str(Path("many/seed-0").absolute()),
        str(Path("many/seed-1").absolute()),
    ]
    assert [facts(run["run"])["seed"] for run in result["runs"]] == [0, 1]
    means = [run["metrics"]["val_accuracy"]["mean"] for run in result["runs"]]
    assert result["metrics"]["val_accuracy"]["mean"] == pytest.approx(sum(means) / 2)
    assert result["metrics"]["val_accuracy"]["n"] == 2
    # Student's t with one degree of freedom: 12.706 standard errors, each half of the distance.
    half = 12.7062 * abs(means[0] - means[1]) / 2
    assert result["metrics"]["val_accuracy"]["ci95"] == pytest.approx(half, rel=1e-4)


def test_a_time_limit_ends_a_run_in_good_order_and_its_schedule_with_it() -> None:
    events: list = []
    overrides = ("train.steps=100000", "train.schedule=linear", "evaluate.every=100000")
    result = trained("timed", *overrides, max_time=0.3, report=events.append)
    assert result["status"] == "finished"
    assert 0 < result["steps"] < 100000
    assert (result["stopped_by"], result["planned_steps"]) == ("max_time", 100000)
    assert result["best_step"] == result["steps"]  # validated at its end
    assert Path("timed/model/weights.safetensors").is_file()
    assert facts("timed")["status"] == "finished"


def test_baselines_are_trained_as_long_as_the_run_and_kept_on_resume() -> None:
    waves = recipe(small_runs.WAVES, "waves.yaml")
    meta_train(waves, out="run", device="cpu")
    document = facts("run/baselines/joint", "model.json")
    assert document["recipe"]["algorithm"]["name"] == "joint"
    assert document["recipe"]["algorithm"]["inner_lr"] == 0.01  # the run's
    assert document["provenance"]["steps"] == 4
    before = Path("run/baselines/joint/model.json").stat().st_mtime_ns
    meta_train(resume="run")
    assert Path("run/baselines/joint/model.json").stat().st_mtime_ns == before
    meta_train(resume="run", overrides=["train.steps=6"])  # a longer run, a longer baseline
    assert facts("run/baselines/joint", "model.json")["provenance"]["steps"] == 6


# Checks


def test_a_validation_below_the_bound_fails_with_its_result_and_keeps_the_model() -> None:
    with pytest.raises(CheckFailed) as caught:
        trained("here", "train.steps=2", "evaluate.every=2", fail_under=["accuracy=1"])
    assert caught.value.exit_code == 5
    assert caught.value.result["status"] == "finished"
    assert Path("here/model/model.json").is_file()


def test_a_bound_on_what_is_not_measured_is_refused_before_the_work() -> None:
    for wrong in ("acuracy=0.5", "f1=0.5"):
        with pytest.raises(UsageProblem, match="no metric"):
            trained("here", fail_under=[wrong])
    with pytest.raises(UsageProblem) as caught:
        trained("here", fail_over=["accuracy=0.5"])
    assert "--fail-under accuracy" in caught.value.hint
    assert nothing_but("tiny.yaml")


def test_a_learner_with_batch_statistics_trains_and_validates_in_half_precision() -> None:
    half = ("backbone.norm=batch", "train.precision=bfloat16", "train.steps=2", "evaluate.every=2")
    result = trained("here", *small_runs.FIXED_HEAD, *half, "baselines=[]")
    assert (result["status"], result["steps"]) == ("finished", 2)
    assert 0 <= result["metrics"]["val_accuracy"]["mean"] <= 1
    stored = weights(Path("here/model"))
    assert {value.dtype for value in stored.values()} == {torch.float32}
    assert all(bool(torch.isfinite(value).all()) for value in stored.values())


# What it refuses before it writes


@pytest.mark.parametrize(
    ("overrides", "error", "words"),
    [
        (["algorithm.name=protonets"], RecipeError, "protonets"),
        (["algorithm.distnace=cosine"], RecipeError, "distnace"),
        (["backbone.width=0"], RecipeError, "backbone.width"),
        (
            ["train.execution=compiled", "algorithm.name=matchingnet"],
            RecipeError,
            "not for matchingnet",
        ),
        (["data.source=no/such/folder"], DataError, "no/such/folder"),
        (["data.source=glyph"], DataError, "glyph"),
        (["episodes.way=10000"], DataError, "10000"),
        (["episodes.shot=20"], DataError, "20"),
        (["baselines=[protonett]"], RecipeError, "protonett"),
        (["algorithm.name=joint"], RecipeError, "joint needs labels that mean the same"),
    ],
)
def test_a_wrong_recipe_or_wrong_data_leave_no_trace(
    overrides: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        trained("here", *overrides)
    assert caught.value.exit_code == 3
    assert nothing_but("tiny.yaml")


def test_a_missing_compiler_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EnvironmentProblem, match="no-such-compiler") as caught:
        trained("here", *small_runs.FIXED_HEAD, "train.execution=compiled")
    assert caught.value.exit_code == 4
    assert nothing_but("tiny.yaml")


def test_a_multitask_recipe_is_not_for_this_command() -> None:
    text = """version: 1
kind: multitask
data: {source: glyphs}
backbone: {name: conv4}
sharing: {name: hard}
weighting: {name: fixed}
train: {steps: 1}
"""
    with pytest.raises(UsageProblem, match="kind multitask") as caught:
        meta_train(recipe(text, "multi.yaml"))
    assert caught.value.hint == "metacli multitask multi.yaml"


def test_images_too_small_for_the_backbone_are_refused() -> None:
    write_classes(Path("pool"), {f"c{i:02}": 4 for i in range(20)})
    overrides = ("data.size=15", "backbone.downsample=pool", "episodes.way=2")
    with pytest.raises(RecipeError, match="15x15"):
        meta_train(recipe(), overrides, data="pool", out="here")


@pytest.mark.parametrize(
    "options",
    [{"resume": "x", "seed": 1}, {"resume": "x", "out": "y"}, {"max_time": 0}],
)
def test_options_that_do_not_fit_together_are_wrong_usage(options: dict) -> None:
    name = None if "resume" in options else recipe()
    with pytest.raises(UsageProblem):
        meta_train(name, **options)
    assert not Path("runs").exists()


# The run folder of -o


def test_an_output_folder_with_content_is_refused_and_a_foreign_one_even_with_force() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    with pytest.raises(BundleError) as caught:
        trained("mine")
    assert (caught.value.code, "--force" in caught.value.hint) == ("output.exists", True)
    with pytest.raises(BundleError, match="did not write"):
        trained("mine", force=True)
    assert small_runs.tree("mine") == {"thesis.txt": b"years"}
    Path("file").write_text("x")
    with pytest.raises(BundleError, match="file"):
        trained("file")


def test_force_replaces_a_run_and_keeps_what_is_not_its_own(finished: Path) -> None:
    run = small_runs.copied(finished)
    (run / "notes.txt").write_text("keep")
    trained("run", "train.steps=2", "evaluate.every=2", force=True)
    assert {path.name for path in (run / "state").iterdir()} == {"step-2", "best-2"}
    assert [line["step"] for line in lines(run)] == [1, 2, 2]
    assert (run / "notes.txt").read_text() == "keep"


def test_an_empty_folder_and_one_with_nothing_but_a_lock_are_free() -> None:
    Path("empty").mkdir()
    Path("killed").mkdir()
    Path("killed/.lock").touch()
    for name in ("empty", "killed"):
        assert trained(name, "train.steps=1", "evaluate.every=1")["status"] == "finished"


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_reported_who_is_there() -> None:
    there, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        there.set()
        assert go_on.wait(60)

    run = threading.Thread(
        target=trained,
        args=("one", "train.steps=2"),
        kwargs={"report": small_runs.at_step(1, wait)},
    )
    run.start()
    try:
        assert there.wait(60)
        for force in (False, True):
            with pytest.raises(EnvironmentProblem, match="in use by process") as caught:
                trained("one", force=force)
        assert caught.value.exit_code == 4
        with pytest.raises(EnvironmentProblem, match="in use"):
            meta_train(resume="one")
    finally:
        go_on.set()
        run.join()
    assert facts("one")["status"] == "finished"


# Failures


def test_a_loss_that_is_not_finite_stops_before_the_step_and_is_written_down() -> None:
    spoil = ("train.optimizer=sgd", "train.lr=1e38", "evaluate.every=1")
    events: list = []
    with pytest.raises(RunFailed) as caught:
        trained("here", *spoil, report=events.append)
    assert (caught.value.exit_code, caught.value.code) == (7, "run.not_finite")
    assert caught.value.result["status"] == "failed"
    assert facts("here")["status"] == "failed"
    done = max(event.step for event in events if isinstance(event, StepDone))
    replay = facts("here/state", "failed.json")
    assert replay["step"] == done + 1
    assert replay["episodes"] == [2 * done, 2 * done + 1]
    assert (replay["seed"], replay["last_checkpoint"]) == (0, done)
    assert f"step {replay['step']}" in caught.value.message
    assert events[-1] == RunFinished(str(Path("here").absolute()), "failed", done)


def test_a_full_disk_ends_the_run_and_resuming_goes_on_from_the_state_before(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        report = small_runs.at_step(7, lambda: patch.setattr(disk.os, "write", full))
        with pytest.raises(RunFailed, match=r"no space left writing .*MB free") as caught:
            trained("run", report=report)
    assert caught.value.exit_code == 7
    assert caught.value.result["steps"] == 4  # the checkpoint that is there
    assert [p.name for p in Path("run/state").iterdir() if p.name.startswith(".metacli")] == []
    meta_train(resume="run")
    small_runs.assert_same_training(finished, "run")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_out_of_memory_is_a_failed_run_with_a_hint(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_it() -> None:
        raise error

    with pytest.raises(RunFailed, match="out of memory") as caught:
        trained("here", report=small_runs.at_step(5, raise_it))
    assert "meta_batch" in caught.value.hint
    assert caught.value.result["steps"] == 4
    assert facts("here")["status"] == "failed"


# A user's own data


def test_a_folder_of_classes_is_trained_with_a_recipe_that_fits_it() -> None:
    write_classes(Path("pool"), {f"c{i:02}": 4 for i in range(20)})
    small = ["train.steps=2", "evaluate.every=2", "evaluate.episodes=2", "backbone.width=4"]
    events: list = []
    result = meta_train("pool", small, report=events.append)
    run = Path(result["run"])
    assert run.parent.name == "folder-anyway-protonet"
    settings = facts(run)["settings"]
    # 64/16/20 % of 20 classes are 13, 3 and 4; 4 pictures are at most 3 for support, 1 for query
    fitted = {"way": 3, "shot": [1, 3], "query": 1, "balanced": False}
    assert fitted.items() <= settings["episodes"].items()
    assert settings["data"] == {"source": str(Path("pool").absolute())}
    assert len(facts(run)["data"]["classes"]) == 13
    chosen = [event for event in events if isinstance(event, Notice | Note)]
    assert isinstance(chosen[0], Note)  # no warning
    assert [event.code for event in chosen] == ["recipe.chosen"]
    assert "3 classes of 1 to 3 examples" in chosen[0].message
    meta_train(str(run / "recipe.yaml"), out="again")  # written out


def test_other_data_drop_the_options_and_the_expected_score_of_a_recipe() -> None:
    text = small_runs.RECIPE.replace("{source: glyphs}", "{source: omniglot, scheme: vinyals}")
    text += "expect: {metric: accuracy, min: 0.99}\n"
    result = meta_train(recipe(text, "o.yaml"), data="glyphs", dry_run=True)
    assert "data: {source: glyphs}\n" in result["recipe"]
    assert "expect: null" in result["recipe"]


def test_a_folder_with_too_few_classes_or_none_is_refused() -> None:
    write_classes(Path("few"), {"a": 3, "b": 3})
    with pytest.raises(DataError, match="2 classes divide"):
        meta_train("few")
    Path("bare").mkdir()
    with pytest.raises(DataError):
        meta_train("bare")
    with pytest.raises(DataError, match="no such"):
        meta_train(data="nowhere")
    assert not Path("runs").exists()


def test_a_relative_folder_of_data_is_recorded_whole() -> None:
    write_classes(Path("pool"), {f"c{i:02}": 4 for i in range(20)})
    overrides = ["data.source=pool/", "episodes.way=2", "train.steps=1", "data.size=16"]
    meta_train(recipe(), [*overrides, "evaluate.every=1"], out="run")
    assert facts("run")["settings"]["data"]["source"] == str(Path("pool").absolute())


def test_nan_validations_lose_against_any_other() -> None:
    from metacli.engine.training.keeper import better

    assert better(math.nan, None, "classification")
    assert better(0.1, math.nan, "classification")
    assert not better(math.nan, 0.1, "classification")
    assert not better(0.2, 0.2, "classification")  # the earlier of two equals is kept
    assert better(0.1, 0.2, "regression")
    assert not better(0.3, 0.2, "regression")
