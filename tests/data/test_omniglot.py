"""Omniglot: the three schemes, and the real pictures where a mirror is at hand."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.data.cache.download import fetch_dataset
from metacli.data.catalogue.omniglot import OmniglotOptions, characters, decode, split_characters
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.sources import load_pool
from metacli.errors import DataError

SPLITS = ("train", "val", "test")
BESIDE = Path(__file__).parents[3] / "shared" / "data"
MIRROR = os.environ.get("METACLI_MIRROR") or (str(BESIDE) if BESIDE.is_dir() else None)
needs_mirror = pytest.mark.skipif(
    MIRROR is None, reason="set METACLI_MIRROR to a folder with Omniglot's archives"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    result = fetch_dataset("omniglot", folder, mirror=MIRROR, offline=True)
    assert not result.from_cache
    return folder


@pytest.mark.parametrize(
    ("scheme", "sizes"),
    [("vinyals", (1028, 172, 423)), ("random", (1100, 100, 423)), ("background", (813, 151, 659))],
)
def test_the_splits_are_disjoint_and_hold_every_character(
    scheme: str, sizes: tuple[int, ...]
) -> None:
    parts = [split_characters(split, OmniglotOptions(scheme)) for split in SPLITS]
    assert tuple(len(part) for part in parts) == sizes
    assert len({name for part in parts for name in part}) == 1623


def test_there_are_30_background_and_20_evaluation_alphabets() -> None:
    everyone = characters()
    assert sum(one.background for one in everyone) == 964
    assert len({one.alphabet for one in everyone if one.background}) == 30
    assert len({one.alphabet for one in everyone if not one.background}) == 20


def test_the_vinyals_split_takes_236_training_characters_from_the_evaluation_set() -> None:
    train = set(split_characters("train", OmniglotOptions()))
    assert sum(one.name in train and not one.background for one in characters()) == 236


def test_background_validation_is_the_last_five_alphabets_by_name() -> None:
    names = split_characters("val", OmniglotOptions("background"))
    train = split_characters("train", OmniglotOptions("background"))
    alphabets = {name.split("/")[0] for name in names}
    assert len(alphabets) == 5
    assert min(alphabets) > max(name.split("/")[0] for name in train)


def test_another_split_seed_divides_otherwise() -> None:
    parts = [split_characters("test", OmniglotOptions("random", seed)) for seed in (0, 1)]
    assert parts[0] != parts[1]
    assert hashlib.sha256("\n".join(parts[0]).encode()).hexdigest()[:16] == "0850b6cc075d1520"


def test_an_unknown_scheme_names_the_four() -> None:
    with pytest.raises(DataError, match="no scheme 'lake'") as caught:
        OmniglotOptions("lake")
    assert caught.value.hint == (
        "the schemes are vinyals, random, background and background-within"
    )


def test_only_background_characters_are_turned_on_request() -> None:
    for scheme in ("vinyals", "random"):
        with pytest.raises(DataError, match="turns characters as it does"):
            OmniglotOptions(scheme, turned=True)


@needs_mirror
def test_turned_characters_are_classes_of_turned_alphabets(cache: Path) -> None:
    options = {"scheme": "background-within", "turned": True}
    train, val = (load_pool("omniglot", split, options, cache) for split in ("train", "val"))
    assert (len(train.classes), len(val.classes)) == (4 * 813, 151)
    assert train.families is not None
    assert len(train.families) == 4 * 25
    for family in train.families:
        ends = [train.classes[one].split("/") for one in family]
        assert len({(alphabet, turn) for alphabet, _, turn in ends}) == 1


def test_not_fetched_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not been fetched") as caught:
        load_pool("omniglot", "train", {}, tmp_path)
    assert caught.value.hint == "metacli fetch omniglot"


def test_decoding_keeps_dark_ink_on_light_paper_and_the_image_upright() -> None:
    page = np.ones((105, 105), bool)
    page[:20, :10] = False  # ink in the upper left corner
    stream = io.BytesIO()
    Image.fromarray(page).save(stream, "PNG")
    small = decode(stream.getvalue())
    assert (small.shape, small.dtype) == ((28, 28), np.uint8)
    assert small[0, 0] < 10
    assert small[4, 1] < 10
    assert (small[8:] > 245).all()
    assert (small[:, 6:] > 245).all()


@needs_mirror
@pytest.mark.parametrize(
    ("scheme", "classes"),
    [("vinyals", (4112, 688, 1692)), ("random", (1100, 100, 423)), ("background", (813, 151, 659))],
)
def test_every_class_has_20_drawings(cache: Path, scheme: str, classes: tuple[int, ...]) -> None:
    pools = [load_pool("omniglot", split, {"scheme": scheme}, cache) for split in SPLITS]
    assert tuple(len(pool.classes) for pool in pools) == classes
    assert {len(rows) for pool in pools for rows in pool.rows} == {20}
    rows = [{int(row) for of in pool.rows for row in of} for pool in pools]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 32460
    assert len({pool.digest for pool in pools}) == 3


@needs_mirror
def test_rotations_are_classes_of_the_vinyals_scheme_alone(cache: Path) -> None:
    vinyals = load_pool("omniglot", "test", {"scheme": "vinyals"}, cache)
    assert vinyals.turns is not None
    assert vinyals.turns[:5].tolist() == [0, 1, 2, 3, 0]
    assert vinyals.classes[1].endswith("/rot090")
    flags = {
        scheme: (pool.turns is None, pool.random_turns)
        for scheme in ("random", "background")
        for pool in [load_pool("omniglot", "test", {"scheme": scheme}, cache)]
    }
    assert flags == {"random": (True, True), "background": (True, False)}


@needs_mirror
def test_a_class_holds_the_images_of_its_folder(cache: Path) -> None:
    pool = load_pool("omniglot", "train", {"scheme": "background"}, cache)
    place = pool.classes.index("Greek/character07") if "Greek/character07" in pool.classes else 0
    path = next(Path(str(MIRROR)).rglob("images_background.zip"))
    with zipfile.ZipFile(path) as packed:
        names = sorted(name for name in packed.namelist() if f"/{pool.classes[place]}/" in name)
        expected = [decode(packed.read(name)) for name in names]
    np.testing.assert_array_equal(pool.store[pool.rows[place]][:, 0], np.stack(expected))


@needs_mirror
def test_the_schemes_agree_about_a_character_and_its_turns(cache: Path) -> None:
    pool = load_pool("omniglot", "test", {"scheme": "vinyals"}, cache)
    source = ClassEpisodes(pool, way=20, shot=1, query=1, seed=("turns",))
    members, episode = source.members(0), source.episode(0)
    for label in range(20):
        upright = torch.from_numpy(np.array(pool.store[members.support[label][0], 0]))
        turned = torch.rot90(upright, members.turns[label], (0, 1))
        assert torch.equal(episode.support.x[label, 0], turned)
        assert pool.classes[members.classes[label]].endswith(f"rot{90 * members.turns[label]:03d}")


@needs_mirror
def test_an_episode_within_is_of_one_alphabet_that_is_large_enough(cache: Path) -> None:
    pools = [
        load_pool("omniglot", "val", {"scheme": scheme}, cache)
        for scheme in ("background", "background-within")
    ]
    assert pools[0].classes == pools[1].classes
    assert pools[0].digest != pools[1].digest
    sizes = dict.fromkeys(sorted(one.split("/")[0] for one in pools[1].classes), 0)
    for one in pools[1].classes:
        sizes[one.split("/")[0]] += 1
    way = sorted(sizes.values())[2]  # two of the five alphabets are smaller, or as small
    source = ClassEpisodes(pools[1], way=way, shot=1, query=1, seed=("within",))
    met = set()
    for index in range(60):
        classes = source.members(index).classes
        assert len(set(classes)) == way
        (alphabet,) = {pools[1].classes[one].split("/")[0] for one in classes}
        met.add(alphabet)
    assert met == {name for name, size in sizes.items() if size >= way}


@needs_mirror
def test_no_alphabet_is_large_enough_for_60_ways_within(cache: Path) -> None:
    pool = load_pool("omniglot", "test", {"scheme": "background-within"}, cache)
    with pytest.raises(DataError, match=r"60 ways .* there are 47 classes in the largest family"):
        ClassEpisodes(pool, way=60, shot=1, query=1)


@needs_mirror
def test_the_fingerprint_is_that_of_every_other_machine(cache: Path) -> None:
    pool = load_pool("omniglot", "test", {"scheme": "vinyals"}, cache)
    assert pool.digest[:16] == "d291a899bd48616f"
