"""CIFAR-FS and FC100: one archive, two schemes; the real pictures where a mirror is at hand."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from metacli.data.cache.download import fetch_dataset
from metacli.data.catalogue import registry
from metacli.data.catalogue.cifar import decode, things
from metacli.data.sources import load_pool
from metacli.errors import DataError, DownloadError, ExitCode

SPLITS = ("train", "val", "test")
BESIDE = Path(__file__).parents[3] / "shared" / "data"
MIRROR = os.environ.get("METACLI_MIRROR") or (str(BESIDE) if BESIDE.is_dir() else None)
needs_mirror = pytest.mark.skipif(
    MIRROR is None, reason="set METACLI_MIRROR to a folder with the archive"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    fetch_dataset("cifar-fs", folder, mirror=MIRROR, offline=True)
    return folder


def test_cifar_fs_has_64_16_20_classes_and_fc100_12_4_4_superclasses() -> None:
    assert len({one.name for one in things()}) == 100
    assert Counter(one.cifar_fs for one in things()) == {"train": 64, "val": 16, "test": 20}
    assert Counter(one.fc100 for one in things()) == {"train": 60, "val": 20, "test": 20}
    of_split = {(one.superclass, one.fc100) for one in things()}
    assert Counter(split for _, split in of_split) == {"train": 12, "val": 4, "test": 4}


def test_five_classes_are_of_each_superclass() -> None:
    assert set(Counter(one.superclass for one in things()).values()) == {5}
    people = {one.name for one in things() if one.superclass == "people"}
    assert people == {"baby", "boy", "girl", "man", "woman"}


@pytest.mark.parametrize("name", ["cifar-fs", "fc100"])
def test_without_a_mirror_fetch_says_where_the_archive_is_from(name: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cyizhuo/CIFAR-100-dataset") as caught:
        fetch_dataset(name, tmp_path, offline=True)
    assert caught.value.exit_code == ExitCode.DOWNLOAD
    assert caught.value.code == "download.offline"
    assert f"metacli fetch {name} --from PATH" in str(caught.value.hint)


def test_a_mirror_without_the_archive_is_named_and_so_is_where_it_is_from(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    mirror = str(tmp_path / "empty")
    with pytest.raises(DownloadError, match=r"No such file.*cyizhuo/CIFAR-100-dataset"):
        fetch_dataset("cifar-fs", tmp_path / "cache", mirror=mirror, offline=True)


def test_not_fetched_names_the_set_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fc100 has not been fetched") as caught:
        load_pool("fc100", "train", {}, tmp_path)
    assert caught.value.hint == "metacli fetch fc100"


@needs_mirror
def test_both_read_one_cache(cache: Path) -> None:
    assert fetch_dataset("fc100", cache, offline=True).from_cache
    assert fetch_dataset("fc100", cache, offline=True).path == cache / "cifar-fs"
    stores = [load_pool(name, "val", {}, cache).store.filename for name in ("cifar-fs", "fc100")]
    assert stores[0] == stores[1]


@needs_mirror
def test_cifar_fs_holds_200_images_of_a_training_class_and_100_of_another(cache: Path) -> None:
    pools = [load_pool("cifar-fs", split, {}, cache) for split in SPLITS]
    assert [len(pool.classes) for pool in pools] == [64, 16, 20]
    assert [{len(rows) for rows in pool.rows} for pool in pools] == [{200}, {100}, {100}]
    assert {pool.example_shape for pool in pools} == {(3, 32, 32)}


@needs_mirror
def test_fc100_uses_every_image_once_in_uneven_classes(cache: Path) -> None:
    pools = [load_pool("fc100", split, {}, cache) for split in SPLITS]
    assert [len(pool.classes) for pool in pools] == [60, 20, 20]
    assert [{len(rows) for rows in pool.rows} for pool in pools] == [{100, 200}] * 3
    rows = np.concatenate([one for pool in pools for one in pool.rows])
    assert sorted(rows.tolist()) == list(range(16_400))


@needs_mirror
def test_a_class_holds_the_images_of_its_folder(cache: Path) -> None:
    pool = load_pool("cifar-fs", "test", {}, cache)
    path = next(Path(str(MIRROR)).rglob(registry.DATASETS["cifar-fs"].archives[0].name))
    with zipfile.ZipFile(path) as packed:
        names = sorted(name for name in packed.namelist() if name.startswith("test/baby/"))
        expected = [decode(packed.read(name)) for name in names]
    rows = pool.rows[pool.classes.index("baby")]
    np.testing.assert_array_equal(pool.store[rows], np.stack(expected))


@needs_mirror
def test_the_image_with_two_labels_is_left_as_it_is(cache: Path) -> None:
    train, test = (load_pool("cifar-fs", split, {}, cache) for split in ("train", "test"))
    girls = train.store[train.rows[train.classes.index("girl")]]
    babies = test.store[test.rows[test.classes.index("baby")]]
    same = [(girls == baby).all((1, 2, 3)).sum() for baby in babies]
    assert sum(same) == 1


@needs_mirror
def test_the_fingerprints_are_those_of_every_other_machine(cache: Path) -> None:
    digests = [load_pool(name, "test", {}, cache).digest[:16] for name in ("cifar-fs", "fc100")]
    assert digests == ["23eb4cd6c5e0f039", "dc37fc657bb16da7"]
