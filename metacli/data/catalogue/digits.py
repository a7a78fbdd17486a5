"""MNIST and Kannada-MNIST: handwritten digits, to test on what was learned from other drawings.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86 (1998).
V. U. Prabhu, "Kannada-MNIST: a new handwritten digits dataset for the Kannada language",
arXiv:1908.01242 (2019).

Only the test parts are kept, 10,000 images of 28x28, so there is one split, test: ten classes are
too few to divide. The files hold light ink on dark paper; the cache holds 255 - x, dark ink on
light paper, as every other data set of drawings here does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.store import Report, fetched, silent, write_stored
from metacli.data.few_shot.pools import Pool, check_split, make_pool
from metacli.errors import DataError

SIDE = 28
CLASSES = 10
DECODING = "28x28, ink inverted to dark on paper 255"
_HEADERS = {"idx3": 16, "idx1": 8}  # bytes before the values: images, labels


@dataclass(frozen=True)
class DigitOptions:
    """There are none."""


def build(
    members: Mapping[str, bytes], folder: Path, options: DigitOptions, report: Report
) -> None:
    """Decodes the images into `folder`, class by class.

    Args:
        members: one IDX file of images and one of labels, already verified.
    """
    images, labels = read_idx(members, "idx3"), read_idx(members, "idx1")
    order = np.argsort(labels, kind="stable")
    images = 255 - images.reshape(-1, 1, SIDE, SIDE)[order]
    report("decoding digits", len(images), len(images))
    contents = hashlib.sha256(DECODING.encode())
    for name in sorted(members):
        contents.update(f"{name} {hashlib.sha256(members[name]).hexdigest()}\n".encode())
    counts = np.bincount(labels, minlength=CLASSES).tolist()
    classes = [(str(digit), count) for digit, count in enumerate(counts)]
    write_stored(folder, images, classes, contents.hexdigest())


def read_idx(members: Mapping[str, bytes], kind: str) -> np.ndarray:
    """The uint8 values of the member of that kind, without the header that tells their shape."""
    (content,) = (members[name] for name in members if f"-{kind}-" in name)
    return np.frombuffer(content, np.uint8, offset=_HEADERS[kind])


def mnist(split: str, options: DigitOptions, cache: Path, report: Report = silent) -> Pool:
    """The ten digits.

    Raises:
        DataError: not fetched yet, a damaged cache, or another split than test.
    """
    return _pool("mnist", split, cache)


def kannada_mnist(split: str, options: DigitOptions, cache: Path, report: Report = silent) -> Pool:
    """The ten digits of the Kannada script.

    Raises:
        DataError: not fetched yet, a damaged cache, or another split than test.
    """
    return _pool("kannada-mnist", split, cache)


def _pool(name: str, split: str, cache: Path) -> Pool:
    check_split(split, name)
    if split != "test":
        raise DataError(
            f"{name} has the split test only, not {split}: there is nothing to train on",
            code="data.no_such_split",
            hint=f"metacli evaluate MODEL {name} tests what learned from other drawings",
        )
    stored = fetched(cache / name, name)
    return make_pool(
        name=name,
        split=split,
        scheme=None,
        classes=[one.name for one in stored.groups],
        rows=[one.rows for one in stored.groups],
        store=stored.images,
        contents=stored.contents,
    )
