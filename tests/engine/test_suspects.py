"""A picture in the wrong folder is pointed at; where pixels tell nothing, nothing is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.engine.inspect import inspect
from metacli.engine.inspecting.suspects import (
    LEAST,
    NEIGHBOURS,
    by_means,
    describe,
    edges,
    neighbours,
    suspects,
)


def blobs(way: int, shot: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around `way` corners, and their labels."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(way), shot)
    return apart * np.eye(way)[y] + 0.1 * rng.standard_normal((way * shot, way)), y


def test_the_one_wrong_label_is_found_and_what_it_looks_like() -> None:
    x, y = blobs(4, 6, apart=1)
    y[7] = 3  # one of class 1
    found, telling = suspects(x, y)
    assert [(one.index, one.label, one.nearer) for one in found] == [(7, 3, 1)]
    assert telling == pytest.approx(23 / 24)


def test_nothing_is_suspected_where_labels_are_right() -> None:
    assert suspects(*blobs(4, 6, apart=1)) == ([], 1.0)


def test_nothing_is_reported_where_features_do_not_tell_the_classes_apart() -> None:
    found, telling = suspects(*blobs(4, 6, apart=0))
    assert found == []
    assert telling is not None
    assert telling < 0.75


def test_classes_of_few_images_are_not_judged() -> None:
    x, y = blobs(3, LEAST, apart=1)
    assert suspects(x, y)[1] is not None
    assert suspects(x[1:], y[1:]) == ([], None)


def test_a_image_has_no_say_in_the_mean_and_the_neighbours_that_judge_it() -> None:
    x, y = blobs(3, 5, apart=0.2)
    distances = np.empty((len(x), 3))
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        for label in range(3):
            distances[i, label] = ((x[i] - x[others & (y == label)].mean(0)) ** 2).sum()
    np.testing.assert_array_equal(by_means(x, y, np.bincount(y)), distances.argmin(1))
    pairs = ((x[:, None] - x[None]) ** 2).sum(2)
    expected = [set(np.argsort(row)[1 : NEIGHBOURS + 1]) for row in pairs]
    assert [set(row) for row in neighbours(x)] == expected


@pytest.mark.parametrize(("horizontal", "bin"), [(True, 4), (False, 0)])
def test_edges_are_counted_by_their_direction(horizontal: bool, bin: int) -> None:
    """A change from top to bottom is an edge of 90 degrees, the fifth of eight directions."""
    grey = np.zeros((32, 32))
    grey[16:] = 1
    found = edges(grey if horizontal else grey.T).reshape(-1, 8)
    assert found.sum(0).argmax() == bin
    assert np.linalg.norm(found) == pytest.approx(1)
    assert np.count_nonzero(found.sum(0)) == 1


def test_grey_and_colour_images_have_features_of_one_length() -> None:
    rng = np.random.default_rng(0)
    grey, colour = (rng.integers(0, 256, shape, np.uint8) for shape in ((9, 20), (40, 30, 3)))
    assert describe(grey).shape == describe(colour).shape


def write_task(folder: Path) -> None:
    """Horizontal and vertical stripes of many widths and shades."""
    rng = np.random.default_rng(0)
    for label in ("across", "down"):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            stripes = (np.arange(24) // rng.integers(2, 5) % 2 * rng.integers(90, 255)).astype("u1")
            pixels = np.tile(stripes, (24, 1))
            Image.fromarray(pixels.T if label == "across" else pixels).save(
                folder / label / f"{number}.png"
            )


def test_inspect_points_at_a_image_in_the_wrong_folder(tmp_path: Path) -> None:
    write_task(tmp_path / "task")
    clean = inspect(str(tmp_path / "task"))
    assert clean["problems"] == []
    assert clean["details"]["label_check"].endswith("100 % of the images into their class")
    shutil.move(tmp_path / "task" / "down" / "3.png", tmp_path / "task" / "across" / "odd.png")
    found = inspect(str(tmp_path / "task"), strict=True)  # a remark, not a problem
    (suspect,) = found["problems"]
    assert (suspect["code"], suspect["level"]) == ("data.label_suspect", "note")
    assert suspect["where"] == str(Path("across") / "odd.png")
    assert "looks like class down" in suspect["message"]
    assert found["valid"]
