"""Images of training episodes, warped."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from metacli.data.few_shot.augmentation import UNIT, Augmentation, warped
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.types import Batch, Episode
from tests.data.test_episodes import speckled_pool

SEED = ("train", 0)


def noise(*shape: int) -> np.ndarray:
    numbers = np.random.Generator(np.random.PCG64(3)).integers(0, 256, shape)
    return numbers.astype(np.uint8)


def episode(support: int, query: int, side: int = 9) -> Episode:
    parts = (noise(n, 3, side, side) for n in (support, query))
    return Episode(*(Batch(torch.from_numpy(x), torch.zeros(len(x)).long()) for x in parts))


def maps_of(warp: float, count: int) -> np.ndarray:
    return Augmentation(0, warp, SEED)._maps(0, count)


def by_torch(x: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """The same in float64 by torch, whose places are (across, down) from -1 to 1."""
    a = torch.from_numpy(maps / UNIT)
    high, wide = x.shape[-2:]
    ratio = (high - 1) / (wide - 1)
    across = torch.stack([a[:, 1, 1], a[:, 1, 0] * ratio, torch.zeros(len(a))], 1)
    down = torch.stack([a[:, 0, 1] / ratio, a[:, 0, 0], torch.zeros(len(a))], 1)
    grid = affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=True)
    read = grid_sample(
        torch.from_numpy(x).double(), grid, padding_mode="border", align_corners=True
    )
    return read.numpy()


@pytest.mark.parametrize("shape", [(9, 9), (8, 8), (6, 11)])
def test_warped_images_are_those_of_an_interpolation_in_float64(shape: tuple[int, int]) -> None:
    """Places are rounded to 1/256 of a pixel each way: at most two levels of 255, and a half."""
    x, maps = noise(40, 3, *shape), maps_of(0.4, 40)
    assert np.abs(warped(x, maps) - by_torch(x, maps)).max() <= 2.5
    assert np.abs(x - by_torch(x, maps)).mean() > 30  # and the images are other ones


def test_the_identity_changes_no_pixel_and_a_quarter_turn_turns() -> None:
    x = noise(5, 2, 7, 7)
    unit = UNIT * np.eye(2, dtype=np.int64)
    quarter = UNIT * np.array([[0, 1], [-1, 0]])
    assert np.array_equal(warped(x, np.tile(unit, (5, 1, 1))), x)
    turned = warped(x, np.tile(quarter, (5, 1, 1)))
    assert np.array_equal(turned, np.rot90(x, 1, axes=(-2, -1)))


def test_an_image_of_one_row_can_be_warped() -> None:
    assert warped(noise(2, 1, 1, 4), maps_of(0.3, 2)).shape == (2, 1, 1, 4)


def test_maps_are_drawn_from_the_whole_range_about_the_identity() -> None:
    entries = (maps_of(0.25, 4000) - UNIT * np.eye(2, dtype=np.int64)) / UNIT
    assert np.abs(entries).max() <= 0.25
    assert entries.min() < -0.249
    assert entries.max() > 0.249
    assert np.abs(entries.mean(0)).max() < 0.01
    assert np.abs(entries.std(0) - 0.25 / np.sqrt(3)).max() < 0.005


def test_each_image_of_support_and_query_has_a_draw_of_its_own_that_the_episode_names() -> None:
    same = torch.from_numpy(np.repeat(noise(1, 1, 9, 9), 6, axis=0))
    given = Episode(Batch(same[:2], torch.zeros(2)), Batch(same[2:], torch.zeros(4)))
    change = Augmentation(0, 0.3, SEED)
    found = [torch.cat([part.x for part in change.of(index, given)]) for index in (0, 1, 0)]
    assert len({one.numpy().tobytes() for one in found[0]}) == 6
    assert torch.equal(found[0], found[2])
    assert not any(torch.equal(*pair) for pair in zip(found[0], found[1], strict=True))


def test_a_warp_comes_before_a_shift_and_changes_none_of_its_draws() -> None:
    given = episode(3, 4)
    both = Augmentation(2, 0.3, SEED).of(5, given)
    one_by_one = Augmentation(2, 0.0, SEED).of(5, Augmentation(0, 0.3, SEED).of(5, given))
    for first, second in zip(both, one_by_one, strict=True):
        assert torch.equal(first.x, second.x)


def test_warped_episodes_are_the_same_on_every_machine() -> None:
    found = Augmentation(1, 0.2, SEED).of(7, episode(5, 5))
    digest = hashlib.sha256(found.support.x.numpy().tobytes() + found.query.x.numpy().tobytes())
    assert digest.hexdigest()[:16] == "83e82377f5854003"


def test_a_meta_batch_holds_the_warped_episodes_and_labels_stay() -> None:
    still = ClassEpisodes(speckled_pool(), way=3, shot=1, query=2, meta_batch=4)
    source = replace(still, warp=0.3)
    whole, plain = source.meta_batch_at(2), still.meta_batch_at(2)
    assert torch.equal(whole.query.y, plain.query.y)
    assert not torch.equal(whole.query.x, plain.query.x)
    for i in range(4):
        one = source.episode(8 + i)
        assert torch.equal(whole.support.x[i], one.support.x)
        assert torch.equal(whole.query.x[i], one.query.x)
