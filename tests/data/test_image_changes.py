"""Images are changed to look like those that a model learned from."""

from __future__ import annotations

import numpy as np

from metacli.data.image_changes import changed, in_words
from metacli.data.images import ImageSpec, fit


def test_inversion_is_its_own_inverse_and_commutes_with_grey() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (changed(changed(pixels, ["invert"]), ["invert"]) == pixels).all()
    both = changed(pixels, ["grey", "invert"])
    other = changed(changed(pixels, ["invert"]), ["grey"])
    assert both.shape == (5, 7)
    assert np.abs(both.astype(int) - other).max() <= 1  # rounding


def test_contrast_takes_the_ends_to_black_and_white_and_leaves_flat_images_alone() -> None:
    ramp = np.tile(np.linspace(100, 120, 201), (3, 1)).round().astype(np.uint8)
    found = changed(ramp, ["contrast"])
    low, high = np.percentile(ramp, (0.5, 99.5))
    assert (low, high) == (100, 120)
    assert (found == np.rint((ramp - 100.0) * 255 / 20)).all()
    flat = np.full((4, 4, 3), 77, np.uint8)
    assert (changed(flat, ["contrast"]) == flat).all()


def test_a_spec_changes_images_at_their_own_size_before_they_are_resized() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 6, 3), np.uint8)
    spec = ImageSpec(3, 4, 4, changes=("grey", "contrast", "invert"))
    plain = ImageSpec(3, 4, 4)
    assert (fit(pixels, spec) == fit(changed(pixels, spec.changes), plain)).all()
    assert (fit(pixels, spec) == fit(pixels, spec)[:1]).all()  # three equal channels


def test_words_name_the_changes_in_their_order() -> None:
    assert in_words(("invert", "grey")) == "made grey and inverted"
    assert in_words(()) == "as they are"
