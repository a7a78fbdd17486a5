"""A user's own folder of class folders as a pool of classes to draw episodes from.

`train/ val/ test/` of class folders are disjoint pools as they are; class folders alone are one
pool, divided 64/16/20 %: class names in the order of their SHA-256, the first part trains.
Decoded images are kept in the cache under a digest of the files, so they are decoded once.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metacli.data.cache.store import (
    Report,
    Stored,
    locked,
    read_stored,
    replacing,
    silent,
    write_index,
)
from metacli.data.catalogue.options import check_options
from metacli.data.few_shot.pools import ALL, Pool, check_split, divide_classes, make_pool
from metacli.data.few_shot.user_rows import row_pool
from metacli.data.files import read_regular, shown
from metacli.data.images import ImageSpec, fit, image_or_recording, pixel_hash, read_pixels
from metacli.data.plain import Plain, Record
from metacli.data.tables.choice import choice_of
from metacli.data.user.listing import Listing, Row, holds_rows
from metacli.data.user.open import list_task
from metacli.data.user.problems import as_finding, raise_problems
from metacli.errors import DataError, Finding


@dataclass(frozen=True)
class FolderOptions:
    """How a folder becomes a pool.

    Args:
        size: height and width in pixels that images are resized to.
        middle: their shorter side is resized to `size` and the middle is cut out.
        channels: 1 grey, 3 colour; 0: colour when the first image of any class has colour.
        way: least number of classes in each part of a divided pool.
        skip_bad: leave out files that cannot be read.
        allow_duplicates: go on with one image in two classes.
    """

    size: int = 28
    channels: int = 0
    way: int = 5
    skip_bad: bool = False
    allow_duplicates: bool = False
    middle: bool = False

    @property
    def shorter(self) -> int | None:
        """As `ImageSpec`'s."""
        return self.size if self.middle else None


IMAGES_ONLY = ("size", "channels", "middle")


class _Example(NamedTuple):
    split: str  # empty where the pool is to be divided
    row: Row


def pool(path: Path, split: str, options: Record, cache: Path, report: Report = silent) -> Pool:
    """The classes of a split of a user's folder.

    Raises:
        DataError: no class folders, unreadable images, one image in two classes, too few
            classes in a part, or no such split.
    """
    if split != ALL:
        check_split(split, shown(path))
    if holds_rows(path):
        listing = list_task(path, choice=choice_of(options))
        if listing.kind != "images":
            plain = {key: one for key, one in options.items() if key not in IMAGES_ONLY}
            return row_pool(listing, split, plain)
    chosen: FolderOptions = check_options("a folder of images", FolderOptions, options)
    listing = list_task(path, skip_bad=chosen.skip_bad)
    examples = _examples(listing)
    parts = _parts(listing, examples, chosen.way) if split != ALL else {ALL: _keys(examples)}
    if split not in parts:
        have = " and ".join(parts)
        message = f"{shown(path)} has pools for {have}, none for {split}"
        raise DataError(message, code="data.unknown_split", where=shown(path))
    stored = _stored(examples, chosen, path, cache, report)
    groups = {one.name: one.rows for one in stored.groups}
    keys = [key for key in parts[split] if key in groups]
    return make_pool(
        name=path.resolve().name,
        identity="",
        split=split,
        scheme=None,
        classes=[key.partition("/")[2] for key in keys],
        rows=[groups[key] for key in keys],
        store=stored.images,
        contents=stored.contents,
    )


def _examples(listing: Listing) -> list[_Example]:
    """All images, class by class."""
    if listing.what == "pool":
        found = [_Example(name, row) for name, one in listing.pools.items() for row in one.support]
    elif listing.what == "task" and listing.query is None:
        found = [_Example("", row) for row in listing.support]
    else:
        raise DataError(
            f"{shown(listing.path)} holds {listing.what}; wanted a pool: a folder per class, or "
            "train, val and test with a folder per class in each",
            code="data.not_a_pool",
            where=shown(listing.path),
        )
    if listing.kind != "images":
        message = f"{shown(listing.path)} is a pool of {listing.kind}; this reads images"
        raise DataError(message, code="data.kind_not_supported", where=shown(listing.path))
    return sorted(found, key=lambda one: (_key(one), os.fsencode(one.row.path)))


def _keys(examples: Sequence[_Example]) -> list[str]:
    return sorted({_key(one) for one in examples})


def _key(example: _Example) -> str:
    return f"{example.split}/{example.row.label}"


