"""Omniglot's alphabets as tasks, from a cache of made-up pictures."""

from __future__ import annotations

import numpy as np
import pytest

from metacli.data.cache.store import write_stored
from metacli.data.catalogue.omniglot import characters
from metacli.data.multi_task.dataset import SPLITS
from metacli.data.multi_task.splits import divide_rows
from metacli.data.sources import load_multi_task
from metacli.errors import DataError


@pytest.fixture
def stored(tmp_path):
    folder = tmp_path / "omniglot"
    folder.mkdir()
    names = sorted(one.name for one in characters())
    pictures = np.repeat(np.arange(len(names)) % 251, 4).astype(np.uint8)
    images = np.broadcast_to(pictures[:, None, None, None], (len(pictures), 1, 28, 28))
    write_stored(folder, np.ascontiguousarray(images), [(name, 4) for name in names], "0")
    return tmp_path


def test_an_alphabet_is_a_task_of_its_own_characters(stored):
    made, _ = load_multi_task("omniglot-alphabets", {}, stored)
    assert len(made.tasks) == 30
    assert sum(map(len, made.classes)) == 964
    greek = made.tasks.index("Greek")
    assert made.x[greek].shape == (24 * 4, 28 * 28)
    assert made.classes[greek][0] == "character01"
    names = sorted(one.name for one in characters())
    first = made.x[greek][np.flatnonzero(made.y[greek] == 2)[0], 0]
    assert first == names.index("Greek/character03") % 251
    assert (made.shape, made.levels, made.metric) == ((1, 28, 28), (255.0, -255.0), "accuracy")


def test_every_character_is_in_every_part(stored):
    made, _ = load_multi_task("omniglot-alphabets", {"most": 2}, stored)
    parts = divide_rows(made, 0)
    for name in SPLITS:
        for task in range(2):
            seen = np.unique(made.y[task][parts[name][task]])
            assert len(seen) == len(made.classes[task]), name


def test_the_other_alphabets_are_those_of_the_evaluation_set(stored):
    made, _ = load_multi_task("omniglot-alphabets", {"part": "evaluation"}, stored)
    assert len(made.tasks) == 20
    with pytest.raises(DataError, match="part is background or evaluation"):
        load_multi_task("omniglot-alphabets", {"part": "greek"}, stored)
