"""CIFAR-FS and FC100: photographs of 100 things, 32x32 in colour, divided in two ways.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009 (CIFAR-100).
L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi, "Meta-learning with differentiable closed-form
solvers", ICLR 2019 (CIFAR-FS: 64/16/20 classes at random).
B. Oreshkin, P. Rodriguez, A. Lacoste, "TADAM", NeurIPS 2018 (FC100: 12/4/4 superclasses, so that
test classes are unlike those of training).

Where we differ: of the 600 images of a class there are 200 of each training class of CIFAR-FS and
100 of every other, so FC100 has uneven classes, and scores are below published ones. What the
source holds twice is left as it is: four pairs of equal images inside `aquarium_fish`, and one
image that is both `girl` and `baby`. `girl` is trained on and `baby` is a test class under
CIFAR-FS; under FC100 both are test classes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from metacli.data.cache.store import Report, fetched, silent, write_stored
from metacli.data.few_shot.pools import Pool, check_split, make_pool

SIDE = 32
DECODING = "32x32 RGB as in the file"
FOLDER = "cifar-fs"  # of the cache, for both data sets
COUNTS = {"train": 200, "val": 100, "test": 100}  # images of a class
# What `build` calls the whole of them as PNG files.
CONTENTS = "3f2c70f6250e0ab7fb16a8a8f85c516cdd33e4d6c1e3c951e1a5c7d7b9f595c4"
_LETTERS = {"t": "train", "v": "val", "e": "test"}


@dataclass(frozen=True)
class CifarOptions:
    """There are none: each of the two data sets is divided in one way."""


@dataclass(frozen=True)
class Thing:
    """A class of CIFAR-100 and its split under either scheme."""

    name: str
    superclass: str
    cifar_fs: str
    fc100: str


@once
def things() -> tuple[Thing, ...]:
    """All 100, sorted by name."""
    text = files("metacli.data.catalogue").joinpath("cifar_classes.txt").read_text(encoding="ascii")
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            superclass, whole, classes = line.split("\t")
            for one in classes.split(" "):
                name, _, own = one.partition(":")
                found.append(Thing(name, superclass, _LETTERS[own], _LETTERS[whole]))
    return tuple(sorted(found, key=lambda one: one.name))


def build(
    members: Mapping[str, bytes], folder: Path, options: CifarOptions, report: Report
) -> None:
    """Decodes the images into `folder`.

    Args:
        members: PNG files by `split/class/name`, or pixels by their row; already verified.
    """
    if next(iter(members)).isdecimal():
        build_of_pixels(members, folder)
        return
    names = sorted(members)
    images = np.empty((len(names), 3, SIDE, SIDE), np.uint8)
    contents = hashlib.sha256(DECODING.encode())
    classes: dict[str, int] = {}
    for row, name in enumerate(names):
        images[row] = decode(members[name])
        contents.update(f"{name} {hashlib.sha256(members[name]).hexdigest()}\n".encode())
        of = name.split("/")[-2]
        classes[of] = classes.get(of, 0) + 1
        if (row + 1) % 1000 == 0 or row + 1 == len(names):
            report("decoding CIFAR", row + 1, len(names))
    write_stored(folder, images, list(classes.items()), contents.hexdigest())


def build_of_pixels(members: Mapping[str, bytes], folder: Path) -> None:
    """The same images, of pixels by row: classes lie in the order of their split and name."""
    pixels = np.frombuffer(b"".join(members[key] for key in sorted(members)), np.uint8)
    order = sorted((one.cifar_fs, one.name) for one in things())
    classes = [(name, COUNTS[split]) for split, name in order]
    write_stored(folder, pixels.reshape(-1, 3, SIDE, SIDE), classes, CONTENTS)


def decode(png: bytes) -> np.ndarray:
    """One image as [3, 32, 32] uint8."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def cifar_fs(split: str, options: CifarOptions, cache: Path, report: Report = silent) -> Pool:
    """The classes of a split of CIFAR-FS.

    Raises:
        DataError: not fetched yet, a damaged cache, or an unknown split.
    """
    return _pool("cifar-fs", split, [one.name for one in things() if one.cifar_fs == split], cache)


def fc100(split: str, options: CifarOptions, cache: Path, report: Report = silent) -> Pool:
    """The classes of a split of FC100.

    Raises:
        DataError: not fetched yet, a damaged cache, or an unknown split.
    """
    return _pool("fc100", split, [one.name for one in things() if one.fc100 == split], cache)


def _pool(name: str, split: str, classes: list[str], cache: Path) -> Pool:
    check_split(split, name)
    stored = fetched(cache / FOLDER, name)
    groups = {one.name: one for one in stored.groups}
    return make_pool(
        name=name,
        split=split,
        scheme=None,
        classes=classes,
        rows=[groups[one].rows for one in classes],
        store=stored.images,
        contents=stored.contents,
    )
