"""MNIST and Kannada-MNIST: test-only sets out of gzip files, dark ink on light paper."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metacli.data.cache.archives import contents_digest
from metacli.data.cache.download import fetch_dataset
from metacli.data.catalogue import registry
from metacli.data.catalogue.entries import idx_archive
from metacli.data.few_shot.pools import fitted
from metacli.data.sources import load_pool
from metacli.errors import DataError, DownloadError

BESIDE = Path(__file__).parents[3] / "shared" / "data"
MIRROR = os.environ.get("METACLI_MIRROR") or (str(BESIDE) if BESIDE.is_dir() else None)
needs_mirror = pytest.mark.skipif(
    MIRROR is None, reason="set METACLI_MIRROR to a folder with the archives"
)

LABELS = np.array([*range(10), 3, 3], np.uint8)
PICTURES = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (12, 28, 28), np.uint8)
FILES = {
    "i-idx3-ubyte": bytes.fromhex("00000803 0000000c 0000001c 0000001c") + PICTURES.tobytes(),
    "l-idx1-ubyte": bytes.fromhex("00000801 0000000c") + LABELS.tobytes(),
}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST of twelve digits, and the folder that has it."""
    made = tuple(
        idx_archive(name, ("http://127.0.0.1:9/",), 99, "", contents_digest({name: one}), len(one))
        for name, one in FILES.items()
    )
    of = replace(registry.DATASETS["mnist"], archives=made)
    monkeypatch.setitem(registry.DATASETS, "mnist", of)
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, one in FILES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(one))
    return folder


def test_ink_is_dark_and_classes_are_the_labels(tmp_path: Path, mirror: Path) -> None:
    fetch_dataset("mnist", tmp_path / "cache", mirror=str(mirror), offline=True)
    pool = load_pool("mnist", "test", {}, tmp_path / "cache")
    assert pool.classes == tuple("0123456789")
    assert [len(rows) for rows in pool.rows] == [1, 1, 1, 3, *[1] * 6]
    np.testing.assert_array_equal(pool.store[pool.rows[3], 0], 255 - PICTURES[[3, 10, 11]])


@pytest.mark.parametrize("how", ["packed otherwise", "a folder of archives", "unpacked"])
def test_how_the_files_are_packed_does_not_matter(tmp_path: Path, mirror: Path, how: str) -> None:
    for name, one in FILES.items():
        if how == "unpacked":
            (mirror / f"{name}.gz").unlink()
            (mirror / name).write_bytes(one)
        elif how == "packed otherwise":
            (mirror / f"{name}.gz").write_bytes(gzip.compress(one, 1, mtime=0))
    given = {"mirror": str(mirror)} if how == "packed otherwise" else {"from_": mirror}
    found = fetch_dataset("mnist", tmp_path / "cache", offline=True, **given)  # type: ignore[arg-type]
    assert not found.from_cache
    assert len(load_pool("mnist", "test", {}, tmp_path / "cache").store) == 12


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (gzip.compress(FILES["l-idx1-ubyte"][:-1] + b"\x07"), "expected SHA-256"),
        (gzip.compress(FILES["l-idx1-ubyte"])[:-9], "no whole gzip file"),
        (gzip.compress(bytes(10**8)), "more than the 20 bytes that were expected"),
        (b"<html>please log in", "a web page, not a gzip file"),
        (b"", "expected SHA-256"),
    ],
    ids=["altered", "cut", "too large", "a web page", "empty"],  # gzip holds the time: no id
)
def test_what_is_not_the_file_is_refused(
    tmp_path: Path, mirror: Path, content: bytes, match: str
) -> None:
    (mirror / "l-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(DownloadError, match=match):
        fetch_dataset("mnist", tmp_path / "cache", mirror=str(mirror), offline=True)
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["mnist.lock"]


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["mnist", "kannada-mnist"])
def test_there_is_nothing_to_train_on(name: str, split: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{name} has the split test only, not {split}") as caught:
        load_pool(name, split, {}, tmp_path)
    assert caught.value.hint is not None
    assert f"metacli evaluate MODEL {name}" in caught.value.hint


def test_a_pool_fitted_to_colour_and_size_has_the_same_classes_and_digest(
    tmp_path: Path, mirror: Path
) -> None:
    fetch_dataset("mnist", tmp_path / "cache", mirror=str(mirror), offline=True)
    pool = load_pool("mnist", "test", {}, tmp_path / "cache")
    assert fitted(pool, (1, 28, 28)) is pool
    colour = fitted(pool, (3, 28, 28))
    np.testing.assert_array_equal(colour.store, np.repeat(pool.store, 3, axis=1))
    large = fitted(replace(pool, rows=pool.rows[3:5]), (1, 56, 56))
    assert large.example_shape == (1, 56, 56)
    assert [len(rows) for rows in large.rows] == [3, 1]
    assert (large.digest, len(large.store)) == (pool.digest, 4)
    assert large.store[3, 0].mean() == pytest.approx(pool.store[pool.rows[4][0]].mean(), abs=4)


@needs_mirror
@pytest.mark.parametrize(
    ("name", "sizes", "digest"),
    [
        ("mnist", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], "73524e450a96e4df"),
        ("kannada-mnist", [1000] * 10, "1c642a68ca0ec783"),
    ],
)
def test_the_real_files_give_dark_digits_on_light_paper(
    name: str, sizes: list[int], digest: str, tmp_path: Path
) -> None:
    fetch_dataset(name, tmp_path, mirror=MIRROR, offline=True)
    pool = load_pool(name, "test", {}, tmp_path)
    assert [len(rows) for rows in pool.rows] == sizes
    assert (pool.store[:, 0, [0, -1]] == 255).mean() > 0.95  # the edge is paper
    assert pool.digest[:16] == digest
