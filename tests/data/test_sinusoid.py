"""Sine waves: the protocol's ranges, and the same waves however they are grouped."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.errors import DataError

FIRST = (2.1064517706504136, 2.352739249851367)  # amplitude and phase


def test_every_point_lies_on_the_wave_that_is_reported() -> None:
    source = Sinusoids(shot=10, query=7, seed=(0, "train"), meta_batch=25)
    stacked, waves = source.meta_batch_at(3), source.waves(75, 25)
    for part, points in ((stacked.support, 10), (stacked.query, 7)):
        assert part.x.shape == part.y.shape == (25, points, 1)
        assert part.x.dtype == part.y.dtype == torch.float32
        x = part.x[..., 0].double().numpy()
        y = waves.amplitude[:, None] * np.sin(x - waves.phase[:, None])
        np.testing.assert_allclose(part.y[..., 0].numpy(), y, atol=5e-6)


def test_numbers_fill_the_ranges_of_the_protocol() -> None:
    source = Sinusoids(shot=5, query=5, meta_batch=2000)
    waves, x = source.waves(0, 2000), source.meta_batch_at(0).support.x
    for values, low, high in (
        (waves.amplitude, 0.1, 5.0),
        (waves.phase, 0.0, math.pi),
        (x.double().numpy(), -5.0, 5.0),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)


@pytest.mark.parametrize("shot", [10, (1, 10)])
def test_a_wave_is_the_same_alone_and_in_a_meta_batch(shot: int | tuple[int, int]) -> None:
    source = Sinusoids(shot=shot, query=3, meta_batch=4)
    for step in range(5):
        stacked = source.meta_batch_at(step)
        for place in range(4):
            alone = source.episode(4 * step + place)
            assert torch.equal(stacked.support.x[place], alone.support.x)
            assert torch.equal(stacked.query.y[place], alone.query.y)


def test_the_size_of_the_meta_batch_changes_no_wave() -> None:
    one, many = (Sinusoids(shot=5, query=5, seed=(3,), meta_batch=b) for b in (1, 25))
    assert torch.equal(one.episode(30).support.y, many.episode(30).support.y)


def test_seeds_and_indices_name_different_waves() -> None:
    drawn = {
        float(Sinusoids(shot=1, query=1, seed=seed).waves(index).amplitude[0])
        for seed in ((0, "train"), (1, "train"), (0, "val"))
        for index in range(10)
    }
    assert len(drawn) == 30


def test_the_first_wave_is_that_of_every_other_machine() -> None:
    waves = Sinusoids(shot=5, query=5, seed=(0, "train")).waves(0)
    assert (float(waves.amplitude[0]), float(waves.phase[0])) == pytest.approx(FIRST, rel=1e-15)


@pytest.mark.parametrize(
    "sizes", [{"shot": 0}, {"query": -1}, {"meta_batch": 0}, {"shot": (2, 1)}, {"split": "dev"}]
)
def test_sizes_that_make_no_task_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(DataError):
        Sinusoids(**{"shot": 5, "query": 5, **sizes})  # type: ignore[arg-type]
