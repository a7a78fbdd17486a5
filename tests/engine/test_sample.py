"""What `sample` writes is read back as exactly the episode that was drawn."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import write_classes

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool, make_pool
from metacli.data.images import ImageSpec, read_image
from metacli.data.user.open import load_task
from metacli.engine import sample as module
from metacli.engine.sample import sample
from metacli.engine.sampling import images as image_files
from metacli.engine.sampling.images import folder_names
from metacli.errors import BundleError, DataError, RunFailed


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """Four characters of six pictures, each also turned by 90, 180 and 270 degrees."""
    store = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)
    made = make_pool(
        name="omniglot",
        split="test",
        scheme="vinyals",
        classes=[f"Greek/{name}" for name in "abcd"],
        rows=[np.arange(6 * c, 6 * c + 6) for c in range(4)],
        store=store,
        contents="0",
        rotations=True,
    )
    monkeypatch.setattr(module, "load_pool", lambda *_: made)
    return made


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def draw(out: Path, **options: Any) -> dict[str, Any]:
    return sample("omniglot", str(out), **{"way": 5, "shot": 2, "query": 3, **options})


def test_the_files_are_the_episode_that_evaluate_draws_first(pool: Pool, tmp_path: Path) -> None:
    result = draw(tmp_path / "t", seed=7)
    key = (7, pool.digest, "test", 5, 2, 3)
    source = ClassEpisodes(pool=pool, way=5, shot=2, query=3, seed=key)
    names = folder_names([pool.classes[c] for c in source.members(0).classes])
    episode = source.episode(0)
    for side, batch in (("support", episode.support), ("query", episode.query)):
        files = [
            path for name in names for path in sorted((tmp_path / "t" / side / name).glob("*.png"))
        ]
        found = np.stack([read_image(path, ImageSpec(1, 8, 8)) for path in files])
        np.testing.assert_array_equal(found, batch.x.numpy())
    assert result["classes"] == sorted(names)
    assert any(turn for turn in source.members(0).turns)  # or the test would not see a wrong turn


def test_the_folder_is_a_task_without_any_remark(pool: Pool, tmp_path: Path) -> None:
    draw(tmp_path / "t")
    task = load_task(tmp_path / "t", ImageSpec(1, 8, 8))
    assert len(task.support.names) == 10
    assert task.query is not None
    assert len(task.query.names) == 15
    assert task.findings == ()


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(
    pool: Pool, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw(tmp_path / name, seed=seed)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    assert everything(tmp_path / "a") != everything(tmp_path / "c")


def test_colour_images_stay_in_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = np.random.default_rng(0).integers(0, 256, (8, 3, 4, 6), dtype=np.uint8)
    made = make_pool(
        name="glyphs",
        split="test",
        scheme=None,
        classes=["a", "b"],
        rows=[np.arange(4), np.arange(4, 8)],
        store=store,
        contents="0",
    )
    monkeypatch.setattr(module, "load_pool", lambda *_: made)
    sample("glyphs", str(tmp_path / "t"), way=2, shot=1, query=1)
    files = sorted((tmp_path / "t").rglob("*.png"))
    pictures = [read_image(path, ImageSpec(3, 4, 6)) for path in files]
    assert len(pictures) == 4
    assert all(any(np.array_equal(one, row) for row in store) for one in pictures)


def test_images_of_a_users_folder_keep_their_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "cache"))
    mine = tmp_path / "mine"
    counts = {f"class {c}": 6 for c in range(20)}
    write_classes(mine, counts, size=40)
    Image.new("RGB", (50, 30), (9, 8, 7)).save(mine / "class 3" / "99.png")
    for seed in range(3):
        out = tmp_path / f"t{seed}"
        result = sample(str(mine), str(out), way=2, shot=3, query=3, seed=seed)
        for name in result["classes"]:
            own = {read_bytes(path) for path in (mine / name.replace("-", " ")).iterdir()}
            files = list(out.glob(f"*/{name}/*.png"))
            assert len(files) == 6
            assert {read_bytes(path) for path in files} <= own


def read_bytes(path: Path) -> bytes:
    with Image.open(path) as image:
        return str(image.size).encode() + image.tobytes()


def test_class_names_become_folder_names_that_differ_everywhere() -> None:
    found = folder_names(["Greek/a", "Greek:a", "GREEK a", "../..", ".hidden", "Ελλάδα", "x" * 300])
    assert found == [
        "Greek-a",
        "Greek-a-2",
        "GREEK-a-3",
        "class",
        "hidden",
        "Ελλάδα",
        "x" * image_files.LONGEST,
    ]


def test_a_folder_with_content_is_left_alone(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(BundleError, match=r"notes\.txt") as caught:
            draw(tmp_path / "t", force=force)
        assert caught.value.exit_code == 3
    assert everything(tmp_path / "t") == {"notes.txt": b"mine"}


def test_force_replaces_a_sample_but_never_a_file_that_was_added_to_it(
    pool: Pool, tmp_path: Path
) -> None:
    draw(tmp_path / "t")
    first = everything(tmp_path / "t")
    with pytest.raises(BundleError, match="not empty") as caught:
        draw(tmp_path / "t", seed=1)
    assert caught.value.hint == "--force replaces it"
    draw(tmp_path / "t", seed=1, force=True)
    assert everything(tmp_path / "t") != first
    added = next((tmp_path / "t" / "support").iterdir()) / "mine.png"
    added.write_bytes(b"my picture")
    with pytest.raises(BundleError, match=r"mine\.png"):
        draw(tmp_path / "t", force=True)
    assert added.read_bytes() == b"my picture"


def test_an_empty_folder_is_filled(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    draw(tmp_path / "t")
    assert len(list((tmp_path / "t").rglob("*.png"))) == 25
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_full_disk_leaves_nothing_behind(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = os.write, []

    def full(handle: int, data: Any) -> int:
        written.append(handle)
        if len(written) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunFailed, match="no space left"):
        draw(tmp_path / "t")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_waves_have_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        sample("sinusoid", str(tmp_path / "t"))
    assert not (tmp_path / "t").exists()


def test_too_few_images_write_nothing(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="need 10 images"):
        draw(tmp_path / "t", shot=5, query=5)
    assert not (tmp_path / "t").exists()
