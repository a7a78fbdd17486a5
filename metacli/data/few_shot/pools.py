"""The classes of one split, ready to draw episodes from. Pixels are uint8 as in the file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from metacli.data.few_shot.feature_rows import FeatureRows
from metacli.data.images import ImageSpec, fit
from metacli.data.tables.coded import CodedRows, Encoder
from metacli.errors import DataError

SPLITS = ("train", "val", "test")
TURN_NAMES = ("rot000", "rot090", "rot180", "rot270")


Store = np.ndarray | CodedRows | FeatureRows


class Layout(NamedTuple):
    """The rows of all classes in one array: those of class c are rows[begin[c] : begin[c] +
    sizes[c]].
    """

    rows: np.ndarray
    begin: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Pool:
    """Classes and where their images are.

    Args:
        name: the data set.
        split: train, val or test.
        scheme: how the classes were divided, None where there is one way only.
        classes: class names.
        rows: rows[c] are the int64 row numbers of class c in `store`.
        store: [M, C, H, W] uint8, memory-mapped where large; or `CodedRows`, texts and tables that
            become numbers [M, F] when they are asked for, or `FeatureRows`, images [M, D] as a
            frozen network sees them.
        turns: [classes] quarter turns, counter-clockwise, applied to every image of the class;
            None: none.
        random_turns: each class of each episode draws its own number of quarter turns, 0..3.
        digest: SHA-256 hex of contents, class lists and turns: the data fingerprint.
        families: the class numbers of each family, such as an alphabet, where the classes of an
            episode are of one family; None: an episode may hold any classes.
    """

    name: str
    split: str
    scheme: str | None
    classes: tuple[str, ...]
    rows: tuple[np.ndarray, ...]
    store: Store
    turns: np.ndarray | None
    random_turns: bool
    digest: str
    families: tuple[np.ndarray, ...] | None = None

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Of one example: [C, H, W], or [F]."""
        return tuple(self.store.shape[1:])

    @cached_property
    def layout(self) -> Layout:
        sizes = np.array([len(one) for one in self.rows], np.int64)
        return Layout(np.concatenate(self.rows), np.cumsum(sizes) - sizes, sizes)

    @property
    def images(self) -> np.ndarray:
        """The store of a pool of images."""
        if isinstance(self.store, FeatureRows):
            return self.store.images
        assert isinstance(self.store, np.ndarray)
        return self.store

    @property
    def coded(self) -> CodedRows:
        """The store of a pool of texts or rows of tables."""
        assert isinstance(self.store, CodedRows)
        return self.store

    @property
    def encoder(self) -> Encoder | None:
        """What makes numbers of its rows; None for images."""
        return self.store.encoder if isinstance(self.store, CodedRows) else None


ALL = "all"  # every class of a user's own data


def check_split(split: str, name: str) -> None:
    """Raises: DataError naming the three splits."""
    if split not in SPLITS:
        raise DataError(
            f"{name} has no split {split!r}",
            code="data.unknown_split",
            hint="the splits are train, val and test",
        )


def make_pool(
    *,
    name: str,
    split: str,
    scheme: str | None,
    classes: Sequence[str],
    rows: Sequence[np.ndarray],
    store: Store,
    contents: str,
    rotations: bool = False,
    random_turns: bool = False,
    families: Sequence[str] | None = None,
    identity: str | None = None,
) -> Pool:
    """A pool with its digest.

    Args:
        identity: what the digest holds in the place of the name; "" for a user's data, which are
            the same whatever their folder is called.
        contents: SHA-256 hex of what the images were made from.
        rotations: each class becomes four, named rot000, rot090, rot180 and rot270: its images
            after so many degrees counter-clockwise; so does its family.
        families: of each class, where episodes stay within one.
    Raises:
        DataError: rotations of images that are not square.
    """
    if (rotations or random_turns) and store.shape[-1] != store.shape[-2]:
        raise DataError(f"{name}: only square images can be rotated by a quarter turn")
    turns = None
    if rotations:
        turns = np.tile(np.arange(4, dtype=np.int64), len(classes))
        classes = [f"{one}/{turn}" for one in classes for turn in TURN_NAMES]
        rows = [one for one in rows for _ in TURN_NAMES]
        families = families and [f"{one}/{turn}" for one in families for turn in TURN_NAMES]
    facts = [
        name if identity is None else identity,
        split,
        scheme,
        contents,
        rotations,
        random_turns,
        list(classes),
    ]
    facts += [list(families)] if families else []
    whole = hashlib.sha256(json.dumps(facts).encode())
    for one in rows:
        whole.update(np.asarray(one, "<i8").tobytes())
        whole.update(b";")
    return Pool(
        name=name,
        split=split,
        scheme=scheme,
        classes=tuple(classes),
        rows=tuple(np.asarray(one, np.int64) for one in rows),
        store=store,
        turns=turns,
        random_turns=random_turns,
        digest=whole.hexdigest(),
        families=None if families is None else _members(families),
    )


def _members(families: Sequence[str]) -> tuple[np.ndarray, ...]:
    """The class numbers of each family, families by name."""
    of = np.array(families)
    return tuple(np.flatnonzero(of == one) for one in sorted(set(families)))


def fitted(pool: Pool, shape: tuple[int, ...]) -> Pool:
    """The same classes with images of the shape [C, H, W] that a model takes: grey or colour as
    `images.fit` makes it, resized by its Lanczos filter.

    The digest stays: it tells which images these are, and how they are read is the model's
    matter, so that models of different sizes meet the same episodes.
    """
    if pool.example_shape == shape:
        return pool
    spec = ImageSpec(shape[0], shape[1], shape[2])
    used = np.unique(np.concatenate(pool.rows))
    store = np.empty((len(used), *shape), np.uint8)
    for place, row in enumerate(used):
        channels = pool.store[row]
        store[place] = fit(channels[0] if len(channels) == 1 else channels.transpose(1, 2, 0), spec)
    rows = tuple(np.searchsorted(used, one) for one in pool.rows)
    return replace(pool, rows=rows, store=store)


def divide_classes(keys: Sequence[str], way: int, where: str) -> dict[str, list[str]]:
    """64/16/20 % of the classes in the order of SHA-256 of their names.

    Args:
        keys: `<anything>/<class name>`.
    Raises:
        DataError: a part would have fewer than `way` classes.
    """
    order = sorted(
        keys, key=lambda key: hashlib.sha256(os.fsencode(key.partition("/")[2])).digest()
    )
    first, second = round(0.64 * len(order)), round(0.80 * len(order))
    parts = dict(zip(SPLITS, (order[:first], order[first:second], order[second:]), strict=True))
    sizes = [len(part) for part in parts.values()]
    if min(sizes) < way:
        raise DataError(
            f"{len(order)} classes divide into {sizes[0]} to train on, {sizes[1]} to validate and "
            f"{sizes[2]} to test; each part needs {way}",
            code="data.too_few_classes",
            where=where,
            hint="lower episodes.way, add classes (10 or more are best), or split them into "
            "folders train/, val/ and test/",
        )
    return {split: sorted(part) for split, part in parts.items()}
