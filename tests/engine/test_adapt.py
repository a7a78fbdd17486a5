"""A model on a user's own few pictures: a score that is held out, a verdict, and a new model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import tree
from tiny_models import adapted_model, saved, tiny_model, tiny_source, write_classes

from metacli.engine.adapt import adapt
from metacli.engine.events import Notice
from metacli.engine.models import folder as models
from metacli.engine.predict import predict
from metacli.errors import BundleError, CheckFailed, DataError, RecipeError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")
MAML = {"name": "maml", "inner_steps": 1, "first_order": True}


@pytest.fixture
def model() -> str:
    return saved(tiny_model(), Path("source"))


@pytest.fixture
def fixed() -> str:
    return saved(tiny_model(MAML, way=3), Path("fixed"))


def mixed_task(folder: Path, counts: tuple[int, ...] = (3, 4, 5, 6, 3, 4, 5)) -> Path:
    """Class folders in every colour mode; a class is a pattern with a little noise."""
    rng = np.random.default_rng(0)
    for label, count in enumerate(counts):
        pattern = np.kron(rng.integers(0, 2, (4, 4)), np.ones((8, 8))) * 200 + 20
        for number in range(count):
            noisy = (pattern + rng.integers(0, 30, pattern.shape)).astype(np.uint8)
            write_as(Image.fromarray(noisy), folder / f"class {label}", number)
    return folder


def write_as(picture: Image.Image, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    modes = ("RGBA", "L", "JPEG", "RGB", "LA", "P")
    mode = modes[number % len(modes)]
    if mode == "JPEG":  # turned by 90 degrees, and told so
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.rotate(90, expand=True).save(folder / f"{number}.jpg", exif=exif, quality=95)
    else:
        picture.convert(mode).save(folder / f"{number}.png")


def with_query(folder: Path, query: dict[str, int] | None = None) -> Path:
    write_classes(folder / "support", {"ant": 3, "bee": 3, "cat": 3})
    write_classes(folder / "query", query or {"ant": 2, "bee": 2, "cat": 2}, seed=1)
    return folder


# The result


def test_the_result_has_the_keys_of_the_contract(model: str) -> None:
    task = mixed_task(Path("seven"))
    result = adapt(model, str(task), out="mine")
    keys = ("model", "from", "method", "options", "task", "score", "transfer", "sources", "device")
    assert set(result) == {*keys, "calibration", "reject"}
    assert result["model"] == str(Path("mine").absolute())
    assert result["from"] == str(Path("source").absolute())
    assert (result["method"], result["sources"]) == ("native", [])
    assert result["task"] | {"guessed": []} == {
        "path": str(Path("seven").absolute()),
        "kind": "images",
        "type": "classification",
        "labels": [f"class {i}" for i in range(7)],
        "support": 30,
        "query": 0,
        "guessed": [],
        "skipped": 0,
        "duplicates": 0,
    }
    score = result["score"]
    assert score["how"] == "kfold:3"  # the smallest class has three
    assert (score["metric"], score["n"], score["chance"]) == ("accuracy", 30, 1 / 7)
    assert score["low"] <= score["value"] <= score["high"]
    transfer = result["transfer"]
    assert {"baseline", "delta", "delta_ci95", "verdict"} <= set(transfer)
    assert transfer["verdict"] in ("helped", "no_difference", "hurt")
    low, high = transfer["delta_ci95"]
    assert low <= transfer["delta"] <= high
    assert transfer["delta"] == pytest.approx(
        score["value"] - transfer["baseline"]["value"], abs=0.05
    )


def test_every_colour_mode_and_turned_jpegs_are_read_as_what_they_show(model: str) -> None:
    score = adapt(model, str(mixed_task(Path("seven"))), out="mine")["score"]
    assert score["value"] == 1.0  # the patterns are told apart by any network


def test_folds_never_score_what_was_adapted_on(model: str) -> None:
    # Random pictures under random labels: training accuracy would be 1, chance is 1/2.
    task = write_classes(Path("noise"), {"a": 40, "b": 40})
    result = adapt(model, str(task), out="mine")
    assert result["score"]["how"] == "kfold:5"
    assert result["score"]["value"] < 0.75


def test_a_query_is_scored_when_there_is_one(model: str) -> None:
    result = adapt(model, str(with_query(Path("task"))), out="mine")
    assert (result["score"]["how"], result["score"]["n"]) == ("query", 6)
    assert (result["task"]["support"], result["task"]["query"]) == (9, 6)
    rows = predict("mine", ["task/query"])["rows"]
    right = [Path(row["input"]).parent.name == row["prediction"] for row in rows]
    assert result["score"]["value"] == pytest.approx(np.mean(right))
    assert result["transfer"]["verdict"] == "too_few_to_say"  # six units


def test_a_share_can_be_held_out_instead(model: str) -> None:
    task = write_classes(Path("task"), {"a": 10, "b": 10})
    result = adapt(model, str(task), out="mine", holdout=0.3)
    assert (result["score"]["how"], result["score"]["n"]) == ("holdout:0.3", 6)
    for share in (0, 1, -0.5, 30):
        with pytest.raises(UsageProblem, match="--holdout"):
            adapt(model, str(task), out="other", holdout=share)


def test_what_was_not_compared_has_no_verdict(model: str) -> None:
    task = write_classes(Path("task"), {"a": 3, "b": 3})
    result = adapt(model, str(task), out="mine", compare=False)
    assert result["score"]["value"] is not None
    assert result["transfer"]["verdict"] is None


def test_one_example_per_class_has_no_score_and_says_why(model: str) -> None:
    task = write_classes(Path("task"), {"a": 1, "b": 1})
    result = adapt(model, str(task), out="mine")
    assert (result["score"]["value"], result["score"]["how"]) == (None, "none")
    assert "single example" in result["score"]["why"]
    assert result["transfer"]["verdict"] == "too_few_to_say"
    assert predict("mine", str(task))["rows"][0]["prediction"] == "a"
    with pytest.raises(UsageProblem, match="no score to check"):
        adapt(model, str(task), out="again", fail_under=["accuracy=0.5"])


def test_the_network_from_scratch_is_a_baseline_on_request(model: str) -> None:
    task = write_classes(Path("task"), {"a": 3, "b": 3})
    plain = adapt(model, str(task), out="one", holdout=0.34)["transfer"]["all"]
    asked = adapt(model, str(task), out="two", holdout=0.34, baseline=True)["transfer"]["all"]
    names = [one["baseline"]["name"] for one in asked]
    assert names[:-1] == [one["baseline"]["name"] for one in plain]
    assert names[-1] == "the same network from scratch"


def test_the_same_seed_gives_the_same_model_and_score(model: str) -> None:
    task = str(write_classes(Path("task"), {"a": 6, "b": 6}))
    first, second = (adapt(model, task, out=name, seed=3) for name in ("one", "two"))
    assert first["score"] == second["score"]
    weights = [Path(name, "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


# What is written


def test_the_source_is_not_touched_and_the_new_model_can_be_moved(model: str) -> None:
    before = tree("source")
    adapt(model, str(mixed_task(Path("seven"))), out="mine")
    assert tree("source") == before
    rows = predict("mine", "seven")["rows"]
    shutil.move("mine", "elsewhere")
    shutil.rmtree("source")
    assert predict("elsewhere", "seven")["rows"] == rows


def test_the_model_says_where_it_comes_from_by_relative_paths(model: str) -> None:
    adapt(model, str(mixed_task(Path("seven"))), out="deep/mine")
    document = json.loads(Path("deep/mine/model.json").read_text())
    assert document["provenance"]["from"] == "../../source"
    assert document["provenance"]["task"] == "../../seven"
    assert str(Path.cwd()) not in Path("deep/mine/model.json").read_text()
    card = Path("deep/mine/README.md").read_text()
    assert "Adapted with `native` to 7 classes" in card
    assert str(Path.cwd()) not in card


def test_without_out_the_model_is_named_by_task_and_time(model: str) -> None:
    task = write_classes(Path("task"), {"a": 2, "b": 2})
    assert Path(adapt(model, "task/")["model"]).parent == Path("runs/adapted/task").absolute()
    here = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(task)
        made = Path(adapt(str(here / model), ".")["model"])
    assert made.parent == (here / "task/runs/adapted/task")


def test_a_folder_with_content_is_refused_and_a_foreign_one_even_with_force(model: str) -> None:
    task = str(write_classes(Path("task"), {"a": 2, "b": 2}))
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    with pytest.raises(BundleError) as caught:
        adapt(model, task, out="mine")
    assert (caught.value.exit_code, "--force" in caught.value.hint) == (3, True)
    with pytest.raises(BundleError, match="not made by metacli"):
        adapt(model, task, out="mine", force=True)
    assert tree("mine") == {"thesis.txt": b"years"}
    adapt(model, task, out="ours")
    adapt(model, task, out="ours", force=True)


def test_a_dry_run_scores_and_writes_nothing(model: str) -> None:
    task = str(write_classes(Path("task"), {"a": 2, "b": 2}))
    before = tree(".")
    result = adapt(model, task, dry_run=True)
    assert (result["model"], result["dry_run"]) == (None, True)
    assert result["score"]["how"] == "kfold:2"
    assert tree(".") == before
    assert not Path("runs").exists()


def test_a_score_beyond_the_bound_fails_and_the_model_is_there_all_the_same(model: str) -> None:
    task = str(write_classes(Path("task"), {"a": 12, "b": 12}))
    with pytest.raises(CheckFailed) as caught:
        adapt(model, task, out="mine", fail_under=["accuracy=1"])
    assert caught.value.result["model"] == str(Path("mine").absolute())
    assert models.load(Path("mine")).classes == ("a", "b")
    with pytest.raises(UsageProblem, match="no metric"):
        adapt(model, task, out="other", fail_under=["f1=0.1"])
    assert not Path("other").exists()


# Several models, methods, settings


def test_several_models_are_ranked_and_the_best_is_adapted(model: str) -> None:
    blind = tiny_model()
    blind = replace(blind, params={k: torch.zeros_like(v) for k, v in blind.params.items()})
    saved(blind, Path("blind"))
    task = str(mixed_task(Path("seven")))
    result = adapt(["blind", model], task, out="mine")
    assert [Path(one["model"]).name for one in result["sources"]] == ["source", "blind"]
    assert [one["score"] for one in result["sources"]] == sorted(
        (one["score"] for one in result["sources"]), reverse=True
    )
    assert result["from"] == str(Path("source").absolute())


def test_a_fixed_head_refuses_early_and_prototypes_take_any_number(fixed: str) -> None:
    task = str(mixed_task(Path("seven")))
    with pytest.raises(DataError, match="head of 3 classes") as caught:
        adapt(fixed, task, out="mine")
    assert "--method prototype" in caught.value.hint
    assert not Path("mine").exists()
    result = adapt(fixed, task, method="prototype", out="mine")
    assert (result["method"], result["score"]["value"]) == ("prototype", 1.0)
    assert predict("mine", task)["rows"][0]["prediction"] == "class 0"


def test_fields_of_the_learner_can_be_set(fixed: str) -> None:
    task = str(write_classes(Path("task"), {"a": 3, "b": 3, "c": 3}))
    adapt(fixed, task, out="one")
    adapt(fixed, task, ["inner_steps=3"], out="three")
    adapt(fixed, task, ["algorithm.inner_steps=3"], out="same")
    files = [Path(name, "weights.safetensors").read_bytes() for name in ("one", "three", "same")]
    assert files[0] != files[1]
    assert files[1] == files[2]
    assert models.load(Path("three")).learner().inner_steps == 3
    adapt(fixed, task, ["distance=cosine", "scale=3"], method="prototype", out="cosine")
    assert models.load(Path("cosine")).learner().distance == "cosine"


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("inner_step=2", RecipeError, "inner_step"),
        ("inner_steps=many", RecipeError, "inner_steps"),
        ("inner_lr=-1", RecipeError, "inner_lr"),
        ("head=shared", RecipeError, "was not trained with"),
        ("inner_steps", UsageProblem, "KEY=VALUE"),
    ],
)
def test_a_wrong_setting_is_refused_before_the_work(
    words: str, error: type, said: str, fixed: str
) -> None:
    task = str(write_classes(Path("task"), {"a": 2, "b": 2, "c": 2}))
    with pytest.raises(error, match=said) as caught:
        adapt(fixed, task, [words], out="mine")
    if words == "inner_step=2":
        assert caught.value.hint == "did you mean algorithm.inner_steps?"
        assert caught.value.where == "command line"
    assert not Path("mine").exists()


@pytest.mark.parametrize(
    "options",
    [{"method": "distil"}, {"target": "y"}, {"input": "x"}, {"type": "regression"}],
)
def test_what_this_version_does_not_do_is_reported(options: dict[str, Any], model: str) -> None:
    task = str(write_classes(Path("task"), {"a": 2, "b": 2}))
    with pytest.raises(UsageProblem):
        adapt(model, task, out="mine", **options)


# What is wrong with the model or the pictures


def test_models_that_cannot_be_adapted_say_so() -> None:
    task = str(write_classes(Path("task"), {"a": 2, "b": 2}))
    saved(adapted_model(tiny_model()), Path("adapted"))
    with pytest.raises(DataError, match="adapted already"):
        adapt("adapted", task)
    saved(tiny_source(), Path("waves"))
    with pytest.raises(DataError, match="regression model"):
        adapt("waves", task)
    with pytest.raises(BundleError, match="no such model"):
        adapt("nowhere", task)


def test_the_same_image_in_support_and_query_stops_or_is_counted(model: str) -> None:
    task = with_query(Path("task"))
    shutil.copy(task / "support/ant/00.png", task / "query/ant/copy.png")
    with pytest.raises(DataError) as caught:
        adapt(model, str(task), out="mine")
    assert caught.value.exit_code == 3
    assert "--allow-duplicates" in caught.value.hint
    result = adapt(model, str(task), out="mine", allow_duplicates=True)
    assert result["task"]["duplicates"] == 1


def test_unreadable_images_are_all_listed_or_counted(model: str) -> None:
    task = write_classes(Path("task"), {"a": 4, "b": 4})
    for name in ("a/00.png", "b/01.png"):
        (task / name).write_bytes(b"\x89PNG no picture")
    with pytest.raises(DataError) as caught:
        adapt(model, str(task), out="mine")
    assert {Path(one.where).name for one in caught.value.findings} == {"00.png", "01.png"}
    events: list = []
    result = adapt(model, str(task), out="mine", skip_bad=True, report=events.append)
    assert (result["task"]["skipped"], result["task"]["support"]) == (2, 6)
    said = " ".join(event.message for event in events if isinstance(event, Notice))
    assert "00.png" in said
    assert "01.png" in said


def test_a_query_class_that_is_not_in_the_support_is_named(model: str) -> None:
    task = with_query(Path("task"), {"ant": 2, "wasp": 2})
    with pytest.raises(DataError, match="wasp"):
        adapt(model, str(task), out="mine")


def test_light_strokes_on_dark_paper_are_noticed_by_a_model_of_ink(model: str) -> None:
    for label in ("a", "b"):
        folder = Path("task") / label
        folder.mkdir(parents=True)
        for number in range(2):
            picture = Image.new("L", (16, 16), 0)
            picture.putpixel((number, ord(label) % 16), 255)
            picture.save(folder / f"{number}.png")
    events: list = []
    adapt(model, "task", out="mine", report=events.append)
    assert "adapt.dark_paper" in [e.code for e in events if isinstance(e, Notice)]
