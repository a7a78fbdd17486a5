"""Whole or not at all, through any crash; and no changed bit is ever read as if it were right."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metacli.engine.storage import writer
from metacli.engine.storage.writer import (
    MANIFEST,
    bytes_to_tensors,
    json_bytes,
    manifest_bytes,
    read_folder,
    sweep,
    tensors_to_bytes,
    write_file,
    write_folder,
    write_json,
)
from metacli.errors import BundleError, EnvironmentProblem, MetacliError, RunFailed

OLD = {"model.json": b"{}", "weights.safetensors": b"old" * 50}
NEW = {"model.json": b"[1]", "weights.safetensors": b"new!" * 60, "README.md": b""}
OPERATIONS = ("open", "write", "fsync", "close", "mkdir", "rename", "replace", "unlink", "rmdir")
SAVES = ("file", "folder", "replace")


def save(kind: str, place: Path) -> None:
    if kind == "file":
        write_file(place / "m", b"new" * 1000)
    elif kind == "folder":
        write_folder(place / "sub" / "step-2", NEW)
    else:
        write_folder(place / "m", NEW, replace=True)


def prepare(kind: str, place: Path) -> None:
    place.mkdir()
    if kind == "file":
        write_file(place / "m", b"old" * 1000)
    else:
        write_folder(place / "m", OLD)


def state(kind: str, place: Path) -> str:
    """Which content a reader finds; anything but a whole one raises."""
    if kind == "file":
        return {b"old" * 1000: "old", b"new" * 1000: "new"}[(place / "m").read_bytes()]
    if kind == "replace":
        found = read_folder(place / "m")
        assert found in (OLD, NEW)
        return "old" if found == OLD else "new"
    assert read_folder(place / "m") == OLD
    if not (place / "sub" / "step-2").exists():
        return "old"
    assert read_folder(place / "sub" / "step-2") == NEW
    return "new"


class Faults:
    """Counts the operations of `os`; from the `at`-th on (or at it alone) they fail."""

    def __init__(self, monkeypatch, at: int, code: int, lasting: bool) -> None:
        self.count, self.at, self.code, self.lasting = 0, at, code, lasting
        for name in OPERATIONS:
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, real):
        def operation(*args, **kwargs):
            self.count += 1
            if self.count == self.at or (self.lasting and self.count > self.at):
                if name == "close":
                    real(*args, **kwargs)  # a failing close still closes
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **kwargs)

        return operation


def operations_of(kind: str, place: Path, monkeypatch) -> int:
    prepare(kind, place)
    with monkeypatch.context() as patch:
        faults = Faults(patch, at=-1, code=0, lasting=False)
        save(kind, place)
    assert state(kind, place) == "new"
    assert faults.count >= 6
    return faults.count


@pytest.mark.parametrize("kind", SAVES)
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.slow), errno.EACCES]
)
@pytest.mark.parametrize("lasting", [False, True])
def test_a_failure_at_any_file_operation_leaves_a_whole_content(
    tmp_path, monkeypatch, kind, code, lasting
):
    exits = {errno.ENOSPC: 7, errno.EIO: 7, errno.EACCES: 4}
    total = operations_of(kind, tmp_path / "count", monkeypatch)
    for at in range(1, total + 1):
        place = tmp_path / str(at)
        prepare(kind, place)
        raised = None
        with monkeypatch.context() as patch:
            Faults(patch, at, code, lasting)
            try:
                save(kind, place)
            except MetacliError as error:
                raised = error.exit_code
        assert raised in (None, exits[code])
        found = state(kind, place)
        assert raised or found == "new"
        sweep(place)
        assert state(kind, place) == found
        assert not [p for p in place.iterdir() if p.name.startswith(".metacli-")]
        save(kind, place) if found == "old" else None
        assert state(kind, place) == "new"


CRASH = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_storage as t
kind, place, total = sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
for at in range(1, total + 1):
    t.prepare(kind, place / str(at))
    child = os.fork()
    if child == 0:
        count = 0
        def wrap(real):
            def operation(*args, **kwargs):
                global count
                count += 1
                if count == at:
                    os._exit(9)
                return real(*args, **kwargs)
            return operation
        for name in t.OPERATIONS:
            setattr(os, name, wrap(getattr(os, name)))
        t.save(kind, place / str(at))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, at
"""


