"""Batches with the labels of the pool hold the pictures of the episodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metacli.data.few_shot.class_batches import ClassBatches, num_labels
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool, make_pool

CLASSES, EACH = 7, 5


def coded(**options: bool) -> Pool:
    """The first two pixels of a picture are its class and its row; a corner of a turned one."""
    store = np.zeros((CLASSES * EACH, 1, 4, 4), np.uint8)
    rows = np.arange(len(store))
    store[:, 0, 0, 0], store[:, 0, 0, 1] = 100 + rows // EACH, rows
    return make_pool(
        name="coded",
        split="train",
        scheme=None,
        classes=[f"c{index}" for index in range(CLASSES)],
        rows=list(rows.reshape(CLASSES, EACH)),
        store=store,
        contents="coded",
        **options,
    )


def corner(picture: torch.Tensor) -> tuple[int, int]:
    """Class of the picture and how many quarter turns, counter-clockwise, it was given."""
    corners = [picture[0, 0, 0], picture[0, 3, 0], picture[0, 3, 3], picture[0, 0, 3]]
    (turn,) = [turn for turn, pixel in enumerate(corners) if pixel >= 100]
    return int(corners[turn]) - 100, turn


@pytest.mark.parametrize("balanced", [True, False])
def test_labels_are_classes_of_the_pool_and_images_those_of_the_episodes(balanced: bool) -> None:
    source = ClassEpisodes(coded(), way=3, shot=(1, 2), query=2, balanced=balanced, meta_batch=4)
    for step in range(5):
        found, plain = ClassBatches(source).meta_batch_at(step), source.meta_batch_at(step)
        for half, before in zip(found, plain, strict=True):
            assert torch.equal(half.x, before.x)
            keep = torch.ones_like(half.y, dtype=torch.bool) if half.mask is None else half.mask
            classes = [corner(picture)[0] for picture in half.x[keep]]
            assert half.y[keep].tolist() == classes
    assert num_labels(source.pool) == CLASSES


def test_turns_that_an_episode_draws_are_classes_of_their_own() -> None:
    source = ClassEpisodes(coded(random_turns=True), way=3, shot=1, query=1, meta_batch=8)
    assert num_labels(source.pool) == 4 * CLASSES
    found = ClassBatches(source).meta_batch_at(3).query
    seen = [corner(picture) for picture in found.x.flatten(0, 1)]
    assert found.y.flatten().tolist() == [4 * of_class + turn for of_class, turn in seen]
    assert len({turn for _, turn in seen}) > 1


def test_turns_that_are_classes_of_the_pool_stay_so() -> None:
    source = ClassEpisodes(coded(rotations=True), way=3, shot=1, query=1, meta_batch=8)
    assert num_labels(source.pool) == 4 * CLASSES
    found = ClassBatches(source).meta_batch_at(0).query
    seen = [corner(picture) for picture in found.x.flatten(0, 1)]
    assert found.y.flatten().tolist() == [4 * of_class + turn for of_class, turn in seen]
