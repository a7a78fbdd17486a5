"""Nothing is lost by a process that is killed, whatever it was doing."""

from __future__ import annotations

from pathlib import Path

import kills
import pytest

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
FULL = pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


@pytest.mark.parametrize("count", [3, FULL])
def test_killed_trainings_are_resumed_and_end_with_the_same_bits(
    count: int, tmp_path: Path
) -> None:
    found = kills.meta_trainings(tmp_path, count)
    assert found.trials == count
    assert (found.lost, found.refused, found.different, found.litter) == (0, 0, 0, 0), found.notes


@pytest.mark.parametrize("count", [3, FULL])
def test_a_killed_adapt_leaves_a_whole_model_or_none(count: int, tmp_path: Path) -> None:
    found = kills.writings(tmp_path, "adapt", kills.adapted, count)
    assert (found.lost, found.refused) == (0, 0), found.notes
