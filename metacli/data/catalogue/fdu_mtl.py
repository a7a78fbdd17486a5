"""FDU-MTL: is a review good or bad? Sixteen domains, each a task.

P. Liu, X. Qiu, X. Huang, "Adversarial multi-task learning for text classification", ACL 2017. Each
line is a label, a tab and a text whose words stand apart. Lines end in a line feed and in nothing
else; those that are not UTF-8 are Latin-1; a text may be empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.kept_files import digest, read_members
from metacli.data.cache.store import Report, silent
from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.data.multi_task.from_texts import text_set
from metacli.data.tables.text import HashedText
from metacli.errors import DataError

TRAIN, TEST = ".task.train", ".task.test"
PACKED = "fdu_mtl.zip"
# Runs of before name the data by the SHA-256 of a zip; it is the same data.
MEMBERS = "d136c55197711a8cdac160e64e9c157cb4dde4af06a3077fbecf0385d0dde97d"
ZIP = "dc8060948a4ee48c2836e3af57ef192e033cda6f2f238b5a64c13b47aada1963"


@dataclass(frozen=True)
class ReviewOptions:
    """How the reviews are read.

    Args:
        features: of the hashed words and pairs of words.
        sublinear: how often a word is in a text counts by its logarithm.
        split_seed, rows: as for every set of tasks.
    """

    features: int = 32_768
    sublinear: bool = False
    split_seed: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        if not 1024 <= self.features <= 2**20:
            raise DataError(
                f"fdu-mtl: features is 1024 to {2**20}, found {self.features}", code="data.option"
            )


def fdu_mtl(options: ReviewOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """The reviews; the lines of each test file are test."""
    members = read_members(cache, "fdu-mtl", PACKED)
    names = sorted(n.removesuffix(TRAIN) for n in members if n.endswith(TRAIN))
    learned = [lines(members[name + TRAIN], name) for name in names]
    asked = [lines(members[name + TEST], name) for name in names]
    how = " sublinear" if options.sublinear else ""
    every = [(*a, *b) for a, b in zip(learned, asked, strict=True)]
    made = MultiTaskData(
        name="fdu-mtl",
        tasks=tuple(names),
        x=tuple(np.zeros((len(one), 0), np.float32) for one in every),
        y=tuple(np.array([label for label, _ in one], float) for one in every),
        kinds=all_of("classification", len(names)),
        metric="accuracy",
        contents=f"{digest_of(members)} {options.features}{how}",
        split="last",
        test_rows=tuple(map(len, asked)),
        classes=(("bad", "good"),) * len(names),
        texts=tuple(tuple(text for _, text in one) for one in every),
    )
    encoder = HashedText(options.features, characters=(0, 0), sublinear=options.sublinear)
    return text_set(made, encoder, options.split_seed)


def digest_of(members: Mapping[str, bytes]) -> str:
    """What the set is called in the digests of runs."""
    lines = "".join(f"{name} {digest(members[name])}\n" for name in sorted(members))
    found = digest(lines.encode())
    return ZIP if found == MEMBERS else found


def lines(content: bytes, name: str) -> list[tuple[int, str]]:
    """(label, text) of each line. Raises DataError for one that is neither."""
    found = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        label, tab, text = decoded(line).partition("\t")
        if not tab or label not in ("0", "1"):
            message = f"line {number} of {name} is no label, tab and text"
            raise DataError(message, code="data.unreadable", where=name)
        found.append((int(label), text))
    return found


def decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
