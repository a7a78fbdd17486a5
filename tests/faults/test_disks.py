"""A save that fails at any operation costs itself alone, and a damaged checkpoint is never read."""

from __future__ import annotations

from pathlib import Path

import disks
import pytest


@pytest.mark.parametrize("kinds", [disks.FEW, pytest.param(disks.EVERY, marks=pytest.mark.slow)])
def test_a_crash_or_error_at_every_operation_of_a_save_leaves_a_whole_checkpoint(
    kinds: tuple[disks.Kind, ...], tmp_path: Path
) -> None:
    found = disks.saves(tmp_path, kinds)
    assert found.trials > 15 * len(kinds)
    assert (found.lost, found.silent, found.uncaught) == (0, 0, 0), found.notes
    assert found.survived == found.trials


@pytest.mark.parametrize("count", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_damaged_checkpoints_are_refused(count: int, tmp_path: Path) -> None:
    found = disks.damages(tmp_path, count)
    assert (found.silent, found.uncaught) == (0, 0), found.notes
    assert found.survived == found.trials == count
