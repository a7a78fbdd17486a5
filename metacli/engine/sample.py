"""`sample`: one episode of a data set, or of a user's own classes, as plain files."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.episodes import ClassEpisodes, EpisodeMembers
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.user_regression import holds_regression_tasks
from metacli.data.files import is_system_file
from metacli.data.images import read_pixels
from metacli.data.sources import load_pool
from metacli.data.user.open import list_task
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.sample_rows import Drawn, draw_numbers, draw_rows
from metacli.engine.storage.disk import make_folder, remove, sync_folder, write_new, writing
from metacli.engine.storage.paths import cache_root
from metacli.engine.storage.writer import json_bytes
from metacli.errors import BundleError, DataError

MARK = ".metacli-sample.json"  # hidden, so that no reader of tasks sees it: what was drawn
LONGEST = 80  # characters of a folder's name

Picture = Callable[[int, int, int], np.ndarray]  # class, row, quarter turns -> [H, W] or [H, W, 3]


def sample(
    data: str,
    out: str,
    *,
    way: int = 5,
    shot: int = 5,
    query: int = 5,
    split: str = "test",
    seed: int = 0,
    force: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Write `out/support/<class>/NN.png` and `out/query/<class>/NN.png`, all of it or nothing; of
    texts and tables `support.csv` and `query.csv`.

    The pictures keep the size that they have in the data set; those of a user's own folder the size
    that they have there. Of a data set it is the first episode that `evaluate` draws with the same
    numbers.

    Args:
        data: a data set, or a folder of class folders.
        shot: support pictures per class; `query`: queries per class.
        force: replace a folder that `sample` wrote and that holds nothing else.

    Returns:
        path, way, shot, query, and the class folders' names.

    Raises:
        DataError: no such data, not fetched yet, no pictures, too few classes or pictures.
        BundleError: `out` has content.
    """
    target = Path(out).absolute()
    check_target(target, out, force)
    if has_number_tasks(data):
        return write_rows(target, data, draw_numbers(data, shot, query, split, seed), split, seed)
    pool = pool_of(data, split, way, report)
    if pool.encoder is not None:
        drawn_rows = draw_rows(pool, way, shot, query, split, seed)
        return write_rows(target, data, drawn_rows, split, seed)
    key = (seed, pool.digest, split, way, shot, query)
    drawn = ClassEpisodes(pool=pool, way=way, shot=shot, query=query, seed=key).members(0)
    names = folder_names([pool.classes[one] for one in drawn.classes])
    picture = pictures_of(data, pool)
    about = {"data": data_name(data), "split": split, "seed": seed, "digest": pool.digest}
    write(target, list(files(drawn, names, picture, report)), about)
    return {
        "path": str(target),
        "way": way,
        "shot": shot,
        "query": query,
        "classes": sorted(names),
        "split": split,
        "seed": seed,
    }


def has_number_tasks(data: str) -> bool:
    """Whether it is a set of tasks with numbers to predict."""
    if data in DATASETS:
        return DATASETS[data].kind == "tasks"
    return holds_regression_tasks(data, {})


def write_rows(target: Path, data: str, drawn: Drawn, split: str, seed: int) -> dict[str, Any]:
    """The files of a task of rows, and what `sample` says of it."""
    about = {"data": data_name(data), "split": split, "seed": seed, "digest": drawn.digest}
    write(target, [File(name, content) for name, content in drawn.files.items()], about)
    each = drawn.way or 1
    return {
        "path": str(target),
        "way": drawn.way,
        "shot": drawn.shot // each,
        "query": drawn.query // each,
        "classes": list(drawn.names),
        "split": split,
        "seed": seed,
    }


def data_name(data: str) -> str:
    """A folder is told by its name alone: the task may be given to somebody else."""
    return data if data in DATASETS else Path(data).resolve().name


def check_target(target: Path, out: str, force: bool) -> None:
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


def pool_of(data: str, split: str, way: int, report: Reporter) -> Pool:
    """The classes to draw from. Raises DataError."""
    if data in DATASETS and DATASETS[data].kind not in ("images", "text"):
        raise DataError(
            f"{data} has no pictures or texts, so it cannot be written as files",
            code="data.no_pictures",
            where=data,
            hint="metacli fetch --list names the data sets",
        )
    options = {} if data in DATASETS else {"way": way}
    tell = lambda what, done, total: report(Progress(what, done, total))  # noqa: E731
    return load_pool(data, split, options, cache_root(), tell)


def pictures_of(data: str, pool: Pool) -> Picture:
    """How a picture of the pool is got in its own size."""
    if data not in DATASETS:
        return from_folder(Path(data), pool)

    def stored(number: int, row: int, turns: int) -> np.ndarray:
        turned = np.rot90(pool.store[row], turns, axes=(-2, -1))  # [C, H, W]
        return turned[0] if len(turned) == 1 else turned.transpose(1, 2, 0)

    return stored


def from_folder(path: Path, pool: Pool) -> Picture:
    """The files themselves: the pool has them in the size of a small network."""
    listing = list_task(path)
    rows = listing.pools[pool.split].support if listing.what == "pool" else listing.support
    paths: dict[str | None, list[Path]] = {}
    for row in sorted(rows, key=lambda row: os.fsencode(row.path)):  # the order of the pool's rows
        paths.setdefault(row.label, []).append(row.path)

    def read(number: int, row: int, turns: int) -> np.ndarray:
        own = paths[pool.classes[number]]
        return np.rot90(read_pixels(own[row - int(pool.rows[number][0])]), turns)

    return read


def folder_names(classes: Sequence[str]) -> list[str]:
    """Names that every file system takes, all different even where case is not told apart."""
    names: list[str] = []
    taken: set[str] = set()
    for one in classes:
        plain = re.sub(r"[^\w.+-]+", "-", unicodedata.normalize("NFC", one)).strip(".- ")
        plain = plain[:LONGEST] or "class"
        if is_system_file(plain):
            plain = f"class-{plain}"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


@dataclass(frozen=True)
class File:
    """One picture to write, `name` relative to the task's folder."""

    name: str
    data: bytes


def files(
    drawn: EpisodeMembers, names: Sequence[str], picture: Picture, report: Reporter
) -> Iterator[File]:
    """The pictures as PNG, numbered from 1 within each class."""
    total = sum(map(len, (*drawn.support, *drawn.query)))
    done = 0
    for side, rows in (("support", drawn.support), ("query", drawn.query)):
        for label, of_class in enumerate(rows):
            width = max(2, len(str(len(of_class))))
            for number, row in enumerate(of_class, 1):
                pixels = picture(drawn.classes[label], row, drawn.turns[label])
                yield File(f"{side}/{names[label]}/{number:0{width}}.png", png(pixels))
                done += 1
                report(Progress("writing pictures", done, total))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", optimize=False)
    return file.getvalue()


def write(target: Path, made: Sequence[File], about: dict[str, Any]) -> None:
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
