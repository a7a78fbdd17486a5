"""`sample` of images: the images of an episode, or of a user's own classes, as PNG files."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.episodes import EpisodeMembers
from metacli.data.few_shot.pools import Pool
from metacli.data.files import is_system_file
from metacli.data.images import read_pixels
from metacli.data.user.open import list_task
from metacli.engine.events import Progress, Reporter
from metacli.engine.sampling.folder import File

LONGEST = 80  # characters of a folder's name

Pixels = Callable[[int, int, int], np.ndarray]
"""(class, row, quarter turns) -> [H, W] or [H, W, 3]."""


def files(
    drawn: EpisodeMembers, names: Sequence[str], data: str, pool: Pool, report: Reporter
) -> Iterator[File]:
    """The images as PNG, numbered from 1 within each class.

    Args:
        names: of the class folders.
        data: the data set or the folder that the pool is of.
    """
    pixels = pixels_of(data, pool)
    total = sum(map(len, (*drawn.support, *drawn.query)))
    done = 0
    for side, rows in (("support", drawn.support), ("query", drawn.query)):
        for label, of_class in enumerate(rows):
            width = max(2, len(str(len(of_class))))
            for number, row in enumerate(of_class, 1):
                image = pixels(drawn.classes[label], row, drawn.turns[label])
                yield File(f"{side}/{names[label]}/{number:0{width}}.png", png(image))
                done += 1
                report(Progress("writing images", done, total))


def pixels_of(data: str, pool: Pool) -> Pixels:
    """How to read an image of the pool in its own size."""
    if data not in DATASETS:
        return from_folder(Path(data), pool)

    def stored(number: int, row: int, turns: int) -> np.ndarray:
        turned = np.rot90(pool.images[row], turns, axes=(-2, -1))  # [C, H, W]
        result: np.ndarray = turned[0] if len(turned) == 1 else turned.transpose(1, 2, 0)
        return result

    return stored


def from_folder(path: Path, pool: Pool) -> Pixels:
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
    """Names that every file system takes, all different even where case does not count."""
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


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG of [H, W] or [H, W, 3], uint8."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", optimize=False)
    return file.getvalue()
