"""Generated tasks of which it is known which are related: the ground truth for relatedness,
grouping and guards.

Each group g has a direction m_g; the directions of all groups and of the unrelated tasks are
orthonormal. A task t of group g has w_t = sqrt(1 - spread²) m_g + spread d_t, with d_t a random
unit vector of its own. Rows x ~ N(0, I_D);

    y = w_t·x + bend · (tanh(2 w_t·x) - w_t·x) + noise · ε,    ε ~ N(0, 1).

A task with a flipped sign has -w_t: it uses the very features of its group with the opposite
answer. Fixed: 24 columns, spread 0.3, bend 0.5, and noise = 10^(-snr / 20) of the signal.

Related are the tasks of one group, flipped or not (`MultiTaskData.groups`; -1: none). Two
tasks of a group have w_t·w_u = ±0.91 plus what their own parts add (standard deviation 0.08), tasks
of no common group 0 plus the same. The generator is version 1 and was fixed before any method was
tuned on it: a change of a formula or a fixed number is a new VERSION, which changes the digest of
the data. The digest is of the version and the options, not of the numbers: two processors need not
agree on the last bit of a tanh, and a run can go on on another one.

A verdict about one task needs more test rows than a small task has. `test_rows` draws more of them
from streams of their own: rows for training and validation stay the same numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.store import Report, silent
from metacli.data.draws import Key, stream, uniforms
from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.errors import DataError

COLUMNS, SPREAD, BEND = 24, 0.3, 0.5
VERSION = 1


@dataclass(frozen=True)
class FamilyOptions:
    """What is generated.

    Args:
        groups: of related tasks. tasks: in each group. unrelated: tasks related to no other.
        flipped: tasks of each group whose sign is flipped.
        size: rows of each task, divided as the rows of every data set are.
        test_rows: of each task beside these, all of them for test.
        snr: signal to noise in decibels.
        seed: names the whole family. split_seed, rows: as for every set of tasks.
    """

    groups: int = 3
    tasks: int = 4
    unrelated: int = 2
    flipped: int = 0
    size: int = 120
    test_rows: int = 0
    snr: int = 6
    seed: int = 0
    split_seed: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.groups + self.unrelated <= COLUMNS or self.tasks < 1:
            raise DataError(
                f"groups and unrelated tasks together must be 1 to {COLUMNS}", code="data.option"
            )
        if self.flipped > self.tasks:
            raise DataError("more flipped tasks than a group has", code="data.option")
        if self.test_rows < 0:
            raise DataError("test_rows is 0 or more", code="data.option")


def families(options: FamilyOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """The table of tasks; nothing is read or kept."""
    key = ("task-families", options.seed)
    axes = np.linalg.qr(_normal(key, "axes", (COLUMNS, COLUMNS)))[0].T
    x, y, names, groups = [], [], [], []
    members = [(g, k) for g in range(options.groups) for k in range(options.tasks)]
    members += [(-1, u) for u in range(options.unrelated)]
    for number, (group, member) in enumerate(members):
        axis = axes[group] if group >= 0 else axes[options.groups + member]
        own = _normal(key, ("own", number), (COLUMNS,))
        weights = np.sqrt(1 - SPREAD**2) * axis + SPREAD * own / np.linalg.norm(own)
        if group >= 0 and member < options.flipped:
            weights = -weights
        rows = _normal(key, ("x", number), (options.size, COLUMNS))
        more = _normal(key, ("test x", number), (options.test_rows, COLUMNS))
        signal = _bent(rows @ weights)
        level = 10 ** (-options.snr / 20) * signal.std()
        noise = _normal(key, ("noise", number), (options.size,))
        noise_of_more = _normal(key, ("test noise", number), (options.test_rows,))
        x.append(np.concatenate([rows, more]))
        signals = np.concatenate([signal, _bent(more @ weights)])
        y.append(signals + level * np.concatenate([noise, noise_of_more]))
        names.append(f"group{group + 1}-{member + 1}" if group >= 0 else f"alone-{member + 1}")
        groups.append(group)
    return MultiTaskData(
        name="task-families",
        tasks=tuple(names),
        x=tuple(x),
        y=tuple(y),
        kinds=all_of("regression", len(x)),
        metric="nmse",
        contents=f"task-families {VERSION} {asdict(options)}",
        scale="task",
        split="more",
        test_rows=(options.test_rows,) * len(x),
        groups=tuple(groups),
    )


def _bent(signal: np.ndarray) -> np.ndarray:
    result: np.ndarray = signal + BEND * (np.tanh(2 * signal) - signal)
    return result


def _normal(key: Key, name: Key, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers by Box and Muller, from a stream that never changes."""
    count = int(np.prod(shape))
    u = uniforms(stream(key, name).random_raw(2 * count)).reshape(2, count)
    result: np.ndarray = (np.sqrt(-2 * np.log1p(-u[0])) * np.cos(2 * np.pi * u[1])).reshape(shape)
    return result
