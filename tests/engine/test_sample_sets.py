"""A set of functions as a user's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.cli.app import main
from metacli.data.sets.from_user import SetColumns, read_set
from metacli.data.sets.functions import NAMES, Functions
from metacli.engine.sample import sample
from metacli.errors import UsageProblem

FOUR = NAMES[:4]


def test_a_sampled_set_is_read_as_the_tasks_that_it_was_drawn_from(tmp_path: Path) -> None:
    found = sample("functions", tmp_path / "s", shot=10, query=6)
    assert (found.classes, found.way, found.shot) == (FOUR, None, 10)
    wanted = Functions(points=10, query=6, seed=("sample", "test", 0)).meta_batch_at(0)
    user = read_set(tmp_path / "s" / "set.csv", SetColumns(known=FOUR))
    assert wanted.support.mask is not None
    for t, task in enumerate(user.tasks):
        known = wanted.support.mask[0, t].numpy()
        np.testing.assert_array_equal(~np.isnan(task.y), known)
        np.testing.assert_allclose(task.y[known], wanted.support.y[0, t][known], atol=1e-4)
    later = read_set(tmp_path / "s" / "later.csv", SetColumns(known=FOUR))
    assert [len(task.labelled.y) for task in later.tasks] == [6, 6, 6, 6]


def test_another_seed_is_another_set_and_too_many_rows_are_refused(tmp_path: Path) -> None:
    texts = []
    for seed in (0, 1):
        sample("functions", tmp_path / str(seed), seed=seed)
        texts.append((tmp_path / str(seed) / "set.csv").read_text())
    assert texts[0] != texts[1]
    with pytest.raises(UsageProblem, match="up to 32 rows"):
        sample("functions", tmp_path / "many", shot=33)


def test_the_command_says_what_to_type_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "functions", str(tmp_path / "s"), "--shot", "10"]) == 0
    shown = capsys.readouterr().out
    assert "sine, tanh, sigmoid, gaussian" in shown
    assert f"metacli adapt @last {tmp_path / 's' / 'set.csv'}" in shown
