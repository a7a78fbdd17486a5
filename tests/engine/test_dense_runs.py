"""`multitask` and `evaluate` on dense tasks, from the recipe to Δp."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metacli.cli.app import main
from metacli.engine.dense.build import APART, build_dense
from metacli.engine.dense.folder import load_dense
from metacli.engine.evaluate import evaluate
from metacli.engine.load import load as load_model
from metacli.engine.multitask import multitask
from metacli.engine.training import checkpoint
from metacli.errors import BundleError, DataError, RecipeError, UsageProblem
from metacli.nn.dense.targets import TASKS
from metacli.schema.load import load

pytestmark = pytest.mark.usefixtures("workplace")
SMALL = (
    *("data.size=16", "data.images=24", "data.val=6", "data.test=10", "data.rows=4"),
    *("backbone.widths=[8,8]", "train.steps=6", "evaluate.every=3"),
)


def trained(*overrides: str, out: str = "run") -> Path:
    multitask("scenes-hard", [*SMALL, *overrides], out=out)
    return Path(out)


def test_a_run_is_compared_with_a_network_for_each_task() -> None:
    result = multitask("scenes-hard", SMALL, out="run")
    assert result.status == "finished"
    assert {row["name"] for row in result.comparison.tasks} == set(TASKS)
    assert "delta_p" in result.comparison.baselines
    alone = load_dense(Path("run/baselines/single-task"))
    assert alone.sharing == APART
    found = evaluate("run")
    assert found.images == 10
    assert found.metric == "loss"
    assert [task.name for task in found.tasks] == list(TASKS)
    assert found.mean == pytest.approx(sum(task.value for task in found.tasks) / 3)
    assert set(found.measures) == set(found.single_task) == set(TASKS)
    assert found.delta_p is not None
    assert all(task.delta == pytest.approx(task.value - task.single_task) for task in found.tasks)


def test_a_resumed_run_has_the_same_bits() -> None:
    whole = load_dense(trained(out="whole") / "model")
    trained("train.steps=3", out="half")
    multitask(overrides=["train.steps=6"], resume="half")
    again = load_dense(Path("half/model"))
    assert again.params.keys() == whole.params.keys()
    assert all(torch.equal(again.params[name], value) for name, value in whole.params.items())


@pytest.mark.parametrize("sharing", [pytest.param("mtan", marks=pytest.mark.slow), "cross-stitch"])
def test_every_scheme_trains_and_is_evaluated_from_its_folder(sharing: str) -> None:
    run = trained(f"sharing.name={sharing}", "weighting.name=uncertainty")
    assert load_dense(run / "model").sharing == sharing
    assert evaluate(run / "model", split="val").images == 6


def test_weights_that_follow_other_training_images_are_learned_and_resumed() -> None:
    words = ["weighting.name=auto-lambda", "weighting.lr=0.3"]
    whole = load_dense(trained(*words, out="whole") / "model")
    trained(*words, "train.steps=3", out="half")
    saved = checkpoint.newest(Path("half/state"), "step")[0]
    weights = saved.snapshot.params["weighting.weights"]
    assert weights.sum() == pytest.approx(1)
    assert not torch.allclose(weights, torch.full((3,), 1 / 3), atol=1e-3)
    multitask(overrides=["train.steps=6"], resume="half")
    again = load_dense(Path("half/model"))
    assert all(torch.equal(again.params[name], value) for name, value in whole.params.items())
    assert not any(name.startswith("weighting.") for name in whole.params)


def test_the_command_line_shows_the_measures_and_delta_p(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["multitask", "scenes-hard", *SMALL, "surgery.name=pcgrad", "-o", "run"]) == 0
    assert "mean_angle" in capsys.readouterr().out
    assert main(["evaluate", "run"]) == 0
    out = capsys.readouterr().out
    assert "within_22" in out
    assert "delta p" in out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sharing.name=soft-l2"], "sharing.name"),
        (["backbone.name=mlp"], "backbone.name"),
        (["backbone.widths=[7]"], "widths wants 2 to 4 stages"),
        (["weighting.name=auto-lambda", "sharing.name=apart"], "weighs what tasks share"),
        (["weighting.name=auto-lambda", "surgery.name=pcgrad"], "balances the tasks itself"),
        (["sharing.name=apart", "surgery.name=pcgrad"], "no shared parameters"),
        (["guard=true"], "guard is for tasks with rows"),
    ],
)
def test_what_dense_tasks_do_not_take_is_said_before_anything_is_written(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        multitask("scenes-hard", [*SMALL, *overrides], out="run")
    said = [caught.value.message, *(one.message for one in caught.value.findings)]
    assert any(message in one for one in said)
    assert not Path("run").exists()


def test_options_of_the_data_are_checked() -> None:
    with pytest.raises(DataError, match="conflict"):
        build_dense(load("scenes-hard", ["data.conflict=2"]))
    with pytest.raises(DataError, match="a number"):
        build_dense(load("scenes-hard", ["data.conflict=much"]))
    whole = build_dense(load("scenes-hard", ["data.conflict=1"]))  # a whole number is one, too
    assert whole.options.conflict == 1.0
    assert build_dense(load("scenes-hard")).recipe.data.options["conflict"] == 0.5


def test_what_does_not_take_a_dense_model_says_so() -> None:
    run = trained()
    with pytest.raises(BundleError, match="a model of dense tasks, which evaluate, predict"):
        load_model(run)
    with pytest.raises(UsageProblem, match="measured on its own set"):
        evaluate(run, way=5)


def test_a_damaged_model_is_an_error(workplace: Path) -> None:
    run = trained()
    file = run / "model" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="checksum"):
        evaluate(run)
