"""The folder that `sample` writes: all of it or nothing, and never over a user's own files."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Json
from metacli.engine.storage.disk import make_folder, remove, sync_folder, write_new, writing
from metacli.engine.storage.writer import json_bytes
from metacli.errors import BundleError

MARK = ".metacli-sample.json"  # hidden, so that no reader of tasks sees it: what was drawn


@dataclass(frozen=True)
class File:
    """One file to write, `name` relative to the task's folder."""

    name: str
    data: bytes


def check_target(target: Path, out: str, *, force: bool) -> None:
    """Raises BundleError when something is there that may not be replaced."""
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir() or target.is_symlink():
        raise BundleError("a file is in the way", code="output.exists", where=out)
    foreign = foreign_file(target)
    if force and foreign is None:
        return
    raise BundleError(
        "the folder is not empty" if foreign is None else f"not made by sample: {foreign}",
        code="output.exists" if foreign is None else "output.foreign",
        where=out,
        hint="--force replaces it" if foreign is None else "give another folder",
    )


def foreign_file(target: Path) -> str | None:
    """The first file that `sample` did not write, so that --force never costs users their own."""
    try:
        listed = set(json.loads((target / MARK).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        listed = set()
    found = (
        path.relative_to(target).as_posix()
        for path in sorted(target.rglob("*"))
        if not path.is_dir() or path.is_symlink()
    )
    return next((name for name in found if name not in listed and name != MARK), None)


def write(target: Path, made: Sequence[File], about: Mapping[str, Json]) -> None:
    """The folder under a temporary name, then under its own. Raises as `writing`."""
    mark = File(MARK, json_bytes({**about, "files": [one.name for one in made]}))
    with writing(target, sum(len(one.data) for one in made)):
        make_folder(target.parent)
        temporary = target.parent / f".metacli-tmp-{secrets.token_hex(8)}"
        try:
            for one in (*made, mark):
                path = temporary / one.name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_new(path, one.data)
            put_in_place(temporary, target)
        except BaseException:
            remove(temporary)
            raise
        sync_folder(target.parent)


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename, over what `check_target` allowed to replace."""
    if not target.exists():
        temporary.rename(target)
        return
    aside = temporary.with_name(f"{temporary.name}-old")
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    remove(aside)
