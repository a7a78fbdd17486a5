"""Sets of classifications: what is drawn, and that it is the same at every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.data.sets.assays import groups_of_targets
from metacli.data.sets.by_name import CharacterSets, glyph_sets
from metacli.data.sets.classes import ClassGroups, ClassSets, ClassTask, Relation, digest_of
from metacli.data.sets.styles import COUNT, Style, in_style, style
from metacli.errors import DataError


def groups(relation: Relation, *, shared: bool = True, focus: bool = False) -> ClassGroups:
    """Two groups of tasks of four classes with six examples, whose pixels are the row's number."""
    tasks, row = [], 0
    for group in range(2):
        own = []
        for task in range(3 if relation == "tasks" else 1):
            classes = 4 if relation == "tasks" else 8
            rows = [np.arange(row + 6 * c, row + 6 * c + 6) for c in range(classes)]
            row += 6 * classes
            names = tuple(f"c{c}" for c in range(classes))
            own.append(ClassTask(f"g{group}t{task}", names, tuple(rows)))
        tasks.append(tuple(own))
    store = np.broadcast_to(np.arange(row, dtype=np.uint8)[:, None, None, None], (row, 1, 4, 4))
    digest = digest_of(["toy", relation], tasks)
    return ClassGroups(
        "toy", "train", store.copy(), tuple(tasks), relation, shared, digest, focus=focus
    )


def test_tasks_of_a_set_are_of_one_group_and_have_the_same_classes_in_the_same_order() -> None:
    source = ClassSets(groups("tasks"), 2, 3, 2, 2, meta_batch=4)
    for index in range(20):
        one = source.members(index)
        assert len({name[:2] for name in one.tasks}) == 1
        assert len(set(one.tasks)) == 2
        assert one.classes[0] == one.classes[1]
        assert len(set(one.rows.ravel().tolist())) == one.rows.size
    orders = {source.members(index).classes[0] for index in range(20)}
    assert len(orders) > 5


def test_tasks_whose_labels_differ_draw_their_classes_each_for_itself() -> None:
    source = ClassSets(groups("tasks", shared=False), 2, 3, 2, 2)
    drawn = [source.members(index).classes for index in range(20)]
    assert any(first != second for first, second in drawn)


def test_disjoint_problems_of_one_group_share_no_class() -> None:
    source = ClassSets(groups("divided", shared=False), (1, 2), 4, 1, 2)
    sizes = set()
    for index in range(20):
        one = source.members(index)
        classes = [name for task in one.classes for name in task]
        assert len(set(classes)) == len(classes)
        sizes.add(len(one.tasks))
    assert sizes == {1, 2}


def test_styles_show_the_same_classes_and_no_example_in_two_tasks() -> None:
    source = ClassSets(groups("styles"), 2, 3, 1, 2)
    for index in range(20):
        one = source.members(index)
        assert one.classes[0] == one.classes[1]
        assert one.styles[0] != one.styles[1]
        assert len(set(one.rows.ravel().tolist())) == one.rows.size


def test_a_set_is_the_same_in_every_order_of_asking_and_queries_are_no_support() -> None:
    source = ClassSets(groups("tasks"), (2, 3), 3, (1, 3), 2, seed=("train", 7), meta_batch=3)
    for step in (5, 0):
        whole = source.meta_batch_at(step)
        for at in range(3):
            one = source.episode(3 * step + at)
            assert torch.equal(one.support.x, whole.support.x[at])
            assert torch.equal(one.query.y, whole.query.y[at])
        for t in range(whole.roles.shape[1]):
            shown = set(whole.support.x[0, t].flatten().tolist())
            assert not shown & set(whole.query.x[0, t].flatten().tolist())
    assert source.episode(0).support.y[0].tolist() == sorted(
        source.episode(0).support.y[0].tolist()
    )


