"""`adapt --add`: what was added is as if it had been there from the beginning."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_models import random_pictures, saved, tiny_model, write_classes

from metacli.cli.app import main
from metacli.engine.adapt import adapt
from metacli.engine.models.folder import load
from metacli.engine.predict import predict
from metacli.errors import DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")
FIRST = {"ant": 3, "bee": 4}
PROTO_MAML = {"name": "maml", "inner_steps": 2, "inner_lr": 0.1, "head": "proto"}


def write_parts() -> None:
    """`first` and `more`, and `whole` with the files of both; `more` has a class of its own."""
    write_classes(Path("first"), FIRST)
    pictures = iter(random_pictures(6, (16, 16), seed=7))
    for label, names in {"bee": "67", "cat": "0123"}.items():
        (Path("more") / label).mkdir(parents=True)
        for name in names:
            Image.fromarray(next(pictures)).save(Path("more") / label / f"{name}9.png")
    for part in ("first", "more"):
        shutil.copytree(part, "whole", dirs_exist_ok=True)


def assert_same_model(one: str, other: str) -> None:
    a, b = load(Path(one)), load(Path(other))
    assert a.classes == b.classes
    assert a.params.keys() == b.params.keys()
    assert all(torch.equal(a.params[key], b.params[key]) for key in a.params)
    assert (a.method, a.options) == (b.method, b.options)
    assert a.confidence.as_dict() == b.confidence.as_dict()
    assert (a.columns, a.support) == (b.columns, b.support)
    assert a.scores == b.scores


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ({"name": "protonet"}, {}),
        (PROTO_MAML, {"overrides": ["inner_steps=3"]}),
        ({"name": "r2d2"}, {}),
        ({"name": "matchingnet"}, {}),
        ({"name": "protonet"}, {"method": "linear-probe"}),
    ],
    ids=lambda value: str(value.get("name") or value.get("method") or ""),
)
def test_adding_is_adapting_to_all_at_once(
    algorithm: dict[str, Any], options: dict[str, Any]
) -> None:
    write_parts()
    model = tiny_model(algorithm)
    own, _ = model.learner().init(model.problem(), model.params)
    saved(replace(model, params={**model.params, **own}), Path("source"))
    at_once = adapt("source", "whole", out="at once", device="cpu", **options)
    adapt("source", "first", out="mine", device="cpu", **options)
    result = adapt("mine", "more", add=True, out="mine2", device="cpu")
    assert_same_model("mine2", "at once")
    for key in ("score", "transfer", "method", "options", "calibration", "from"):
        assert result[key] == at_once[key], key
    assert result["task"]["labels"] == ["ant", "bee", "cat"]
    assert (result["onto"], result["added"]) == (str(Path("mine").absolute()), 6)


def test_examples_can_be_added_again_and_in_place() -> None:
    write_parts()
    saved(tiny_model(), Path("source"))
    shutil.copytree("whole", "all")
    write_classes(Path("last"), {"dog": 2}, seed=11)
    shutil.copytree("last", "all", dirs_exist_ok=True)
    adapt("source", "all", out="at once", device="cpu")
    adapt("source", "first", out="mine", device="cpu")
    for part in ("more", "last"):
        adapt("mine", part, add=True, out="mine", force=True, device="cpu")
    assert_same_model("mine", "at once")
    assert load(Path("mine")).provenance["added"] == ["../more", "../last"]


def test_the_old_model_stays_as_it_was() -> None:
    write_parts()
    saved(tiny_model(), Path("source"))
    adapt("source", "first", out="mine", device="cpu")
    before = predict("mine", "more")["rows"]
    result = adapt("mine", "more", add=True, device="cpu")
    assert Path(result["model"]).parent == Path("runs/adapted/first").absolute()
    assert predict("mine", "more")["rows"] == before


def damaged_support() -> None:
    Image.fromarray(random_pictures(1, (16, 16), 99)[0]).save("first/ant/00.png")


def other_weights() -> None:
    shutil.rmtree("source")
    model = tiny_model()
    next(iter(model.params.values())).add_(0.5)
    saved(model, Path("source"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: shutil.rmtree("source"), "the model that it was adapted from is not there"),
        (lambda: shutil.rmtree("first"), "what it was adapted to is not there"),
        (other_weights, "the model that it was adapted from has changed"),
        (damaged_support, "1 of the 7 examples that it was adapted to are not there"),
    ],
)
def test_what_is_gone_or_has_changed_is_reported(change: Any, said: str) -> None:
    write_parts()
    saved(tiny_model(), Path("source"))
    adapt("source", "first", out="mine", device="cpu")
    change()
    with pytest.raises(DataError, match=said) as caught:
        adapt("mine", "more", add=True, out="mine2", device="cpu")
    assert caught.value.hint
    assert not Path("mine2").exists()


def test_one_image_under_two_labels_is_found_across_the_parts() -> None:
    write_parts()
    saved(tiny_model(), Path("source"))
    adapt("source", "first", out="mine", device="cpu")
    shutil.copy("first/ant/00.png", "more/cat/again.png")
    with pytest.raises(DataError, match="the same image under the labels ant, cat"):
        adapt("mine", "more", add=True, out="mine2", device="cpu")
    done = adapt("mine", "more", add=True, allow_duplicates=True, out="mine2", device="cpu")
    assert done["task"]["duplicates"] == 1


def test_a_fixed_head_takes_examples_but_no_class() -> None:
    write_parts()
    write_classes(Path("fitting"), {"ant": 1, "bee": 1}, seed=21)
    saved(tiny_model({"name": "maml", "inner_steps": 1}, way=2), Path("source"))
    adapt("source", "first", out="mine", device="cpu")
    assert adapt("mine", "fitting", add=True, out="mine2", device="cpu")["added"] == 2
    with pytest.raises(DataError, match="a head of 2 classes"):
        adapt("mine", "more", add=True, out="mine3", device="cpu")


def test_models_that_cannot_be_added_to_say_why() -> None:
    write_parts()
    saved(tiny_model(), Path("source"))
    with pytest.raises(DataError, match="wants an adapted model"):
        adapt("source", "more", add=True, device="cpu")
    adapt("source", "first", out="mine", device="cpu")
    with pytest.raises(UsageProblem, match="one adapted model"):
        adapt(["mine", "mine"], "more", add=True, device="cpu")
    with pytest.raises(UsageProblem, match="settings that the model has"):
        adapt("mine", "more", ["distance=cosine"], add=True, device="cpu")
    with pytest.raises(DataError, match="adapted already") as caught:
        adapt("mine", "more", device="cpu")
    assert "--add" in str(caught.value.hint)


def test_the_command_line_says_what_was_added(capsys: pytest.CaptureFixture[str]) -> None:
    write_parts()
    saved(tiny_model(), Path("source"))
    adapt("source", "first", out="mine", device="cpu")
    assert main(["adapt", "mine", "more", "--add", "-o", "mine2"]) == 0
    assert "6 examples to those of mine" in capsys.readouterr().out