@pytest.mark.parametrize("kind", SAVES)
@pytest.mark.slow
def test_a_process_that_dies_at_any_file_operation_leaves_a_whole_content(
    tmp_path, monkeypatch, kind
):
    total = operations_of(kind, tmp_path / "count", monkeypatch)
    command = [sys.executable, "-W", "ignore", "-c", CRASH, str(Path(__file__).parent), kind]
    subprocess.run([*command, str(tmp_path), str(total)], check=True)
    for at in range(1, total + 1):
        place = tmp_path / str(at)
        found = state(kind, place)
        for folder in (place, place / "sub"):
            sweep(folder)
        assert state(kind, place) == found
        assert not list(place.rglob(".metacli-*"))
        if found == "old":
            save(kind, place)
        assert state(kind, place) == "new"


def test_a_full_disk_is_reported_with_need_and_free_and_leaves_no_temporary(tmp_path, monkeypatch):
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunFailed) as caught:
        write_file(tmp_path / "x", b"0" * 2_340_000)
    error = caught.value
    start = f"no space left writing {tmp_path / 'x'}: need 2.4 MB, "
    assert error.message.startswith(start)
    assert error.message.endswith(" MB free")
    assert error.exit_code == 7
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
    write_file(tmp_path / "x", bytes(range(256)))
    assert (tmp_path / "x").read_bytes() == bytes(range(256))


def test_an_interrupt_in_the_middle_leaves_no_temporary(tmp_path, monkeypatch):
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "m", OLD)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_parent_is_a_problem_of_the_environment(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(EnvironmentProblem) as caught:
        write_file(tmp_path / "file" / "x", b"")
    assert caught.value.where == str(tmp_path / "file" / "x")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_folder_comes_back_as_it_was_written(tmp_path):
    write_folder(tmp_path / "a" / "b" / "m", NEW)
    assert read_folder(tmp_path / "a" / "b" / "m") == NEW
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["m"]


def test_an_existing_folder_is_kept_unless_it_may_be_replaced(tmp_path):
    write_folder(tmp_path / "m", OLD)
    with pytest.raises(BundleError, match="already exists") as caught:
        write_folder(tmp_path / "m", NEW)
    assert "--force" in caught.value.hint
    assert read_folder(tmp_path / "m") == OLD
    write_folder(tmp_path / "m", NEW, replace=True)
    assert read_folder(tmp_path / "m") == NEW
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_an_empty_folder_is_taken_over(tmp_path):
    (tmp_path / "m").mkdir()
    write_folder(tmp_path / "m", NEW)
    assert read_folder(tmp_path / "m") == NEW


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_a_users_own_files_are_never_replaced(tmp_path, what):
    target = tmp_path / "m"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "photo.jpg").write_bytes(b"dear")
    if what == "folder":
        (tmp_path / "theirs").rename(target)
    elif what == "file":
        target.write_bytes(b"dear")
    else:
        target.symlink_to(tmp_path / "theirs")
    with pytest.raises(BundleError, match="not made by metacli"):
        write_folder(target, NEW, replace=True)
    kept = target if what == "file" else target / "photo.jpg"
    assert kept.read_bytes() == b"dear"


