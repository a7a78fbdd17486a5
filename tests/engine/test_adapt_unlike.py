"""A source that learned from other images than the user's is named as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny_models import saved, tiny_model

from metacli.data.catalogue.glyphs import GlyphOptions, pool
from metacli.data.user.appearance import appearance_of_stack, unlike
from metacli.engine.adapt import adapt
from metacli.engine.adapting.unlike import KNOWN, UNLIKE
from metacli.engine.events import Event, Notice
from metacli.errors import BundleError

pytestmark = pytest.mark.usefixtures("workplace")
Make = Callable[[np.random.Generator], Image.Image]


def photograph(draw: np.random.Generator, width: int = 160, height: int = 120) -> Image.Image:
    """Smooth coloured fields of all tones with a fine texture."""
    coarse = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8))
    wide = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return Image.fromarray(np.clip(wide + draw.normal(0, 10, wide.shape), 0, 255).astype(np.uint8))


def small_and_grey(draw: np.random.Generator) -> Image.Image:
    return photograph(draw).convert("L").resize((28, 28))


def drawing(
    draw: np.random.Generator, side: int = 28, ink: int = 0, paper: int = 255
) -> Image.Image:
    image = Image.new("L", (side, side), paper)
    points = [tuple(one) for one in draw.integers(side // 8, side * 7 // 8, (4, 2)).tolist()]
    ImageDraw.Draw(image).line(points, fill=ink, width=max(1, side // 20))
    return image


def white_on_black(draw: np.random.Generator) -> Image.Image:
    return drawing(draw, 64, ink=255, paper=0)


def small(draw: np.random.Generator) -> Image.Image:
    return drawing(draw, 20)


def large(draw: np.random.Generator) -> Image.Image:
    return drawing(draw, 640)


def in_blue(draw: np.random.Generator) -> Image.Image:
    pixels = np.asarray(drawing(draw, 105))
    return Image.fromarray(np.stack([pixels, pixels, np.full_like(pixels, 255)], axis=2))


def task_of(make: Make, folder: Path = Path("task")) -> Path:
    draw = np.random.default_rng(0)
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for number in range(3):
            make(draw).save(folder / label / f"{number}.png")
    return folder


def warnings_of(model: str, task: Path) -> list[str]:
    events: list[Event] = []
    adapt(model, task, dry_run=True, compare=False, report=events.append)
    return [one.message for one in events if isinstance(one, Notice) and one.code == UNLIKE]


@pytest.fixture
def model() -> str:
    return saved(tiny_model(), Path("source"))


@pytest.mark.parametrize(
    ("make", "yours"),
    [
        (photograph, "colour photographs, 160x120: try: metacli adapt task"),
        (small_and_grey, "grey photographs, 28x28: try: metacli adapt task"),
        (
            white_on_black,
            "grey drawings, light strokes on dark ground, 64x64: invert them (--fit-inputs ",
        ),
    ],
)
def test_images_of_another_look_are_named_with_what_the_model_knows(
    model: str, make: Make, yours: str
) -> None:
    (said,) = warnings_of(model, task_of(make))
    assert said.startswith("this model learned from 28x28 grey drawings")
    assert f"your images are {yours}" in said


@pytest.mark.parametrize("make", [drawing, small, large, in_blue])
def test_drawings_of_any_size_fit_a_model_of_drawings(model: str, make: Make) -> None:
    assert warnings_of(model, task_of(make)) == []


def test_what_a_model_records_comes_before_the_name_of_its_data() -> None:
    draw = np.random.default_rng(3)
    stack = np.stack([np.asarray(photograph(draw)).transpose(2, 0, 1) for _ in range(8)])
    made = tiny_model()
    told = replace(made, provenance={"appearance": appearance_of_stack(stack).as_dict()})
    model = saved(told, Path("photos"))
    assert warnings_of(model, task_of(photograph)) == []
    (said,) = warnings_of(model, task_of(drawing, Path("drawn")))
    assert "learned from 160x120 colour photographs; your images are grey drawings" in said


def test_a_record_that_is_none_is_refused(model: str) -> None:
    broken = saved(replace(tiny_model(), provenance={"appearance": {"images": "x"}}), Path("m"))
    with pytest.raises(BundleError, match="appearance"):
        warnings_of(broken, task_of(drawing))


def test_what_is_known_of_the_glyphs_is_what_they_look_like(cache: Path) -> None:
    drawn = pool("train", GlyphOptions(), cache)
    at = np.concatenate(drawn.rows)
    found = appearance_of_stack(drawn.images[at[np.linspace(0, len(at) - 1, 256).astype(int)]])
    assert found.as_dict() == KNOWN["glyphs"].as_dict()
    assert unlike(found, KNOWN["omniglot"]) == ()