def test_a_task_in_focus_is_in_every_set_and_its_queries_alone_count() -> None:
    source = ClassSets(groups("tasks", focus=True), 2, 3, 1, 2)
    for index in range(10):
        assert source.members(index).tasks[0].endswith("t0")
    mask = source.meta_batch_at(0).query.mask
    assert mask is not None
    assert mask.tolist() == [[[True] * 6, [False] * 6]]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((4, 3, 1, 1), "no set of 4 tasks of 3 classes each can be drawn: the largest set has 3"),
        ((2, 5, 1, 1), "the largest task 4 classes"),
        ((2, 3, 5, 2), "class c0 of g0t0 has 6 examples; 5 shots and 2 queries need 7"),
    ],
)
def test_what_cannot_be_drawn_is_named(sizes: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ClassSets(groups("tasks"), *sizes)


def test_examples_in_styles_have_to_suffice_for_all_of_them() -> None:
    with pytest.raises(DataError, match="need 8 in 2 styles"):
        ClassSets(groups("styles"), 2, 3, 2, 2)


def test_a_style_turns_inverts_thickens_and_blurs_nothing_else() -> None:
    image = np.full((1, 5, 5), 255, np.uint8)
    image[0, 1:4, 2] = 0  # an upright stroke
    none = np.zeros((1, 5, 5, 2))
    assert np.array_equal(in_style(image, Style(), none), image)
    assert np.array_equal(in_style(image, Style(turns=1), none), np.rot90(image, 1, (-2, -1)))
    assert np.array_equal(in_style(image, Style(inverted=True), none), 255 - image)
    thick = in_style(image, Style(stroke=1), none)
    assert (thick[0, 2] == [255, 0, 0, 0, 255]).all()
    assert (in_style(thick, Style(stroke=-1), none) == 0).sum() < (thick == 0).sum()
    noisy = in_style(image, Style(noise=0.3), np.stack([np.full((1, 5, 5), 0.2)] * 2, -1))
    assert (noisy == 51).all()
    assert len({style(number) for number in range(COUNT)}) == COUNT
    assert style(0) == Style()
    assert style(0).name == "turn-0"


def test_glyphs_come_in_styles_and_by_alphabet(cache: Path) -> None:
    styles = glyph_sets("val", CharacterSets("styles"), cache)
    alphabets = glyph_sets("val", CharacterSets("alphabets"), cache)
    assert styles.shared_labels
    assert not alphabets.shared_labels
    assert styles.digest != alphabets.digest
    episodes = ClassSets(styles, 3, 5, 1, 2, seed=("val", 0), meta_batch=2).meta_batch_at(0)
    assert episodes.support.x.shape == (2, 3, 5, 1, 28, 28)
    assert episodes.support.x.dtype == torch.uint8
    whole = ClassSets(alphabets, 4, 5, 1, 2, seed=("val", 0))
    for index in range(5):
        names = whole.members(index).tasks
        assert len({name.partition("/")[0] for name in names}) == 1
    again = ClassSets(replace(alphabets), 4, 5, 1, 2, seed=("val", 0))
    assert torch.equal(again.episode(3).query.x, whole.episode(3).query.x)


def test_targets_of_the_same_rows_are_tasks_and_a_missing_label_is_no_example() -> None:
    draw = np.random.default_rng(0)
    y = [np.where(draw.random(40) < 0.3, np.nan, draw.integers(0, 2, 40)) for _ in range(6)]
    data = MultiTaskData(
        name="assays",
        tasks=tuple(f"t{one}" for one in range(6)),
        x=(np.arange(80.0).reshape(40, 2),) * 6,
        y=tuple(y),
        kinds=all_of("classification", 6),
        metric="auc",
        contents="toy",
        rows="shared",
    )
    parts = {split: groups_of_targets(data, split, 4, 1) for split in ("train", "val", "test")}
    names = {split: [task.name for task in one.groups[0]] for split, one in parts.items()}
    assert names == {"train": ["t0", "t1", "t2"], "val": ["t3"], "test": ["t4", "t5"]}
    assert not parts["train"].shared_labels
    assert parts["train"].positive  # an active molecule is what is looked for
    source = ClassSets(parts["train"], 2, 2, 3, 2)
    for index in range(10):
        one = source.members(index)
        for task, classes, rows in zip(one.tasks, one.classes, one.rows, strict=True):
            own = y[int(task[1:])]
            for name, some in zip(classes, rows, strict=True):
                assert (own[some] == float(name)).all()
