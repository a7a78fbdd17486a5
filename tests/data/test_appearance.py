"""What images look like in a few numbers, on images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from metacli.data.images import ImageSpec, fit
from metacli.data.user.appearance import Appearance, appearance_of, appearance_of_stack, unlike
from metacli.errors import DataError


def drawings(side: int = 64, ink: int = 0, paper: int = 255, count: int = 12) -> list[np.ndarray]:
    """A few strokes each, [side, side]."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        image = Image.new("L", (side, side), paper)
        points = [tuple(one) for one in rng.integers(side // 8, side * 7 // 8, (4, 2)).tolist()]
        ImageDraw.Draw(image).line(points, fill=ink, width=max(1, side // 20))
        found.append(np.asarray(image))
    return found


def photographs(side: int = 64, colours: int = 3, count: int = 12) -> list[np.ndarray]:
    """Smooth fields of all tones, [side, side, 3] or [side, side]."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (count, 6, 6, colours), np.uint8)
    size = (side, side)
    wide = [np.asarray(Image.fromarray(one.squeeze()).resize(size, 3)) for one in coarse]
    return [np.ascontiguousarray(one) for one in wide]


INK = appearance_of(drawings())
PHOTOS = appearance_of(photographs())


def test_drawings_and_photographs_are_distinguished_at_any_size() -> None:
    for side in (28, 64, 200):
        assert appearance_of(drawings(side)).kind == "drawing"
        assert appearance_of(photographs(side, 1)).kind == "photograph"


@pytest.mark.parametrize("side", [16, 28, 105, 300])
def test_fitting_images_of_other_sizes_are_no_difference(side: int) -> None:
    assert unlike(appearance_of(drawings(side)), INK) == ()
    assert unlike(appearance_of(photographs(side)), PHOTOS) == ()


def test_polarity_is_positive_for_ink_on_paper_and_turns_with_the_image() -> None:
    turned = appearance_of([255 - one for one in drawings()])
    assert INK.polarity > 0.5
    assert turned.polarity == pytest.approx(-INK.polarity)
    assert unlike(turned, INK) == ("dark-ground",)
    assert unlike(INK, turned) == ("light-ground",)


def test_photographs_for_a_model_of_drawings_are_reported_also_small_and_grey() -> None:
    assert unlike(PHOTOS, INK) == ("colour", "photograph")
    small = [fit(one, ImageSpec(1, 28, 28))[0] for one in photographs()]
    assert unlike(appearance_of(small), INK) == ("photograph",)
    assert unlike(INK, PHOTOS) == ("grey", "drawing")


def test_pale_ink_is_faint_where_the_model_knows_black() -> None:
    pale = appearance_of(drawings(ink=215, paper=255))
    assert pale.range == pytest.approx(40 / 255)
    assert unlike(pale, INK) == ("faint",)


def test_colourfulness_is_that_of_hasler_and_suesstrunk() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = (255, 0, 0)
    image[0, 1] = (0, 0, 255)
    rg = np.array([1.0, 0, 0, 0])
    yb = np.array([0.5, -1.0, 0, 0])
    wanted = np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    assert appearance_of([image]).colourfulness == pytest.approx(wanted)
    grey = np.repeat(drawings()[0][:, :, None], 3, axis=2)
    assert appearance_of([grey]).colourfulness == 0


def test_one_flat_image_among_others_moves_nothing_and_alone_has_no_tone() -> None:
    blank = np.full((64, 64), 200, np.uint8)
    some = appearance_of([*drawings(), blank])
    assert unlike(some, INK) == ()
    assert appearance_of([blank]).two_tone == 0


def test_a_stack_has_the_appearance_of_its_images() -> None:
    stack = np.stack([one.transpose(2, 0, 1) for one in photographs()])
    assert appearance_of_stack(stack) == PHOTOS
    assert appearance_of_stack(np.stack(drawings())[:, None]) == INK


def test_it_is_plain_data_and_no_image_is_an_error() -> None:
    again = Appearance.from_dict(PHOTOS.as_dict())
    assert unlike(again, PHOTOS) == ()
    assert Appearance.from_dict(again.as_dict()) == again
    with pytest.raises(ValueError, match="polarity"):
        Appearance.from_dict({**PHOTOS.as_dict(), "polarity": "light"})
    with pytest.raises(DataError, match="no image"):
        appearance_of([])
