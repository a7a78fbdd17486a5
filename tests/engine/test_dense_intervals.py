"""The interval of Δp over images, against slow computation from the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest

from metacli.engine.dense.intervals import RESAMPLES, ByImage, change, changes, resamples
from metacli.engine.scoring.dense_measures import (
    MEASURES,
    Pixels,
    delta_p,
    dense_scores,
    task_delta,
)

IMAGES, SIDE, CLASSES = 6, 5, 3


def pixels(seed: int, near: Pixels | None = None, noise: float = 0.3) -> Pixels:
    """Random truth, or answers that are near it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (IMAGES, SIDE, SIDE))
    depths = rng.uniform(1, 5, (IMAGES, SIDE, SIDE))
    normals = rng.normal(size=(IMAGES, 3, SIDE, SIDE))
    if near is not None:
        labels = np.where(rng.random(labels.shape) < noise, labels, near.labels)
        depths = near.depths + noise * rng.normal(size=depths.shape)
        normals = near.normals + noise * normals
    return Pixels(labels, depths, normals / np.linalg.norm(normals, axis=1, keepdims=True))


def taken(one: Pixels, rows: list[int]) -> Pixels:
    return Pixels(one.labels[rows], one.depths[rows], one.normals[rows])


TRUTH = pixels(0)
MINE, ALONE = pixels(1, TRUTH, 0.2), pixels(2, TRUTH, 0.4)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [0, 0, 3, 3, 3, 5], [2, 2, 2, 2, 2, 2]])
def test_measures_of_drawn_images_are_those_of_their_pixels(rows: list[int]) -> None:
    found = ByImage.of(TRUTH, MINE, CLASSES).scores(np.bincount(rows, minlength=IMAGES))
    wanted = dense_scores(taken(TRUTH, rows), taken(MINE, rows), CLASSES)
    assert {task: set(names) for task, names in found.items()} == {
        task: set(names) for task, names in wanted.items()
    }
    for task, names in wanted.items():
        for name, value in names.items():
            assert found[task][name] == pytest.approx(value, rel=1e-12), name


def test_the_change_is_delta_p_and_its_interval_the_percentiles_of_redrawn_images() -> None:
    found = changes(TRUTH, MINE, ALONE, CLASSES)
    mine, alone = (dense_scores(TRUTH, one, CLASSES) for one in (MINE, ALONE))
    assert found.together.delta == pytest.approx(delta_p(mine, alone), rel=1e-12)
    slow = []
    for times in resamples(IMAGES):
        rows = np.repeat(np.arange(IMAGES), times).tolist()
        pair = [
            dense_scores(taken(TRUTH, rows), taken(one, rows), CLASSES) for one in (MINE, ALONE)
        ]
        slow.append(delta_p(pair[0], pair[1]))
    assert found.together.ci95 == pytest.approx(np.percentile(slow, [2.5, 97.5]), rel=1e-9)
    for task in MEASURES:
        assert found.tasks[task].delta == pytest.approx(
            task_delta(task, mine[task], alone[task]), rel=1e-12
        )
    assert found.together.ci95[0] > 0  # half the noise is better, whatever the images


def test_a_network_against_itself_changes_nothing() -> None:
    found = changes(TRUTH, MINE, MINE, CLASSES)
    assert (found.together.delta, found.together.ci95) == (0.0, (0.0, 0.0))


def test_images_are_drawn_as_often_as_there_are_images() -> None:
    drawn = list(resamples(IMAGES))
    assert len(drawn) == RESAMPLES
    assert all(times.sum() == IMAGES for times in drawn)
    assert np.mean(drawn, 0) == pytest.approx(np.ones(IMAGES), abs=0.2)


def test_a_change_from_0_is_no_number() -> None:
    nothing = dict.fromkeys(MEASURES["depth"], 0.0)
    assert np.isnan(task_delta("depth", dict.fromkeys(nothing, 1.0), nothing))
    assert change(0.1, [0.1, np.nan, 0.2]).ci95 is None
