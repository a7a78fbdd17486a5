"""What can be given to `predict`: files and folders, or arrays and images in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from metacli.data.files import read_regular, shown
from metacli.data.images import ImageSpec, fit, pixels_of, read_image, read_pixels
from metacli.data.tables.reader import Table, parse_table, read_table
from metacli.data.user.listing import kind_of
from metacli.data.user.open import list_inputs
from metacli.errors import DataError

STDIN = "-"
LINES = "text"  # the column that lines of plain text become
Given: TypeAlias = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True, eq=False)
class Held:
    """An array, an image, or the bytes of an image's file in memory, called by its place."""

    name: str
    value: np.ndarray | Image.Image | bytes


Item = Path | Held


@dataclass(frozen=True)
class Wanted:
    """The rows that a model takes.

    Args:
        columns: by name, of cells; of a model of texts the one column of the texts.
    """

    columns: tuple[str, ...]
    texts: bool = False


def items_of(inputs: Given | Sequence[Given]) -> list[Item]:
    """Paths, and what is in memory."""
    if isinstance(inputs, str | Path):
        return [path_of(inputs)]
    if isinstance(inputs, np.ndarray | Image.Image):
        return [Held("", inputs)]
    return [
        path_of(one) if isinstance(one, str | Path) else Held(f"[{place}]", one)
        for place, one in enumerate(inputs)
    ]


def path_of(name: str | Path) -> Path:
    """Raises DataError for an empty name, which would be the current folder."""
    if name == "":
        raise DataError("no such file or folder", code="data.missing", where="''")
    return Path(name)


# Images


def images_of(
    items: Sequence[Item], spec: ImageSpec, stdin: bytes | None
) -> Iterator[tuple[str, np.ndarray | DataError]]:
    """Name and pixels, uint8 [C, H, W], of every image; an error in the place of a bad one."""
    for item in items:
        pairs = held_images(item, spec) if isinstance(item, Held) else files_of(item, spec, stdin)
        yield from pairs


def files_of(
    path: Path, spec: ImageSpec, stdin: bytes | None
) -> Iterator[tuple[str, np.ndarray | DataError]]:
    """Those of a file, of a folder, or of the paths on stdin, one a line."""
    paths = [path]
    if str(path) == STDIN and stdin is not None:
        paths = [Path(os.fsdecode(line)) for line in stdin.splitlines() if line]
    for one in list_inputs(paths):
        try:
            yield str(one), read_image(one, spec)
        except DataError as error:
            yield str(one), error


def held_images(item: Held, spec: ImageSpec) -> Iterator[tuple[str, np.ndarray | DataError]]:
    """One image [H, W] or [H, W, 3], or many [M, H, W] or [M, H, W, 3], uint8; or a file."""
    if isinstance(item.value, bytes):
        try:
            yield item.name, fit(read_pixels(item.value), spec)
        except DataError as error:
            yield item.name, error
        return
    values: Sequence[np.ndarray | Image.Image]
    values = [item.value] if isinstance(item.value, Image.Image) else split(item.value)
    many = len(values) > 1 or not item.name
    for place, value in enumerate(values):
        name = f"{item.name}[{place}]" if many else item.name
        try:
            yield name, fit(pixels(value, name), spec)
        except DataError as error:
            yield name, error


def split(array: np.ndarray) -> list[np.ndarray]:
    """The images of an array; [H, W, 1], [H, W, 3] and [H, W, 4] are one."""
    one = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    return [array] if one or array.ndim < 2 else list(array)


def pixels(value: np.ndarray | Image.Image, name: str) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3]. Raises DataError for what is no image."""
    if isinstance(value, Image.Image):
        return pixels_of(value, name)
    good = value.ndim == 2 or (value.ndim == 3 and value.shape[-1] in (1, 3, 4))
    if value.dtype != np.uint8 or not good or not value.size:
        raise DataError(
            f"{name} is {value.dtype} of shape {list(value.shape)}; wanted uint8 [H, W] or "
            "[H, W, 3]",
            code="data.not_an_image",
            where=name,
        )
    whole = value[:, :, 0] if value.ndim == 3 and value.shape[-1] == 1 else value
    return pixels_of(Image.fromarray(whole), name)


# Tables and texts


def tables_of(
    items: Sequence[Item], wanted: Wanted, stdin: bytes | None
) -> Iterator[tuple[str, Table | DataError]]:
    """Name and rows of every table; an error in the place of one that cannot be read."""
    for item in items:
        if isinstance(item, Held):
            paths: list[Item] = [item]
        else:
            paths = [item] if str(item) == STDIN else list(list_inputs([item]))
        for one in paths:
            name = one.name if isinstance(one, Held) else str(one)
            try:
                yield name, table_of(one, wanted, stdin)
            except DataError as error:
                yield name, error


def table_of(item: Item, wanted: Wanted, stdin: bytes | None) -> Table:
    """A table; for a model of texts also a file with one text on each line. Raises DataError."""
    if isinstance(item, Held):
        return held_table(item, wanted)
    if str(item) == STDIN:
        return stdin_table(wanted, stdin)
    if wanted.texts and kind_of(item.name) == "text":
        return lines(read_regular(item), shown(item.name))
    return read_table(item)


def held_table(item: Held, wanted: Wanted) -> Table:
    """Rows [M, columns] of numbers or words in the order of the model's columns, or texts [M].

    Raises:
        DataError: an image, or another number of columns.
    """
    import polars as pl  # takes long to import

    names, value, name = wanted.columns, item.value, item.name or "array"
    if isinstance(value, Image.Image | bytes) or value.ndim > 2:
        raise DataError(
            f"{name} is an image, and the model takes rows", code="data.mismatch", where=name
        )
    flat = value.ndim < 2 and wanted.texts
    cells = value.reshape(-1, 1) if flat else np.atleast_2d(value)
    if cells.shape[1] != len(names):
        raise DataError(
            f"{name} has {cells.shape[1]} columns, the model takes {len(names)}: "
            f"{', '.join(map(shown, names[:12]))}",
            code="table.columns",
            where=name,
        )
    columns = {key: [cell(one) for one in cells[:, at]] for at, key in enumerate(names)}
    return Table(name, pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)), first=0)


def cell(value: np.generic | str | float | None) -> str | None:
    """As a file would hold it: NaN and None are missing."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def stdin_table(wanted: Wanted, content: bytes | None) -> Table:
    """CSV with a header; for a model of texts also one text on each line."""
    if not content:
        raise DataError("stdin is empty", code="data.empty", where=STDIN)
    if wanted.texts:
        head = content.split(b"\n", 1)[0].decode("utf-8", "replace").strip("\ufeff\r")
        columns = {one.strip().strip('"') for one in head.split(",")}
        if not columns & {LINES, *wanted.columns}:
            return lines(content, "stdin")
    return parse_table(content, "csv", "stdin")


def lines(content: bytes, name: str) -> Table:
    """Plain text as a table of one column; empty lines are left out, and still count."""
    import polars as pl  # takes long to import

    try:
        found = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"line {row} of {name} is not UTF-8", code="table.encoding", where=f"{name}:{row}"
        ) from None
    places = tuple(place for place, one in enumerate(found) if one.strip())
    if not places:
        raise DataError(f"{name} has no rows", code="table.empty", where=name)
    stripped = [found[place].rstrip("\r") for place in places]
    return Table(name, pl.DataFrame({LINES: stripped}), first=1, places=places)
