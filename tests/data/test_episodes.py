"""Episodes: the same everywhere, disjoint, in random label order."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metacli.data.draws import partial_shuffle, shuffled
from metacli.data.few_shot.episodes import ClassEpisodes, EpisodeMembers
from metacli.data.few_shot.pools import Pool, make_pool
from metacli.errors import DataError, ExitCode

PICTURES = 6


def coded_pool(classes: int = 12, sizes: list[int] | None = None, **options: Any) -> Pool:
    """Row r of the store is a picture whose first pixel is r, so that a picture tells its row."""
    sizes = sizes or [PICTURES] * classes
    total = sum(sizes)
    store = np.zeros((total, 1, 3, 3), np.uint8)
    store[:, 0, 0, 0] = np.arange(total)
    ends = np.cumsum(sizes)
    return make_pool(
        name="coded",
        split="train",
        scheme=None,
        classes=[f"class{c}" for c in range(len(sizes))],
        rows=[np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)],
        store=store,
        contents="coded",
        **options,
    )


def test_support_and_query_hold_the_drawn_rows_class_by_class() -> None:
    source = ClassEpisodes(coded_pool(), way=4, shot=2, query=3)
    for index in range(50):
        members, episode = source.members(index), source.episode(index)
        assert episode.support.x[:, 0, 0, 0].tolist() == [
            r for rows in members.support for r in rows
        ]
        assert episode.query.x[:, 0, 0, 0].tolist() == [r for rows in members.query for r in rows]
        assert episode.support.y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        assert episode.query.y.tolist() == [n for n in range(4) for _ in range(3)]
        for label, of_class in enumerate(members.classes):
            rows = members.support[label] + members.query[label]
            assert len(set(rows)) == 5
            assert {row // PICTURES for row in rows} == {of_class}
        assert len(set(members.classes)) == 4


def test_shapes_and_types_are_those_of_the_spec() -> None:
    source = ClassEpisodes(coded_pool(), way=4, shot=2, query=3, meta_batch=5)
    episode, stacked = source.episode(0), source.meta_batch_at(0)
    assert episode.support.x.shape == (8, 1, 3, 3)
    assert stacked.query.x.shape == (5, 12, 1, 3, 3)
    assert (episode.support.x.dtype, episode.support.y.dtype) == (torch.uint8, torch.int64)
    assert episode.support.mask is None
    assert source.spec.input_shape == (1, 3, 3)
    assert source.spec.num_classes == 12


def test_a_meta_batch_is_its_episodes_stacked() -> None:
    source = ClassEpisodes(coded_pool(), way=(2, 6), shot=(1, 3), query=2, meta_batch=4)
    for step in (0, 1, 7):
        stacked = source.meta_batch_at(step)
        for place in range(4):
            episode = source.episode(4 * step + place)
            assert torch.equal(stacked.support.x[place], episode.support.x)
            assert torch.equal(stacked.query.y[place], episode.query.y)


def test_ways_and_shots_of_a_range_are_drawn_once_for_each_meta_batch() -> None:
    source = ClassEpisodes(coded_pool(), way=(2, 6), shot=(1, 3), query=2, meta_batch=3)
    drawn = [source.members(i) for i in range(300)]
    shapes = [(len(m.classes), {len(rows) for rows in m.support}) for m in drawn]
    assert all(shapes[i] == shapes[3 * (i // 3)] for i in range(300))
    assert {way for way, _ in shapes} == {2, 3, 4, 5, 6}
    assert {shot for _, of in shapes for shot in of} == {1, 2, 3}


@pytest.mark.parametrize(
    ("ranges", "ways", "shots"),
    [
        ({"way": 3, "shot": (1, 3)}, {3}, {1, 2, 3}),
        ({"way": (2, 4), "shot": 2}, {2, 3, 4}, {2}),
    ],
)
def test_one_range_beside_a_number_is_drawn(
    ranges: dict[str, Any], ways: set[int], shots: set[int]
) -> None:
    source = ClassEpisodes(coded_pool(), query=2, **ranges)
    drawn = [source.members(index).support for index in range(40)]
    assert {len(one) for one in drawn} == ways
    assert {len(of_class) for one in drawn for of_class in one} == shots


def test_every_class_gets_every_label_about_equally_often() -> None:
    source = ClassEpisodes(coded_pool(6), way=3, shot=1, query=1)
    count = Counter(
        (of_class, label)
        for index in range(1800)
        for label, of_class in enumerate(source.members(index).classes)
    )
    assert len(count) == 18  # expected 300 each, standard deviation 16
    assert all(220 < number < 380 for number in count.values())


def test_every_image_is_drawn_about_equally_often() -> None:
    source = ClassEpisodes(coded_pool(3), way=2, shot=1, query=1)
    count = Counter(rows[0] for index in range(1800) for rows in source.members(index).support)
    assert len(count) == 18
    assert all(140 < number < 260 for number in count.values())  # expected 200


def test_an_unbalanced_support_is_padded_and_masked() -> None:
    source = ClassEpisodes(coded_pool(), way=3, shot=(1, 4), query=2, balanced=False)
    seen = set()
    for index in range(40):
        members, episode = source.members(index), source.episode(index)
        assert episode.support.x.shape == (12, 1, 3, 3)
        assert episode.support.mask is not None
        mask = episode.support.mask.reshape(3, 4)
        for label, rows in enumerate(members.support):
            assert mask[label].tolist() == [k < len(rows) for k in range(4)]
            seen.add(len(rows))
        assert int(episode.support.x[~episode.support.mask].sum()) == 0
        assert episode.query.mask is None
    assert seen == {1, 2, 3, 4}


def test_quarter_turns_are_counter_clockwise() -> None:
    store = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3).repeat(2, 0)
    pool = make_pool(
        name="turned", split="train", scheme=None, classes=["a"], rows=[np.arange(2)], store=store,
        contents="", rotations=True,
    )  # fmt: skip
    assert pool.classes == ("a/rot000", "a/rot090", "a/rot180", "a/rot270")
    source = ClassEpisodes(pool, way=4, shot=1, query=1)
    members, episode = source.members(0), source.episode(0)
    expected = {
        0: [0, 1, 2, 3, 4, 5, 6, 7, 8],
        1: [2, 5, 8, 1, 4, 7, 0, 3, 6],
        2: [8, 7, 6, 5, 4, 3, 2, 1, 0],
        3: [6, 3, 0, 7, 4, 1, 8, 5, 2],
    }
    assert sorted(members.turns) == [0, 1, 2, 3]
    for label, turns in enumerate(members.turns):
        assert members.turns[label] == members.classes[label]
        assert episode.support.x[label].flatten().tolist() == expected[turns]
        assert episode.query.x[label].flatten().tolist() == expected[turns]


def test_random_turns_are_drawn_for_each_class_of_each_episode() -> None:
    source = ClassEpisodes(coded_pool(random_turns=True), way=4, shot=1, query=1)
    turns = Counter((m.classes[0], m.turns[0]) for m in map(source.members, range(2000)))
    assert len(turns) == 48
    first = source.members(0)
    corners = {0: (0, 0), 1: (2, 0), 2: (2, 2), 3: (0, 2)}  # where the first pixel goes
    for label, turn in enumerate(first.turns):
        row, column = corners[turn]
        picture = source.episode(0).support.x[label, 0]
        assert int(picture[row, column]) == first.support[label][0]


def test_other_seeds_and_indices_give_other_episodes() -> None:
    pool = coded_pool()
    sources = [ClassEpisodes(pool, 4, 1, 1, seed=seed) for seed in ((0, "train"), (1, "train"))]
    drawn = [source.members(index) for source in sources for index in range(50)]
    assert len(set(drawn)) > 98


def test_a_range_in_the_seed_may_be_a_list_or_a_pair() -> None:
    one, other = (
        ClassEpisodes(coded_pool(), 4, 1, 1, seed=(0, "test", span)) for span in ([3, 20], (3, 20))
    )
    assert one.members(0) == other.members(0)


def test_a_partial_shuffle_is_the_beginning_of_a_full_one() -> None:
    jumps = [3, 0, 2, 1, 0]
    slow = list(range(5))
    for place, jump in enumerate(jumps):
        slow[place], slow[place + jump] = slow[place + jump], slow[place]
    assert [partial_shuffle(jumps[:k]) for k in range(6)] == [slow[:k] for k in range(6)]
    assert sorted(shuffled(100, "x")) == list(range(100))
    assert shuffled(100, "x") != shuffled(100, "y")


def test_the_drawn_members_are_those_of_every_other_machine() -> None:
    source = ClassEpisodes(coded_pool(), way=3, shot=1, query=2, seed=(7, "train"))
    assert source.members(5) == EpisodeMembers(
        classes=(9, 5, 3),
        turns=(0, 0, 0),
        support=((57,), (33,), (20,)),
        query=((59, 55), (34, 31), (21, 19)),
    )


PROGRAM = """
import hashlib, numpy as np
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import make_pool
store = np.arange(12 * 6 * 9, dtype=np.int64).astype(np.uint8).reshape(-1, 1, 3, 3)
pool = make_pool(name="p", split="train", scheme=None, classes=[f"c{i}" for i in range(12)],
                 rows=[np.arange(6) + 6 * i for i in range(12)], store=store, contents="",
                 rotations=True)