def test_a_replacement_cut_off_between_its_renames_is_read_and_put_back(tmp_path):
    write_folder(tmp_path / "m", OLD)
    (tmp_path / "m").rename(tmp_path / ".metacli-old-m")
    (tmp_path / ".metacli-tmp-1").mkdir()
    (tmp_path / ".metacli-tmp-1" / "part").write_bytes(b"x")
    (tmp_path / ".metacli-tmp-2").write_bytes(b"x")
    (tmp_path / "theirs").write_bytes(b"x")
    assert read_folder(tmp_path / "m") == OLD
    done = sweep(tmp_path)
    assert done == [".metacli-old-m", ".metacli-tmp-1", ".metacli-tmp-2"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "theirs"]
    assert read_folder(tmp_path / "m") == OLD
    assert sweep(tmp_path) == []
    assert sweep(tmp_path / "missing") == []


@pytest.mark.parametrize(
    "of_manifest", [200, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_every_flipped_bit_is_found_and_its_file_named(tmp_path, of_manifest):
    write_folder(tmp_path / "m", NEW)
    rng = random.Random(0)
    for path in sorted((tmp_path / "m").iterdir()):
        intact = path.read_bytes()
        bits = range(8 * len(intact))
        most = of_manifest if path.name == MANIFEST else 200
        for bit in bits if most is None else rng.sample(bits, min(most, len(bits))):
            flipped = bytearray(intact)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            with pytest.raises(BundleError) as caught:
                read_folder(tmp_path / "m")
            assert caught.value.code == "model.damaged"
            assert caught.value.where == str(path)
        path.write_bytes(intact)
    assert read_folder(tmp_path / "m") == NEW


@pytest.mark.parametrize(
    ("damage", "name", "words"),
    [
        (lambda m: (m / "model.json").unlink(), "model.json", "is missing"),
        (lambda m: (m / "extra.bin").write_bytes(b""), "extra.bin", "is not in the manifest"),
        (lambda m: (m / "model.json").write_bytes(b"[1"), "model.json", "2 bytes instead of 3"),
        (lambda m: (m / MANIFEST).unlink(), MANIFEST, "is missing"),
        (lambda m: (m / MANIFEST).write_bytes(b"[" * 100_000), MANIFEST, "not a manifest"),
        (lambda m: (m / MANIFEST).write_bytes(b"[]"), MANIFEST, "not a manifest"),
        (lambda m: (m / MANIFEST).write_bytes(b'{"sha256": 1}'), MANIFEST, "is damaged"),
        (lambda m: (m / MANIFEST).write_bytes(b"\xff\xfe"), MANIFEST, "not a manifest"),
    ],
)
def test_a_damaged_folder_names_the_file(tmp_path, damage, name, words):
    write_folder(tmp_path / "m", NEW)
    damage(tmp_path / "m")
    with pytest.raises(BundleError) as caught:
        read_folder(tmp_path / "m")
    assert caught.value.where == str(tmp_path / "m" / name)
    assert words in caught.value.message


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_regular_files_are_read(tmp_path, kind):
    write_folder(tmp_path / "m", OLD)
    place = tmp_path / "m" / "model.json"
    place.unlink()
    if kind == "link":
        (tmp_path / "outside").write_bytes(OLD["model.json"])
        place.symlink_to(tmp_path / "outside")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(BundleError) as caught:
        read_folder(tmp_path / "m")
    assert caught.value.where == str(place)


def test_files_are_read_where_the_system_knows_no_links_and_no_fifos(tmp_path, monkeypatch):
    write_folder(tmp_path / "m", OLD)
    for flag in ("O_NOFOLLOW", "O_NONBLOCK"):  # as on Windows
        monkeypatch.delattr(os, flag, raising=False)
    assert read_folder(tmp_path / "m") == OLD


def test_what_file_managers_leave_does_not_matter(tmp_path):
    write_folder(tmp_path / "m", OLD)
    (tmp_path / "m" / ".DS_Store").write_bytes(b"x")
    assert read_folder(tmp_path / "m") == OLD


def test_a_newer_manifest_is_refused_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr("metacli.engine.storage.writer.MANIFEST_FORMAT", 2)
    write_folder(tmp_path / "m", OLD)
    monkeypatch.undo()
    with pytest.raises(BundleError, match="has format 2, this metacli reads 1"):
        read_folder(tmp_path / "m")


def test_a_missing_folder_is_reported_to_be_missing(tmp_path):
    with pytest.raises(BundleError, match="no such folder"):
        read_folder(tmp_path / "m")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", MANIFEST])
def test_only_plain_names_are_written(tmp_path, name):
    with pytest.raises(ValueError, match="plain file name"):
        write_folder(tmp_path / "m", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_json_is_canonical_and_has_null_for_what_is_not_finite(tmp_path):
    value = {"b": float("nan"), "a": (1, 2.5, float("-inf")), "é": "\udc80", "s": {"y", "x"}}
    text = json_bytes(value)
    assert json.loads(text) == {
        "a": [1, 2.5, None],
        "b": None,
        "é": "\udc80",
        "s": ["x", "y"],
    }
    assert text == json_bytes(dict(reversed(value.items())))
    assert text.isascii()
    assert text.endswith(b"}\n")
    write_json(tmp_path / "x.json", value)
    assert (tmp_path / "x.json").read_bytes() == text


def test_the_manifest_lists_size_and_sum_of_every_file():
    manifest = json.loads(manifest_bytes({"a": b"abc"}))
    assert manifest["files"] == {
        "a": {
            "bytes": 3,
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        }
    }


def test_tensors_come_back_with_value_shape_and_dtype():
    base = torch.arange(12.0)
    tensors = {
        "w": torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        "view": base[:6],
        "same": base,  # shares memory with `view`
        "strided": base.reshape(3, 4).T,
        "scalar": torch.tensor(3),
        "flag": torch.tensor([True, False]),
        "empty": torch.empty(0, 5),
        "learned": torch.nn.Parameter(torch.ones(2)),
    }
    found = bytes_to_tensors(tensors_to_bytes(tensors))
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach())
        assert not found[name].requires_grad


def test_equal_tensors_give_equal_bytes_in_any_order():
    tensors = {name: torch.full((2,), float(i)) for i, name in enumerate("cab")}
    assert tensors_to_bytes(tensors) == tensors_to_bytes(dict(sorted(tensors.items())))


def test_no_tensors_at_all_come_back_as_none():
    assert bytes_to_tensors(tensors_to_bytes({})) == {}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_unread(protocol):
    with pytest.raises(BundleError, match="may run code") as caught:
        bytes_to_tensors(pickle.dumps({"w": [1.0]}, protocol), "theirs.pt")
    assert (caught.value.code, caught.value.where) == ("model.pickle", "theirs.pt")


@pytest.mark.parametrize("new", [True, False])
def test_a_torch_checkpoint_is_refused_unread(new):
    file = io.BytesIO()
    torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=new)
    with pytest.raises(BundleError, match="may run code"):
        bytes_to_tensors(file.getvalue())


def test_a_header_whose_length_begins_like_a_pickle_is_read():
    for width in range(1, 400):
        data = tensors_to_bytes({"n" * width: torch.ones(1)})
        if data[0] == 0x80:
            assert set(bytes_to_tensors(data)) == {"n" * width}
            return
    pytest.fail("no such header among these")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_safetensors_give_tensors_or_a_bundle_error(data):
    raw = bytearray(tensors_to_bytes({"w": torch.ones(3, 2), "b": torch.zeros(4)}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    code = None
    try:
        bytes_to_tensors(bytes(raw))
    except BundleError as error:
        code = error.code
    assert code in (None, "model.damaged", "model.pickle")


def test_a_stream_that_takes_no_more_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space")

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(writer, "write_stream", full)
    with pytest.raises(RunFailed, match="no space left writing") as caught:
        writer.write_output(pipe, b"12345")
    assert caught.value.where == str(pipe)
