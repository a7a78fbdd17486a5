"""Features are computed once for each image and network, and the folder stays bounded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from metacli.engine.encoders.feature_cache import FeatureCache

X = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)


class Counting:
    """Two features, and how many rows were computed in each batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.batches.append(len(x))
        flat = x.reshape(len(x), -1).astype(np.float32)
        return np.stack([flat.sum(1), flat.max(1)], 1)


def features(cache: FeatureCache, x: np.ndarray, compute: Counting) -> np.ndarray:
    return cache.features(x, 2, compute, 2, lambda done, total: None)


@pytest.mark.parametrize("kept", [True, False])
def test_features_come_in_the_order_of_the_rows(kept: bool, tmp_path: Path) -> None:
    compute = Counting()
    found = features(FeatureCache(tmp_path if kept else None, "net"), X, compute)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, Counting()(X))
    assert compute.batches == [2, 2, 1]


def test_what_is_known_is_not_computed_again_and_equal_rows_are_computed_once(
    tmp_path: Path,
) -> None:
    cache, compute = FeatureCache(tmp_path, "net"), Counting()
    features(cache, X[:3], compute)
    compute.batches.clear()
    rows = X[[4, 0, 4, 2, 4]]
    np.testing.assert_array_equal(features(cache, rows, compute), Counting()(rows))
    assert compute.batches == [1]


def test_another_network_has_features_of_its_own(tmp_path: Path) -> None:
    compute = Counting()
    features(FeatureCache(tmp_path, "net"), X, compute)
    features(FeatureCache(tmp_path, "other"), X, compute)
    assert sum(compute.batches) == 10


@pytest.mark.parametrize("content", [b"", b"\0" * 12, b"short"])
def test_a_damaged_file_is_computed_again(content: bytes, tmp_path: Path) -> None:
    cache, compute = FeatureCache(tmp_path, "net"), Counting()
    features(cache, X[:1], compute)
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    good = file.read_bytes()
    file.write_bytes(content)
    features(cache, X[:1], compute)
    assert compute.batches == [1, 1]
    assert file.read_bytes() == good


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    cache, compute = FeatureCache(tmp_path, "net", limit=4 * 12), Counting()
    for number in range(4):
        features(cache, X[[number]], compute)
        newest = max(
            (path for path in tmp_path.rglob("*") if path.is_file()), key=lambda p: p.stat().st_ino
        )
        os.utime(newest, (number, number))
    features(cache, X[[4]], compute)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) <= 0.8 * 4 * 12
    compute.batches.clear()
    features(cache, X[[4]], compute)
    assert compute.batches == []  # the newest stayed


def test_progress_counts_every_row(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    cache = FeatureCache(tmp_path, "net")
    cache.features(X, 2, Counting(), 2, lambda done, total: told.append((done, total)))
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file is in the way")
    found = features(FeatureCache(tmp_path, "net"), X, Counting())
    np.testing.assert_array_equal(found, Counting()(X))
