"""A user's folder of class folders as pools: divided, decoded once, problems listed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import divide_classes
from metacli.data.sources import load_pool
from metacli.errors import DataError, ExitCode

SPLITS = ("train", "val", "test")


def draw(path: Path, *key: int, colour: bool = False, side: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (side, side, 3) if colour else (side, side)
    pixels = np.random.Generator(np.random.PCG64(key)).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for c in range(25):
        for picture in range(3):
            draw(tmp_path / "mine" / f"kind{c:02d}" / f"{picture}.png", c, picture)
    return tmp_path / "mine"


def test_class_folders_are_divided_by_the_hash_of_their_names(folder: Path, tmp_path: Path) -> None:
    pools = [load_pool(str(folder), s, {"way": 4, "size": 12}, tmp_path / "c") for s in SPLITS]
    names = [f"kind{c:02d}" for c in range(25)]
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    expected = [sorted(part) for part in (order[:16], order[16:20], order[20:])]
    assert [list(pool.classes) for pool in pools] == expected
    assert {len(rows) for pool in pools for rows in pool.rows} == {3}
    assert pools[0].example_shape == (1, 12, 12)
    assert (pools[0].turns, pools[0].random_turns, pools[0].name) == (None, False, "mine")


def test_a_image_arrives_as_it_is_in_its_file(folder: Path, tmp_path: Path) -> None:
    pool = load_pool(str(folder), "train", {"way": 4, "size": 12}, tmp_path / "c")
    for of_class in (0, 7):
        with Image.open(folder / pool.classes[of_class] / "1.png") as picture:
            np.testing.assert_array_equal(pool.store[pool.rows[of_class][1], 0], picture)


def test_folders_train_val_and_test_are_the_pools(tmp_path: Path) -> None:
    for split, classes in (("train", "abc"), ("val", "de"), ("test", "fg")):
        for name in classes:
            for picture in range(2):
                path = tmp_path / "mine" / split / name / f"{picture}.png"
                draw(path, ord(name), picture, colour=True)
    pools = [load_pool(str(tmp_path / "mine"), s, {}, tmp_path / "c") for s in SPLITS]
    assert ["".join(pool.classes) for pool in pools] == ["abc", "de", "fg"]
    assert pools[0].example_shape == (3, 28, 28)
    assert ClassEpisodes(pools[2], way=2, shot=1, query=1).episode(0).query.y.tolist() == [0, 1]


def test_a_part_with_too_few_classes_is_refused_with_its_size(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="16 to train on, 4 to validate and 5 to test") as caught:
        load_pool(str(folder), "train", {}, tmp_path / "c")
    assert caught.value.exit_code == ExitCode.INVALID


def test_a_hundred_classes_divide_into_64_16_and_20() -> None:
    parts = divide_classes([f"/{c}" for c in range(100)], 16, "here")
    assert [len(part) for part in parts.values()] == [64, 16, 20]


def test_images_are_decoded_once_and_again_after_a_change(folder: Path, tmp_path: Path) -> None:
    told: list[str] = []

    def load() -> str:
        told.clear()
        pool = load_pool(
            str(folder), "train", {"way": 4}, tmp_path / "c", lambda what, *_: told.append(what)
        )
        return pool.digest

    first = load()
    assert "decoding images" in told
    assert load() == first
    assert "decoding images" not in told
    draw(folder / "kind00" / "0.png", 99)
    assert load() != first
    assert "decoding images" in told


def test_unreadable_files_are_all_listed_or_left_out(folder: Path, tmp_path: Path) -> None:
    for name in ("kind00", "kind01"):
        (folder / name / "0.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match="2 problems") as caught:
        load_pool(str(folder), "train", {"way": 4}, tmp_path / "c")
    assert len(caught.value.findings) == 2
    pools = [
        load_pool(str(folder), s, {"way": 4, "skip_bad": True}, tmp_path / "c") for s in SPLITS
    ]
    sizes = {
        name: len(rows)
        for pool in pools
        for name, rows in zip(pool.classes, pool.rows, strict=True)
    }
    assert (sizes["kind00"], sizes["kind01"], sizes["kind02"]) == (2, 2, 3)
    assert not list((tmp_path / "c").glob(".*"))


def test_one_image_in_two_classes_is_refused_unless_allowed(folder: Path, tmp_path: Path) -> None:
    (folder / "kind00" / "9.png").write_bytes((folder / "kind01" / "0.png").read_bytes())
    with pytest.raises(DataError, match="same image in 2 classes"):
        load_pool(str(folder), "train", {"way": 4}, tmp_path / "c")
    load_pool(str(folder), "train", {"way": 4, "allow_duplicates": True}, tmp_path / "c")


def test_a_split_task_is_no_pool(tmp_path: Path) -> None:
    for half in ("support", "query"):
        for name in "ab":
            draw(tmp_path / "t" / half / name / "0.png", ord(name), len(half))
    with pytest.raises(DataError, match="wanted a pool"):
        load_pool(str(tmp_path / "t"), "train", {}, tmp_path / "c")
