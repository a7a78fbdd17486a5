"""What was written is read back bit by bit, and a damaged one costs steps, not the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import toys

from metacli.engine.storage.serial import bytes_to_tensors, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.engine.training import checkpoint
from metacli.engine.training.loop import Snapshot
from metacli.errors import BundleError


def snapshot(step: int) -> Snapshot:
    rng = toys.rng(step)
    params = {
        "head.weight": torch.randn(2, 3, generator=rng),
        "wide": torch.randn(4, generator=rng, dtype=torch.float64),
    }
    optimizer = {
        "head.weight/exp_avg": torch.randn(2, 3, generator=rng),
        "wide/step": torch.tensor(1.0),
    }
    return Snapshot(step, params, {"losses": [0.1, 1 / 3], "name": "x"}, optimizer)


def damage(path: Path, name: str = checkpoint.PARAMS) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(bytes(data))


def test_a_checkpoint_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    wanted = snapshot(12)
    path = checkpoint.save(tmp_path, "step", wanted, {"best": 0.7, "seen": [1, 2]})
    assert path == tmp_path / "step-12"
    back = checkpoint.read(path)
    assert (back.snapshot.step, back.snapshot.state) == (12, wanted.state)
    assert (back.facts, back.path) == ({"best": 0.7, "seen": [1, 2]}, path)
    toys.assert_bits(back.snapshot.params, wanted.params)
    toys.assert_bits(back.snapshot.optimizer, wanted.optimizer)
    assert {n: v.dtype for n, v in back.snapshot.params.items()} == {
        "head.weight": torch.float32,
        "wide": torch.float64,
    }


def test_tensors_are_read_back_in_the_order_of_their_names() -> None:
    names = [f"layer.{number}" for number in range(12)]
    data = tensors_to_bytes({name: torch.zeros(1) for name in names})
    for _ in range(5):
        assert list(bytes_to_tensors(data)) == sorted(names)


def test_an_optimiser_without_memory_is_read_back_empty(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "step", Snapshot(1, snapshot(1).params, {}, {}), {})
    assert checkpoint.read(path).snapshot.optimizer == {}


def test_the_newest_two_of_a_prefix_are_kept_by_number(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "best", snapshot(1), {})
    for step in (8, 9, 10, 100):
        checkpoint.save(tmp_path, "step", snapshot(step), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-1", "step-10", "step-100"]
    assert checkpoint.numbered(tmp_path, "step") == [
        (100, tmp_path / "step-100"),
        (10, tmp_path / "step-10"),
    ]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "step", snapshot(3), {"try": 1})
    checkpoint.save(tmp_path, "step", snapshot(3), {"try": 2})
    found, _ = checkpoint.newest(tmp_path, "step")
    assert found is not None
    assert found.facts == {"try": 2}


def test_the_newest_valid_one_wins(tmp_path: Path) -> None:
    for step in (9, 10):
        checkpoint.save(tmp_path, "step", snapshot(step), {})
    found, troubles = checkpoint.newest(tmp_path, "step")
    assert found is not None
    assert (found.snapshot.step, troubles) == (10, [])


@pytest.mark.parametrize(
    "name", [checkpoint.PARAMS, checkpoint.OPTIMIZER, checkpoint.META, "manifest.json"]
)
def test_a_damaged_one_is_skipped_and_named(name: str, tmp_path: Path) -> None:
    for step in (9, 10):
        checkpoint.save(tmp_path, "step", snapshot(step), {})
    damage(tmp_path / "step-10", name)
    found, troubles = checkpoint.newest(tmp_path, "step")
    assert found is not None
    assert found.snapshot.step == 9
    toys.assert_bits(found.snapshot.params, snapshot(9).params)
    assert len(troubles) == 1
    assert troubles[0].startswith("step-10: ")


def test_one_with_a_file_gone_is_skipped_and_named(tmp_path: Path) -> None:
    for step in (9, 10):
        checkpoint.save(tmp_path, "step", snapshot(step), {})
    (tmp_path / "step-10" / checkpoint.OPTIMIZER).unlink()
    found, troubles = checkpoint.newest(tmp_path, "step")
    assert found is not None
    assert found.snapshot.step == 9
    assert troubles[0].startswith("step-10: ")


def test_all_damaged_is_an_error_that_names_each(tmp_path: Path) -> None:
    for step in (9, 10):
        checkpoint.save(tmp_path, "step", snapshot(step), {})
        damage(tmp_path / f"step-{step}")
    with pytest.raises(BundleError) as caught:
        checkpoint.newest(tmp_path, "step")
    assert "step-9: " in caught.value.message
    assert "step-10: " in caught.value.message
    assert (caught.value.code, caught.value.where) == ("model.damaged", str(tmp_path))
    assert caught.value.hint


def test_no_checkpoints_at_all_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "step-notes").mkdir()
    (tmp_path / "stepping-3").mkdir()
    assert checkpoint.newest(tmp_path, "step") == (None, [])
    assert checkpoint.newest(tmp_path / "absent", "step") == (None, [])


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"step": "9", "state": {}, "facts": {}},
        {"step": -1, "state": {}, "facts": {}},
        {"step": True, "state": {}, "facts": {}},
        {"step": 9, "state": [], "facts": {}},
        {"step": 9, "state": {}},
    ],
)
def test_one_with_good_checksums_that_no_run_writes_is_damaged(meta: dict, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "step", snapshot(9), {})
    files = {**read_folder(path), checkpoint.META: json.dumps(meta).encode()}
    write_folder(path, files, replace=True)
    with pytest.raises(BundleError, match=checkpoint.META):
        checkpoint.read(path)


def test_one_that_lacks_a_file_with_good_checksums_is_damaged(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "step", snapshot(9), {})
    files = read_folder(path)
    del files[checkpoint.OPTIMIZER]
    write_folder(path, files, replace=True)
    with pytest.raises(BundleError, match="lacks optimizer"):
        checkpoint.read(path)