def _parts(listing: Listing, examples: Sequence[_Example], way: int) -> dict[str, list[str]]:
    """Keys of the classes of each split."""
    keys = _keys(examples)
    if listing.what == "pool":
        return {
            split: [key for key in keys if key.startswith(f"{split}/")] for split in listing.pools
        }
    return divide_classes(keys, way, shown(listing.path))


def _stored(
    examples: Sequence[_Example], options: FolderOptions, path: Path, cache: Path, report: Report
) -> Stored:
    """The decoded images, from the cache or newly made."""
    contents = _digest(examples, options, report)
    name = f"folder-{contents[:16]}"
    stored = read_stored(cache / name, name)
    if stored is None:
        with locked(cache, name):
            if read_stored(cache / name, name) is None:
                need = len(examples) * 3 * options.size * options.size
                with replacing(cache / name, need) as fresh:
                    _build(fresh, examples, options, path, contents, report)
        stored = read_stored(cache / name, name)
        assert stored is not None  # written a moment ago
    return stored


def _digest(examples: Sequence[_Example], options: FolderOptions, report: Report) -> str:
    """SHA-256 of how images are read, and of every class name and file."""
    how: tuple[Plain, ...] = (
        *(1, options.size, options.channels, options.skip_bad, options.allow_duplicates),
        *(("middle",) if options.middle else ()),
    )
    whole = hashlib.sha256(repr(how).encode())
    for number, one in enumerate(examples, 1):
        try:
            content = read_regular(one.row.path)
        except DataError:
            content = b""  # the decoder says what is wrong with it
        whole.update(_bytes(_key(one)) + b"\0" + _bytes(one.row.path.name) + b"\0")
        whole.update(hashlib.sha256(content).digest())
        report("hashing images", number, len(examples))
    return whole.hexdigest()


def _build(
    folder: Path,
    examples: Sequence[_Example],
    options: FolderOptions,
    path: Path,
    contents: str,
    report: Report,
) -> None:
    """Decodes into the folder, straight to disk: a pool may be larger than the memory."""
    channels = options.channels or _channels(examples)
    spec = ImageSpec(channels, options.size, options.size, options.shorter)
    bad = _decode(folder, examples, spec, options, report)
    if bad:
        errors = list(bad.values())
        if not options.skip_bad or any(one.code == "data.same_picture" for one in errors):
            raise_problems(path, errors)
        report("left out, unreadable", len(bad), len(examples))
        examples = [one for one in examples if one.row.path not in bad]
        if not examples:
            raise_problems(path, errors)
        _decode(folder, examples, spec, options, report)
    counts = Counter(_key(one) for one in examples)  # in the order of the rows
    write_index(folder, list(counts.items()), contents)


def _decode(
    folder: Path,
    examples: Sequence[_Example],
    spec: ImageSpec,
    options: FolderOptions,
    report: Report,
) -> dict[Path, Finding]:
    """Writes images.npy; what cannot be used, by path."""
    shape = (len(examples), spec.channels, spec.height, spec.width)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.dtype(np.uint8), shape)
    bad: dict[Path, Finding] = {}
    seen: dict[str, list[_Example]] = defaultdict(list)
    for number, one in enumerate(examples):
        try:
            pixels = read_pixels(one.row.path)
        except DataError as error:
            bad[one.row.path] = as_finding(error)
        else:
            images[number] = fit(pixels, spec)
            seen[pixel_hash(pixels)].append(one)
        report("decoding images", number + 1, len(examples))
    images.flush()
    return bad if options.allow_duplicates else bad | _in_two_classes(seen)


def _in_two_classes(seen: Mapping[str, Sequence[_Example]]) -> dict[Path, Finding]:
    found = {}
    for places in seen.values():
        keys = {_key(one) for one in places}
        if len(keys) > 1:
            names = ", ".join(shown(one.row.path) for one in places[:4])
            called = image_or_recording(places[0].row.path.name)
            found[places[0].row.path] = Finding(
                "error",
                "data.same_picture",
                f"the same {called} in {len(keys)} classes: {names}",
                shown(places[0].row.path),
                "remove one of them, or pass --allow-duplicates",
            )
    return found


def _channels(examples: Sequence[_Example]) -> int:
    """3 when the first image of any class has colour, else 1."""
    firsts = {_key(one): one.row.path for one in reversed(examples)}
    for path in firsts.values():
        try:
            pixels = read_pixels(path)
        except DataError:
            continue  # the decoder reports it
        if pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any()):
            return 3
    return 1


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
