"""FSDD: six people say the ten digits, 50 times each; as classes to draw episodes from, and as a
task per speaker.

Z. Jackson et al., "Free Spoken Digit Dataset", 2016. A file is called `<digit>_<speaker>_<index>`;
the indices 0 to 4 are the authors' test recordings. Recordings are kept as log-mel images
(`data.audio.logmel`), 64 x 64.

A fold holds five digits and four speakers to learn from, and tests on the other five digits of the
other two speakers: fold f of 15 takes the f-th pair of speakers, and the digits f, f + 1, ... f + 4
modulo 10. One of the four speakers validates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from metacli.data.audio.recordings import spectrogram
from metacli.data.cache.store import Report, fetched, silent, write_stored
from metacli.data.few_shot.pools import Pool, check_split, fitted, make_pool
from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.errors import DataError

DECODING = "log-mel 1"  # another formula is another number
FOLDER = "fsdd"  # of the cache, for both data sets
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = tuple(map(str, range(10)))
PAIRS = tuple(combinations(SPEAKERS, 2))  # of test speakers
OFFICIAL = 5  # test recordings of a digit
SCHEMES = ("speakers", "merged")


@dataclass(frozen=True)
class DigitsOptions:
    """How spoken digits become classes.

    Args:
        fold: 1 to 15, which digits and speakers are test.
        scheme: `speakers`: a class is a digit of one speaker, and an episode is of one speaker;
            `merged`: a class is a digit, whoever of the split says it.
        size: height and width in pixels.
    """

    fold: int = 1
    scheme: str = "speakers"
    size: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.fold <= len(PAIRS):
            raise DataError(f"fsdd: fold is 1 to {len(PAIRS)}, found {self.fold}")
        if self.scheme not in SCHEMES:
            raise DataError(f"fsdd: scheme is {' or '.join(SCHEMES)}, found {self.scheme!r}")
        check_size(self.size)


@dataclass(frozen=True)
class SpeakersOptions:
    """How speakers become tasks.

    Args:
        size: height and width in pixels.
        split_seed, rows: as for every set of tasks.
    """

    size: int = 32
    split_seed: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        check_size(self.size)


def check_size(size: int) -> None:
    """Raises DataError: too small or too large for a spectrogram of 64 x 64."""
    if not 8 <= size <= 256:
        raise DataError(f"fsdd: size is 8 to 256 pixels, found {size}", code="data.option_value")


def build(members: Mapping[str, bytes], folder: Path, options: object, report: Report) -> None:
    """Spectrograms of all recordings, by speaker, digit and index.

    Args:
        members: WAV files by name, already verified.
    """
    order = sorted(members, key=place_of)
    images, contents = [], hashlib.sha256(DECODING.encode())
    classes: dict[str, int] = {}
    for number, name in enumerate(order, 1):
        images.append(spectrogram(members[name], name)[None])
        contents.update(f"{name} {hashlib.sha256(members[name]).hexdigest()}\n".encode())
        speaker, digit, _ = place_of(name)
        classes[f"{speaker}/{digit}"] = classes.get(f"{speaker}/{digit}", 0) + 1
        if number % 500 == 0 or number == len(order):
            report("reading recordings", number, len(order))
    write_stored(folder, np.stack(images), list(classes.items()), contents.hexdigest())


def place_of(name: str) -> tuple[str, str, int]:
    """Speaker, digit and index of a file's name. Raises DataError: another name."""
    parts = name.removesuffix(".wav").split("_")
    if len(parts) == 3 and parts[0] in DIGITS and parts[2].isdecimal():
        return parts[1], parts[0], int(parts[2])
    message = f"{name} is not called <digit>_<speaker>_<index>.wav"
    raise DataError(message, code="data.unreadable", where=name)


def chosen(split: str, fold: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Speakers and digits of a split."""
    tested = PAIRS[fold - 1]
    learned = [one for one in SPEAKERS if one not in tested]
    held_out = learned.pop(fold % len(learned))
    digits = tuple(DIGITS[(fold + step) % 10] for step in range(5))
    if split == "test":
        return tested, digits
    speakers = (held_out,) if split == "val" else tuple(learned)
    return speakers, tuple(one for one in DIGITS if one not in digits)


def pool(split: str, options: DigitsOptions, cache: Path, report: Report = silent) -> Pool:
    """The classes of a split.

    Raises:
        DataError: not fetched yet, a damaged cache, or an unknown split.
    """
    check_split(split, "fsdd")
    stored = fetched(cache / FOLDER, "fsdd")
    rows = {one.name: one.rows for one in stored.groups}
    speakers, digits = chosen(split, options.fold)
    if options.scheme == "merged":
        names = sorted(digits)
        members = [np.concatenate([rows[f"{one}/{name}"] for one in speakers]) for name in names]
    else:
        names = [f"{speaker}/{digit}" for speaker in speakers for digit in sorted(digits)]
        members = [rows[name] for name in names]
    made = make_pool(
        name="fsdd",
        split=split,
        scheme=f"{options.scheme}, fold {options.fold}",
        classes=names,
        rows=members,
        store=stored.images,
        contents=stored.contents,
        families=[one.partition("/")[0] for one in names] if options.scheme == "speakers" else None,
    )
    return fitted(made, (1, options.size, options.size))


def speakers(options: SpeakersOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """A task per speaker: which digit is it? The authors' test recordings are test."""
    stored = fetched(cache / FOLDER, "fsdd")
    rows = {one.name: one.rows for one in stored.groups}
    x, y, tested = [], [], []
    shape = (1, options.size, options.size)
    for speaker in SPEAKERS:
        own = [rows[f"{speaker}/{digit}"] for digit in DIGITS]
        # Recordings lie by index, so the first five of each digit are test, and go last.
        order = np.concatenate([one[OFFICIAL:] for one in own] + [one[:OFFICIAL] for one in own])
        label = {int(row): number for number, some in enumerate(own) for row in some}
        plain = make_pool(
            name="fsdd",
            split="train",
            scheme=None,
            classes=[speaker],
            rows=[np.sort(order)],
            store=stored.images,
            contents=stored.contents,
        )
        images = fitted(plain, shape)
        place = {int(row): at for row, at in zip(np.sort(order), images.rows[0], strict=True)}
        x.append(images.images[[place[int(row)] for row in order]].reshape(len(order), -1))
        y.append(np.array([label[int(row)] for row in order], float))
        tested.append(sum(min(OFFICIAL, len(one)) for one in own))
    return MultiTaskData(
        name="fsdd-speakers",
        tasks=SPEAKERS,
        x=tuple(x),
        y=tuple(y),
        kinds=all_of("classification", len(SPEAKERS)),
        metric="accuracy",
        contents=f"{stored.contents} {options.size}",
        split="last",
        test_rows=tuple(tested),
        classes=(DIGITS,) * len(SPEAKERS),
        shape=shape,
        levels=(0.0, 255.0),
    )
