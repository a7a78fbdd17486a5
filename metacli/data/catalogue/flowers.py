"""Flowers12: photographs of twelve species, 60 to learn from and 20 to test on of each, 224 x 224.

A part of the Oxford flower sets: M.-E. Nilsback, A. Zisserman, "A visual vocabulary for flower
classification", CVPR 2006; "Automated flower classification over a large number of classes",
ICVGIP 2008.

The species are the same in both splits, unlike those of other data sets here: `train` and `test`
are photographs of the twelve. The usual protocol draws 1 or 5 examples of 5 or 12 species from
`train` and asks for all of `test`. There is no `val`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.store import Report, fetched, silent, write_stored
from metacli.data.few_shot.pools import Pool, check_split, fitted, make_pool
from metacli.data.images import ImageSpec, read_image
from metacli.errors import DataError

SIDE = 224
DECODING = "224x224 RGB as in the file"


@dataclass(frozen=True)
class FlowerOptions:
    """How the photographs are read.

    Args:
        size: height and width in pixels that they are resized to.
    """

    size: int = SIDE

    def __post_init__(self) -> None:
        if not 8 <= self.size <= SIDE:
            message = f"flowers12: size is 8 to {SIDE} pixels, found {self.size}"
            raise DataError(message, code="data.option_value")


def build(
    members: Mapping[str, bytes], folder: Path, options: FlowerOptions, report: Report
) -> None:
    """Decodes the photographs into `folder`, so that a few can be read without the others.

    Args:
        members: JPEG files by `split/species/name`, already verified.
    """
    names = sorted(members)
    images = np.empty((len(names), 3, SIDE, SIDE), np.uint8)
    contents = hashlib.sha256(DECODING.encode())
    classes: dict[str, int] = {}
    for row, name in enumerate(names):
        images[row] = read_image(members[name], ImageSpec(3, SIDE, SIDE))
        contents.update(f"{name} {hashlib.sha256(members[name]).hexdigest()}\n".encode())
        of = name.rpartition("/")[0]
        classes[of] = classes.get(of, 0) + 1
        report("decoding photographs", row + 1, len(names))
    write_stored(folder, images, list(classes.items()), contents.hexdigest())


def pool(split: str, options: FlowerOptions, cache: Path, report: Report = silent) -> Pool:
    """The twelve species, with the photographs of a split.

    Raises:
        DataError: not fetched yet, a damaged cache, or another split than train and test.
    """
    check_split(split, "flowers12")
    if split == "val":
        raise DataError(
            "flowers12 has the splits train and test of the same twelve species, and no val",
            code="data.no_such_split",
            hint="metacli evaluate MODEL flowers12 tests what learned from other images",
        )
    stored = fetched(cache / "flowers12", "flowers12")
    own = [one for one in stored.groups if one.name.startswith(f"{split}/")]
    made = make_pool(
        name="flowers12",
        split=split,
        scheme=None,
        classes=[one.name.partition("/")[2] for one in own],
        rows=[one.rows for one in own],
        store=stored.images,
        contents=stored.contents,
    )
    return fitted(made, (3, options.size, options.size))
