"""Glyphs: the same pictures everywhere, disjoint alphabets, hard for plain pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from metacli.data.catalogue import glyphs
from metacli.data.catalogue.glyphs import GlyphOptions, draw_alphabet
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.errors import DataError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    glyphs.pool("train", GlyphOptions(), folder)
    return folder


def pools(cache: Path) -> dict[str, Pool]:
    return {split: glyphs.pool(split, GlyphOptions(), cache) for split in ("train", "val", "test")}


def test_the_images_are_those_of_every_other_machine() -> None:
    drawn = draw_alphabet(0, 3)
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == (
        "9fa4248e14b57454f0aa922f9cf5d580879f37ffb27ae5ed78bd8e973df548be"
    )


def test_splits_hold_different_alphabets_that_cover_all_sixty(cache: Path) -> None:
    alphabets = {
        split: {name.split("/")[0] for name in pool.classes} for split, pool in pools(cache).items()
    }
    assert {split: len(names) for split, names in alphabets.items()} == {
        "train": 38,
        "val": 10,
        "test": 12,
    }
    assert len(set.union(*alphabets.values())) == 60


def test_every_alphabet_has_20_to_24_characters_in_20_hands(cache: Path) -> None:
    for pool in pools(cache).values():
        names = [name.split("/")[0] for name in pool.classes]
        assert all(20 <= names.count(one) <= 24 for one in set(names))
        assert {len(rows) for rows in pool.rows} == {20}
        assert pool.example_shape == (1, 28, 28)


def test_images_are_dark_ink_on_light_paper_and_no_two_are_equal(cache: Path) -> None:
    store = np.asarray(pools(cache)["train"].store)
    assert store.dtype == np.uint8
    dark = (store < 128).mean((1, 2, 3))
    assert dark.min() > 0.01
    assert dark.max() < 0.45
    assert store.max() == 255
    assert len({picture.tobytes() for picture in store}) == len(store)


def test_the_nearest_image_by_pixels_is_often_another_character(cache: Path) -> None:
    source = ClassEpisodes(pools(cache)["test"], way=5, shot=1, query=5, seed=("pixels",))
    right = []
    for index in range(150):
        episode = source.episode(index)
        support, query = (part.x.float().flatten(1) for part in episode)
        nearest = ((query[:, None] - support) ** 2).sum(-1).argmin(1)
        right.append((nearest == episode.query.y).float().mean().item())
    assert 0.24 < np.mean(right) < 0.38  # chance 0.2


@pytest.mark.slow
def test_images_that_another_version_drew_are_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glyphs, "VERSION", 1)
    before = glyphs.pool("val", GlyphOptions(), tmp_path)
    monkeypatch.undo()
    after = glyphs.pool("val", GlyphOptions(), tmp_path)
    assert after.digest != before.digest
    assert after.digest == glyphs.pool("val", GlyphOptions(), tmp_path).digest


def test_another_seed_draws_other_alphabets_beside_the_first() -> None:
    assert not np.array_equal(draw_alphabet(0, 0)[:20], draw_alphabet(1, 0)[:20])
    assert glyphs.place(Path("c"), GlyphOptions(1)) != glyphs.place(Path("c"), GlyphOptions(0))


def test_a_damaged_cache_is_refused_with_the_command_that_mends_it(cache: Path) -> None:
    images = cache / "glyphs" / "images.npy"
    kept = images.read_bytes()
    damaged = bytearray(kept)
    damaged[-1] ^= 1
    images.write_bytes(damaged)
    try:
        with pytest.raises(DataError, match="damaged") as caught:
            glyphs.pool("test", GlyphOptions(), cache)
        assert caught.value.hint == "metacli fetch glyphs --force"
    finally:
        images.write_bytes(kept)


def test_an_unknown_split_is_refused(cache: Path) -> None:
    with pytest.raises(DataError, match="no split 'dev'"):
        glyphs.pool("dev", GlyphOptions(), cache)
