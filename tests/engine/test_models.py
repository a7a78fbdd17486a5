"""What a user may call MODEL, and that a model folder is read back whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small_runs import copied, damage
from tiny_models import adapted_model, saved, tiny_model, tiny_regression

from metacli.engine.events import Notice, ignore
from metacli.engine.models import folder as models
from metacli.engine.models.card import model_card
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AdaptedModel, AnyModel
from metacli.engine.models.opening import open_model
from metacli.engine.models.parts import Confidence
from metacli.engine.storage.writer import write_folder
from metacli.engine.training import checkpoint
from metacli.errors import BundleError

pytestmark = pytest.mark.usefixtures("workplace")
CPU = torch.device("cpu")


def same(first: AnyModel, second: AnyModel) -> bool:
    plain = [replace(one, params={}) for one in (first, second)]
    assert plain[0] == plain[1]
    assert set(first.params) == set(second.params)
    return all(torch.equal(value, second.params[name]) for name, value in first.params.items())


# Bundles


@pytest.mark.parametrize(
    "make",
    [
        tiny_model,
        lambda: replace(tiny_model(), inputs=InputSpec("image", (1, 16, 16), shorter=20)),
        lambda: adapted_model(tiny_model(norm="batch")),
        tiny_regression,
    ],
)
def test_a_model_is_read_back_as_it_was_written(make: Callable[[], AnyModel]) -> None:
    model = replace(make(), scores={"val_accuracy": {"mean": 0.25}})
    if isinstance(model, AdaptedModel):
        model = replace(model, confidence=Confidence(reject=0.5))
    saved(model, Path("m"))
    assert same(models.load(Path("m")), model)


@pytest.mark.parametrize("name", [models.MODEL, models.WEIGHTS, "README.md", "manifest.json"])
def test_any_flipped_bit_is_found(name: str) -> None:
    saved(tiny_model(), Path("m"))
    damage(Path("m") / name)
    with pytest.raises(BundleError, match=name) as caught:
        models.load(Path("m"))
    assert caught.value.exit_code == 3


def forged(change: Callable[[dict[str, Any]], Any]) -> None:
    """A model folder with right checksums over a changed document."""
    saved(tiny_model(), Path("m"))
    files = {name: (Path("m") / name).read_bytes() for name in (models.MODEL, models.WEIGHTS)}
    document = json.loads(files[models.MODEL])
    changed = change(document)
    files[models.MODEL] = json.dumps(document if changed is None else changed).encode()
    write_folder(Path("m"), files, replace=True)


def test_a_newer_model_is_refused_by_both_versions() -> None:
    forged(lambda document: document.update(format=99, metacli="7.0"))
    with pytest.raises(BundleError, match=r"format 99 of metacli 7\.0") as caught:
        models.load(Path("m"))
    assert caught.value.code == "model.newer"


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("recipe"),
        lambda document: document.pop("input"),
        lambda document: document["input"].pop("shape"),
        lambda document: document.update(recipe={"kind": "meta"}),
        lambda document: document["recipe"]["algorithm"].update(distance="far"),
        lambda document: document["recipe"]["algorithm"].update(scale=-1),
        lambda document: [document],
        lambda document: "model",
    ],
)
def test_a_document_that_metacli_did_not_write_is_damaged(change: Callable[..., Any]) -> None:
    forged(change)
    with pytest.raises(BundleError) as caught:
        models.load(Path("m"))
    assert caught.value.exit_code == 3
    assert caught.value.where is not None


def test_weights_of_another_network_are_refused() -> None:
    saved(replace(tiny_model(), params=tiny_model(width=8).params), Path("m"))
    with pytest.raises(BundleError, match=r"backbone\.0\.conv\.weight has shape"):
        models.load(Path("m"))


def forged_adapted(change: Callable[[dict[str, Any]], Any]) -> None:
    """A folder of an adapted model with right checksums over a changed document."""
    saved(adapted_model(tiny_model()), Path("m"))
    files = {name: (Path("m") / name).read_bytes() for name in (models.MODEL, models.WEIGHTS)}
    document = json.loads(files[models.MODEL])
    change(document)
    files[models.MODEL] = json.dumps(document).encode()
    write_folder(Path("m"), files, replace=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(classes=["ant", "ant", "cat"]), "classes.*'ant' is there twice"),
        (lambda d: d.update(classes=None), "without classes"),
        (lambda d: d["answers"].update(calibration={"temperature": -1}), "temperature"),
        (lambda d: d["answers"].update(calibration={"temperature": 0.0}), "temperature"),
        (lambda d: d["answers"].update(reject={"logit": float("nan")}), "reject"),
        (lambda d: d["answers"].update(residual=-1.0), "residual"),
        (lambda d: d["answers"].update(support=[1]), "support"),
        (lambda d: d["input"].update(shape=[1, 60_000, 60_000]), "3,600,000,000 numbers"),
        (lambda d: d["input"].update(shape=[1, 0, 16]), "input.shape"),
        (lambda d: d.update(way=0), "way"),
        (lambda d: d.update(way="3"), "way"),
        (lambda d: d.update(kind="graph"), "kind"),
        (lambda d: d.update(provenance=[]), "provenance"),
    ],
)
def test_one_schema_holds_for_whatever_wrote_the_document(
    change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    forged_adapted(change)
    with pytest.raises(BundleError, match=said) as caught:
        models.load(Path("m"))
    assert (caught.value.code, caught.value.exit_code) == ("model.damaged", 3)


def test_weights_that_are_not_finite_are_refused() -> None:
    model = tiny_model()
    name = next(iter(model.params))
    bad = model.params[name].clone()
    bad.view(-1)[0] = float("inf")
    saved(replace(model, params={**model.params, name: bad}), Path("m"))
    with pytest.raises(BundleError, match="not finite") as caught:
        models.load(Path("m"))
    assert caught.value.code == "model.weights"


# MODEL


def test_a_run_and_its_model_are_the_same_model(finished: Path) -> None:
    run = copied(finished)
    by_run, by_model = (open_model(str(path), CPU, ignore) for path in (run, run / "model"))
    assert same(by_run.model, by_model.model)
    assert by_run.run == by_model.run == run


def test_a_model_by_itself_has_no_run(finished: Path) -> None:
    shutil.copytree(finished / "model", "alone")
    assert open_model("alone", CPU, ignore).run is None


def test_a_run_without_a_model_gives_its_best_state_and_says_so(finished: Path) -> None:
    run = copied(finished)
    written = models.load(run / "model")
    shutil.rmtree(run / "model")
    events: list = []
    opened = open_model("run", CPU, events.append)
    assert [event.code for event in events] == ["run.no_model"]
    assert isinstance(events[0], Notice)
    assert f"step {written.provenance['steps']}" in events[0].message
    assert all(torch.equal(v, opened.model.params[k]) for k, v in written.params.items())
    assert opened.model.provenance["data"] == written.provenance["data"]
    newest = checkpoint.numbered(run / "state", "best")[0][1]
    damage(newest / "params.safetensors")
    older = len(checkpoint.numbered(run / "state", "best")) > 1
    if older:
        assert open_model("run", CPU, ignore).path != newest
    else:
        with pytest.raises(BundleError, match="no checkpoint can be read"):
            open_model("run", CPU, ignore)


def test_what_is_no_model_is_refused_with_the_reason(finished: Path) -> None:
    run = copied(finished)
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "state")
    with pytest.raises(BundleError, match="no model yet") as caught:
        open_model("run", CPU, ignore)
    assert "--resume" in caught.value.hint
    Path("other").mkdir()
    with pytest.raises(BundleError, match="neither a model nor a run"):
        open_model("other", CPU, ignore)
    with pytest.raises(BundleError, match="no such model or run"):
        open_model("nowhere", CPU, ignore)
    with pytest.raises(BundleError, match="no run below"):
        open_model("@last", CPU, ignore)


def test_last_is_the_newest_training_run_below_runs(finished: Path) -> None:
    for name in ("tiny/20300101T000000Z", "tiny/20310101T000000Z", "adapted/20350101T000000Z"):
        shutil.copytree(finished, Path("runs") / name)
    shutil.copytree(finished, "runs/tiny/named by hand")
    assert open_model("@last", CPU, ignore).run == Path("runs/tiny/20310101T000000Z").absolute()


# The card


def card(**changes: Any) -> str:
    return model_card(replace(adapted_model(tiny_model()), **changes))


def test_the_card_says_what_the_model_is_and_what_it_reached() -> None:
    text = card(
        scores={"val_accuracy": {"mean": 0.91234, "ci95": 0.01}, "score": {"value": None}},
        provenance={"recipe": "tiny", "from": "../source"},
    )
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "metacli",
        "license": "unknown",
        "pipeline_tag": "image-classification",
        "tags": ["metacli", "few-shot-learning", "protonet"],
    }
    assert body.startswith("\n# tiny\n")
    assert "Adapted with `native` to 3 classes" in text
    assert "| classes | ant, bee, cat |" in text
    assert "| adapted from | ../source |" in text
    assert "val_accuracy: 0.9123 ± 0.0100" in text
    assert "metacli predict" in text
    assert "metacli adapt" in model_card(tiny_model())
    assert "None measured" in card(scores={})
    assert {"## Limits", "## Licence"} <= set(text.splitlines())


def test_a_model_of_a_known_data_set_names_its_licence() -> None:
    text = model_card(tiny_model())
    assert "\nlicense: mit\n" in text
    assert "learned from, glyphs: MIT." in text


def test_names_of_a_user_cannot_break_the_card() -> None:
    text = card(classes=("a|b", "<script>", "c\nd"))
    assert "| classes | a\\|b, &lt;script>, c d |" in text
