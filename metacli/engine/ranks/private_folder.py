"""The private folder of a rank that does not write for the user: it runs the same code as rank 0,
and what that writes is thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from metacli.engine.ranks.team import Team
from metacli.engine.storage.lock import LOCK
from metacli.engine.storage.paths import find_run_or_model
from metacli.engine.storage.serial import bytes_to_tensors, tensors_to_bytes
from metacli.engine.storage.temporary import temporary_folder
from metacli.engine.storage.writer import write_file

KEPT = ("recipe.yaml", "run.json", "metrics.jsonl", "relatedness.json")


@contextmanager
def private_folder(team: Team) -> Iterator[Path | None]:
    """A folder that is removed afterwards; None for rank 0. Raises as `temporary_folder`."""
    if team.leads:
        yield None
        return
    with temporary_folder("metacli-rank-") as folder:
        yield folder / "run"


def copy_of_run(team: Team, run: str, place: Path | None) -> str:
    """What a rank resumes: the run itself, or a copy of rank 0's in its own folder.

    Raises:
        BundleError: of rank 0, no such run. PeerLost: of the others, then.
    """
    if team.size == 1:
        return run
    packed = team.bytes_of_first(pack(find_run_or_model(run)) if team.leads else b"")
    if place is None:
        return run
    for name, value in bytes_to_tensors(packed, run).items():
        write_file(place / name, value.numpy().tobytes())
    (place / LOCK).touch()  # as every folder of a run has
    return str(place)


def pack(folder: Path) -> bytes:
    """The files that a run is resumed from, by their paths below the folder."""
    kept = [folder / name for name in KEPT if (folder / name).is_file()]
    kept += [path for path in sorted((folder / "state").rglob("*")) if path.is_file()]
    return tensors_to_bytes(
        {path.relative_to(folder).as_posix(): as_tensor(path.read_bytes()) for path in kept}
    )


def as_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0).byte()
