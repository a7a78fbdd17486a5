"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn once by 20 people.

B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, "Human-level concept learning through probabilistic
program induction", Science 350 (2015) 1332-1338.

The cache holds the images as they are drawn, dark ink (0) on light paper (255), made 28x28 by
Pillow's Lanczos filter from the one-bit originals of 105x105; nothing is rotated or inverted there.
Rotations are counter-clockwise and made when an episode is drawn.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache as once
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from metacli.data.cache.store import Report, fetched, silent, write_stored
from metacli.data.draws import shuffled
from metacli.data.few_shot.pools import Pool, check_split, make_pool
from metacli.errors import DataError

SIDE = 28
DECODING = "28x28 Lanczos of the one-bit picture, paper 255"
SCHEMES = ("vinyals", "random", "background", "background-within")
RANDOM_SIZES = {"train": (0, 1100), "val": (1100, 1200), "test": (1200, 1623)}
VALIDATION_ALPHABETS = 5  # of the background set: the last by name
_LETTERS = {"train": "t", "val": "v", "test": "e"}


@dataclass(frozen=True)
class OmniglotOptions:
    """How the 1,623 characters are divided.

    Args:
        scheme: `vinyals`: the lists of O. Vinyals et al. 2016, 1028/172/423 characters, the four
            rotations of a character being four classes in every split. `random`: 1100/100/423
            characters at random, each class of each episode rotated at random (MAML). `background`:
            Lake's 964 background characters, of which the last 5 alphabets by name are validation;
            test is the 659 of the evaluation set; no rotations. `background-within`: the same, and
            the classes of each episode are of one alphabet, as Lake's task has it; an alphabet with
            fewer characters than the way is never drawn.
        split_seed: names the shuffle of `random`.
        turned: of the training characters of a background scheme: the four rotations of a character
            are four classes, and those of an alphabet four alphabets.
    """

    scheme: str = "vinyals"
    split_seed: int = 0
    turned: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise DataError(
                f"omniglot has no scheme {self.scheme!r}",
                code="data.unknown_scheme",
                hint="the schemes are vinyals, random, background and background-within",
            )
        if self.turned and not self.scheme.startswith("background"):
            raise DataError(
                f"the scheme {self.scheme!r} turns characters as it does, whatever `turned` says",
                code="data.unknown_scheme",
                hint="data.scheme=background or background-within, or leave data.turned out",
            )


@dataclass(frozen=True)
class Character:
    """One character: `Alphabet/characterNN`, the archive it is in, and its split by Vinyals."""

    name: str
    alphabet: str
    background: bool
    letter: str


@once
def characters() -> tuple[Character, ...]:
    """All 1,623, sorted by name."""
    text = (
        files("metacli.data.catalogue").joinpath("omniglot_splits.txt").read_text(encoding="ascii")
    )
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            alphabet, archive, letters = line.split("\t")
            for number, letter in enumerate(letters, 1):
                name = f"{alphabet}/character{number:02d}"
                found.append(Character(name, alphabet, archive == "b", letter))
    return tuple(sorted(found, key=lambda one: one.name))


def split_characters(split: str, options: OmniglotOptions) -> list[str]:
    """The characters of a split, sorted by name.

    Raises:
        DataError: unknown split.
    """
    check_split(split, "omniglot")
    everyone = characters()
    if options.scheme == "vinyals":
        chosen: Iterable[Character] = (c for c in everyone if c.letter == _LETTERS[split])
    elif options.scheme == "random":
        first, last = RANDOM_SIZES[split]
        order = shuffled(len(everyone), "omniglot", "random", options.split_seed)
        chosen = (everyone[one] for one in order[first:last])
    else:
        held_out = sorted({c.alphabet for c in everyone if c.background})[-VALIDATION_ALPHABETS:]
        chosen = (c for c in everyone if _lake_split(c, held_out) == split)
    return sorted(c.name for c in chosen)


def _lake_split(character: Character, held_out: list[str]) -> str:
    if not character.background:
        return "test"
    return "val" if character.alphabet in held_out else "train"


def build(
    members: Mapping[str, bytes], folder: Path, options: OmniglotOptions, report: Report
) -> None:
    """Decodes the images into `folder`.

    Args:
        members: PNG files by their path from the alphabet down, already verified.
    """
    names = sorted(members)
    images = np.empty((len(names), 1, SIDE, SIDE), np.uint8)
    contents = hashlib.sha256(DECODING.encode())
    for row, name in enumerate(names):
        images[row, 0] = decode(members[name])
        contents.update(f"{name} {hashlib.sha256(members[name]).hexdigest()}\n".encode())
        if (row + 1) % 1000 == 0 or row + 1 == len(names):
            report("decoding omniglot", row + 1, len(names))
    classes: dict[str, int] = {}
    for name in names:
        character = name.rpartition("/")[0]
        classes[character] = classes.get(character, 0) + 1
    write_stored(folder, images, list(classes.items()), contents.hexdigest())


def decode(png: bytes) -> np.ndarray:
    """One image as [28, 28] uint8."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small)


def pool(split: str, options: OmniglotOptions, cache: Path, report: Report = silent) -> Pool:
    """The classes of a split.

    Raises:
        DataError: not fetched yet, a damaged cache, or an unknown split.
    """
    names = split_characters(split, options)
    stored = fetched(cache / "omniglot", "omniglot")
    groups = {one.name: one for one in stored.groups}
    within = options.scheme == "background-within"
    return make_pool(
        name="omniglot",
        split=split,
        scheme=options.scheme,
        classes=names,
        rows=[groups[name].rows for name in names],
        store=stored.images,
        contents=stored.contents,
        rotations=options.scheme == "vinyals" or (options.turned and split == "train"),
        random_turns=options.scheme == "random",
        families=[name.partition("/")[0] for name in names] if within else None,
    )
