"""Omniglot's alphabets as tasks: which character of its alphabet is this?

Each alphabet is a classification of its own 14 to 55 characters, 20 drawings each; a quarter of the
drawings of every character are test. The cache is that of `omniglot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.store import Report, fetched, silent
from metacli.data.catalogue.omniglot import characters
from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.errors import DataError

PAPER = 255.0


@dataclass(frozen=True)
class AlphabetOptions:
    """Which alphabets.

    Args:
        part: `background`: Lake's 30 alphabets, so that 20 stay new; `evaluation`: those 20.
        most: the first so many alphabets by name; 0 takes all.
        split_seed, rows: as for every set of tasks.
    """

    part: str = "background"
    most: int = 0
    split_seed: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        if self.part not in ("background", "evaluation"):
            message = f"omniglot-alphabets: part is background or evaluation, found {self.part!r}"
            raise DataError(message, code="data.option")


def alphabets(options: AlphabetOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """The tasks; pixels stay bytes, dark ink on light paper, until the network's first layer."""
    stored = fetched(cache / "omniglot", "omniglot")
    rows = {one.name: one.rows for one in stored.groups}
    wanted: dict[str, list[str]] = {}
    for one in characters():
        if one.background == (options.part == "background"):
            wanted.setdefault(one.alphabet, []).append(one.name)
    chosen = sorted(wanted)[: options.most or None]
    x, y = [], []
    for alphabet in chosen:
        members = [rows[name] for name in sorted(wanted[alphabet])]
        images = stored.images[np.concatenate(members)]
        x.append(images.reshape(len(images), -1))
        y.append(np.repeat(np.arange(len(members)), [len(one) for one in members]).astype(float))
    shape = stored.images.shape[1:]
    return MultiTaskData(
        name="omniglot-alphabets",
        tasks=tuple(chosen),
        x=tuple(x),
        y=tuple(y),
        kinds=all_of("classification", len(chosen)),
        metric="accuracy",
        contents=f"{stored.contents} {options.part} {options.most}",
        classes=tuple(
            tuple(name.partition("/")[2] for name in sorted(wanted[one])) for one in chosen
        ),
        shape=tuple(int(size) for size in shape),
        levels=(PAPER, -PAPER),
    )
