"""Where a run goes, and which device a name means."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metacli.engine.storage import paths
from metacli.engine.storage.paths import claim_folder, exists, new_folder, require_device
from metacli.errors import EnvironmentProblem, UsageProblem


def test_folders_that_begin_in_one_second_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "stamp", lambda: "20260102T030405Z")
    names = []
    for _ in range(3):
        names.append(new_folder(tmp_path).name)
        new_folder(tmp_path).mkdir()
    begin = "20260102T030405Z"
    assert names == [begin, f"{begin}-2", f"{begin}-3"]
    assert new_folder(tmp_path / "other") == tmp_path / "other" / begin


def test_a_folder_is_made_where_it_is_claimed_and_the_next_one_beside_it(tmp_path: Path) -> None:
    claimed = [claim_folder(tmp_path / "new" / "run") for _ in range(3)]
    assert [one.name for one in claimed] == ["run", "run-2", "run-3"]
    assert all(one.is_dir() for one in claimed)


def test_a_device_is_named_as_torch_names_it() -> None:
    assert require_device("cpu") == torch.device("cpu")
    assert require_device("auto").type in ("cpu", "cuda")
    for name in ("tpu", "cpu:", "cuda:x", ""):
        with pytest.raises(UsageProblem, match="unknown device"):
            require_device(name)
    with pytest.raises(EnvironmentProblem):
        require_device("cpu:1")


@pytest.mark.parametrize("cards", [0, 2])
def test_a_card_is_there_where_its_number_is_below_how_many_there_are(
    cards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    for number in range(4):
        if number < cards:
            assert require_device(f"cuda:{number}") == torch.device("cuda", number)
        else:
            with pytest.raises(EnvironmentProblem, match=f"cuda:{number} is not on this machine"):
                require_device(f"cuda:{number}")


@pytest.mark.parametrize("name", ["a" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path, name: str) -> None:
    assert not exists(tmp_path / name)
    assert exists(tmp_path)