source = ClassEpisodes(pool, (2, 5), (1, 3), 2, seed=(0, "train"), meta_batch=4)
whole = hashlib.sha256(pool.digest.encode())
for step in range(5):
    for part in source.meta_batch_at(step):
        whole.update(part.x.numpy().tobytes() + part.y.numpy().tobytes())
print(whole.hexdigest())
"""


@pytest.mark.slow
def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == len(hashlib.sha256().hexdigest())


def test_too_few_classes_are_refused_with_both_numbers() -> None:
    with pytest.raises(DataError, match=r"20 ways .* 12 classes") as caught:
        ClassEpisodes(coded_pool(), way=(5, 20), shot=1, query=1)
    assert caught.value.exit_code == ExitCode.INVALID
    assert "12" in str(caught.value.hint)


def test_a_class_with_too_few_images_is_named() -> None:
    pool = coded_pool(sizes=[6, 6, 3, 6, 2])
    with pytest.raises(DataError, match=r"need 5 images of each class; class2 has 3, and 1 more"):
        ClassEpisodes(pool, way=2, shot=(1, 2), query=3)


@pytest.mark.parametrize(
    "sizes",
    [
        {"way": 0},
        {"shot": 0},
        {"shot": (3, 1)},
        {"query": -1},
        {"way": (1, 2, 3)},
        {"meta_batch": 0},
    ],
)
def test_sizes_that_make_no_episode_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="wanted"):
        ClassEpisodes(coded_pool(), **{"way": 2, "shot": 1, "query": 1, **sizes})


def test_images_that_are_not_square_cannot_be_turned() -> None:
    with pytest.raises(DataError, match="square"):
        make_pool(
            name="wide", split="train", scheme=None, classes=["a"], rows=[np.arange(1)],
            store=np.zeros((1, 1, 2, 3), np.uint8), contents="", rotations=True,
        )  # fmt: skip


def test_the_digest_tells_contents_classes_rows_and_turns_apart() -> None:
    pools = [
        coded_pool(),
        coded_pool(11),
        coded_pool(rotations=True),
        coded_pool(random_turns=True),
        coded_pool(sizes=[7, 5] + [6] * 10),
    ]
    assert len({pool.digest for pool in pools}) == len(pools)
    assert coded_pool().digest == coded_pool().digest


def speckled_pool() -> Pool:
    """Pictures of 6x6 in which every pixel has a value of its own."""
    pool = coded_pool(sizes=[6, 6, 6, 6])
    numbers = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (24, 1, 6, 6))
    return replace(pool, store=numbers.astype(np.uint8))


def test_a_shift_moves_each_image_by_its_own_few_pixels_and_changes_nothing_else() -> None:
    still = ClassEpisodes(speckled_pool(), way=3, shot=2, query=2)
    moved = replace(still, shift=2)
    for index in range(3):
        before, after = still.episode(index), moved.episode(index)
        assert torch.equal(before.support.y, after.support.y)
        for old, new in zip(before.query.x.numpy(), after.query.x.numpy(), strict=True):
            wide = np.pad(old, ((0, 0), (2, 2), (2, 2)), mode="edge")
            cuts = [wide[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)]
            assert any(np.array_equal(cut, new) for cut in cuts)
        assert not torch.equal(before.query.x, after.query.x)


def test_a_shifted_meta_batch_holds_the_shifted_episodes() -> None:
    moved = ClassEpisodes(speckled_pool(), way=3, shot=1, query=2, meta_batch=4, shift=1)
    whole = moved.meta_batch_at(2)
    for i in range(4):
        one = moved.episode(8 + i)
        assert torch.equal(whole.support.x[i], one.support.x)
        assert torch.equal(whole.query.x[i], one.query.x)


@pytest.mark.parametrize("shift", [0, 1])
def test_a_part_of_a_meta_batch_holds_the_episodes_of_its_range(shift: int) -> None:
    source = ClassEpisodes(speckled_pool(), way=3, shot=1, query=2, meta_batch=4, shift=shift)
    part = source.part_at(2, 1, 3)
    assert len(part.support.x) == len(part.query.x) == 2
    for i in range(2):
        one = source.episode(9 + i)
        assert torch.equal(part.support.x[i], one.support.x)
        assert torch.equal(part.query.x[i], one.query.x)


def test_a_query_is_shifted_by_draws_of_its_own() -> None:
    """A bright pixel tells where each image was moved to."""
    store = np.zeros((24, 1, 9, 9), np.uint8)
    store[:, 0, 4, 4] = 255
    source = ClassEpisodes(
        replace(coded_pool(4), store=store), way=4, shot=2, query=2, shift=2, seed=("shift", 0)
    )
    for index in range(4):
        support, query = (
            [np.argwhere(one[0]).tolist() for one in part.x.numpy()]
            for part in source.episode(index)
        )
        for one in support + query:
            assert len(one) == 1
            assert 2 <= min(one[0]) <= max(one[0]) <= 6
        assert support != query
        assert len({str(one) for one in support + query}) > 4


def test_a_range_may_be_a_list_as_in_a_recipe() -> None:
    source = ClassEpisodes(coded_pool(), way=[2, 4], shot=[1, 3], query=1)  # type: ignore[arg-type]
    assert (source.way, source.shot) == ((2, 4), (1, 3))
    pair = ClassEpisodes(coded_pool(), way=(2, 4), shot=(1, 3), query=1)
    assert source.members(3) == pair.members(3)


def test_the_first_row_of_a_store_is_an_image_like_every_other() -> None:
    pool = coded_pool(3)
    store = pool.store + 1  # type: ignore[operator]
    source = ClassEpisodes(replace(pool, store=store), way=3, shot=(1, 4), query=2, balanced=False)
    found = [
        (index, label, rows.index(0))
        for index in range(60)
        for label, rows in enumerate(source.members(index).support)
        if 0 in rows
    ]
    assert len(found) > 5
    for index, label, place in found:
        support = source.episode(index).support
        assert support.mask is not None
        assert bool(support.mask[4 * label + place])
        assert int(support.x[4 * label + place, 0, 0, 0]) == 1
