"""`--fit-inputs`, and `inspect DATA --model M`: images that look unlike those of the source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny_models import saved, tiny_model

from metacli.engine.adapt import adapt
from metacli.engine.adapting.fitted_inputs import FITS, IN_COLOUR
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Note, Notice
from metacli.engine.inspect import inspect
from metacli.engine.models.folder import load
from metacli.engine.predict import predict
from metacli.engine.results.adapt import Adaptation
from metacli.errors import UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")


def drawings(path: Path, shot: int, *, inverted: bool = False, seed: int = 0) -> Path:
    """Rings, crosses and bars, ink on paper or its reverse."""
    draw = np.random.default_rng(seed)
    for label in ("bar", "cross", "ring"):
        (path / label).mkdir(parents=True)
        for number in range(shot):
            image = Image.new("L", (32, 32), 255)
            pen, (a, b) = ImageDraw.Draw(image), draw.integers(3, 9, 2).tolist()
            if label == "ring":
                pen.ellipse((a, b, 31 - b, 31 - a), outline=0, width=2)
            else:
                pen.line((a, b, 31 - a, 31 - b), fill=0, width=2)
            if label == "cross":
                pen.line((31 - a, b, a, 31 - b), fill=0, width=2)
            pixels = np.asarray(image)
            Image.fromarray(255 - pixels if inverted else pixels).save(
                path / label / f"{number}.png"
            )
    return path


def fitted(model: str, task: Path, out: str, **more: object) -> tuple[Adaptation, list[str]]:
    events: list[Event] = []
    found = adapt(model, task, out=out, fit_inputs=True, report=events.append, **more)  # type: ignore[arg-type]
    assert isinstance(found, Adaptation)
    return found, [one.code for one in events if isinstance(one, Notice | Note)]


@pytest.fixture
def model() -> str:
    return saved(tiny_model(), Path("source"))


def test_drawings_of_the_wrong_polarity_are_inverted_by_their_look_where_nothing_is_held_out(
    model: str,
) -> None:
    upright, inverted = drawings(Path("up"), 1), drawings(Path("down"), 1, inverted=True)
    adapt(model, upright, out="plain")
    found, codes = fitted(model, inverted, "fitted")
    assert found.inputs is not None
    assert found.inputs.changes == ("invert",)
    assert "adapt.fitted_inputs" in codes
    assert "adapt.unlike_source" not in codes  # after the change they look alike
    new = drawings(Path("new"), 2, seed=1)
    reverse = drawings(Path("reverse"), 2, inverted=True, seed=1)
    theirs, ours = (
        [row["probabilities"] for row in predict(name, str(path))["rows"]]
        for name, path in (("plain", new), ("fitted", reverse))
    )
    assert theirs == ours
    assert evaluate("fitted", str(reverse))["mean"] == evaluate("plain", str(new))["mean"]


def test_the_changes_are_stored_in_the_model_and_refused_where_they_are_none(model: str) -> None:
    fitted(model, drawings(Path("down"), 1, inverted=True), "fitted")
    document = json.loads(Path("fitted/model.json").read_text())
    assert document["input"]["changes"] == ["invert"]
    assert load(Path("fitted")).inputs.changes == ("invert",)


def test_every_fit_is_scored_on_folds_and_the_plain_one_wins_ties(model: str) -> None:
    found, _ = fitted(model, drawings(Path("up"), 3), "fitted")
    assert found.inputs is not None
    assert [one.changes for one in found.inputs.tried] == list(FITS)
    assert all(one.value is not None for one in found.inputs.tried)
    assert found.inputs.left_out == ()
    again, _ = fitted(model, Path("up"), "again")
    assert again.inputs == found.inputs
    assert again.score == found.score


def test_a_model_of_colour_may_see_grey_images(model: str) -> None:
    colour = saved(tiny_model(shape=(3, 16, 16)), Path("colour"))
    found, _ = fitted(colour, drawings(Path("up"), 2), "fitted", compare=False)
    assert found.inputs is not None
    assert {one.changes for one in found.inputs.tried} == set(IN_COLOUR)


def test_what_there_is_no_time_for_is_named(model: str) -> None:
    found, _ = fitted(model, drawings(Path("up"), 3), "fitted", budget=1e-9)
    assert found.inputs is not None
    assert found.inputs.changes == ()
    assert len(found.inputs.left_out) == len(FITS) - 1


def test_more_examples_are_changed_like_the_first(model: str) -> None:
    fitted(model, drawings(Path("down"), 1, inverted=True), "fitted")
    more = drawings(Path("more"), 2, inverted=True, seed=3)
    found = adapt("fitted", more, add=True, out="both")
    assert isinstance(found, Adaptation)
    assert found.task.support == 9
    assert load(Path("both")).inputs.changes == ("invert",)


@pytest.mark.parametrize("models", [None, ["source", "source"]])
def test_inputs_are_fitted_to_one_model(models: list[str] | None, model: str) -> None:
    with pytest.raises(UsageProblem, match="one named model"):
        adapt(models, drawings(Path("up"), 1), fit_inputs=True)


def test_inspect_says_whether_images_look_like_those_of_the_model(model: str) -> None:
    fits = inspect(drawings(Path("up"), 2), model=model)
    assert fits.details["fits_model"] is True
    assert fits.details["look"] == "grey drawings, dark strokes on light ground, 32x32"
    other = inspect(drawings(Path("down"), 2, inverted=True), model=model)
    assert other.details["fits_model"] is False
    assert other.details["differs_in"] == ["dark-ground"]
    (problem,) = [one for one in other.problems if one.code == "adapt.unlike_source"]
    assert "--fit-inputs" in problem.message
    assert other.valid


def test_inspect_of_a_model_that_inverts_its_images_looks_at_them_inverted(model: str) -> None:
    made = tiny_model()
    inputs = replace(made.inputs, changes=("invert",))
    inverting = saved(replace(made, inputs=inputs), Path("inverting"))
    found = inspect(drawings(Path("down"), 2, inverted=True), model=inverting)
    assert found.details["fits_model"] is True


def test_only_images_are_compared_with_a_model(model: str, tmp_path: Path) -> None:
    Path("table.csv").write_text("a,label\n1,x\n2,y\n3,x\n4,y\n")
    with pytest.raises(UsageProblem, match="compares images"):
        inspect("table.csv", model=model)
