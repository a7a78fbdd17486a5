"""Data sets of many related tasks that metacli knows by name: as `MultiTaskData`.

The cache keeps a file as it was verified (its SHA-256 is in the registry) and reads it again each
time; they are small.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.kept_files import read_file, read_members
from metacli.data.cache.store import Report, silent
from metacli.data.multi_task.dataset import MultiTaskData, all_of, content_digest
from metacli.data.multi_task.from_tables import Piece, table_set
from metacli.data.tables.choice import Choice
from metacli.data.tables.reader import parse_table
from metacli.errors import DataError


@dataclass(frozen=True)
class MultiTaskOptions:
    """Options of every set of tasks.

    Args:
        split_seed: names the split into training, validation and test rows.
        rows: rows of each task in one training step; 0 takes all of them.
    """

    split_seed: int = 0
    rows: int = 0


def school(options: MultiTaskOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Examination scores of the pupils of 139 London schools; a task per school.

    The file's arrays are uint8: they are floats here before any arithmetic.
    """
    cells = _matlab(_stored(cache, "school", "school.mat"))
    x = tuple(np.asarray(one, np.float64) for one in cells["X"].ravel())
    y = tuple(np.asarray(one, np.float64).ravel() for one in cells["Y"].ravel())
    return MultiTaskData(
        name="school",
        tasks=tuple(f"school-{number:03}" for number in range(1, len(x) + 1)),
        x=x,
        y=y,
        kinds=all_of("regression", len(x)),
        metric="explained_variance",
        contents=content_digest(x, y),
    )


def landmine(options: MultiTaskOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Buried mines in radar images of 29 fields; 6 % of the examples are mines."""
    cells = _matlab(_stored(cache, "landmine", "LandmineData.mat"))
    x = tuple(np.asarray(one, np.float64) for one in cells["feature"].ravel())
    y = tuple(np.asarray(one, np.float64).ravel() for one in cells["label"].ravel())
    return MultiTaskData(
        name="landmine",
        tasks=tuple(f"field-{number:02}" for number in range(1, len(x) + 1)),
        x=x,
        y=y,
        kinds=all_of("classification", len(x)),
        metric="auc",
        contents=content_digest(x, y),
        groups=tuple(0 if number < 15 else 1 for number in range(len(x))),
    )


def sarcos(options: MultiTaskOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Seven joint torques of a robot arm from its positions, velocities and accelerations."""
    whole = np.asarray(
        _matlab(_stored(cache, "sarcos", "sarcos_inv_test.mat"))["sarcos_inv_test"], np.float64
    )
    x, targets = whole[:, :21], whole[:, 21:]
    y = tuple(np.ascontiguousarray(targets[:, joint]) for joint in range(7))
    return MultiTaskData(
        name="sarcos",
        tasks=tuple(f"torque-{joint}" for joint in range(1, 8)),
        x=(x,) * 7,
        y=y,
        kinds=("regression",) * 7,
        metric="nmse",
        contents=content_digest([x], y),
        columns=tuple(
            f"{what}-{joint}"
            for what in ("position", "velocity", "acceleration")
            for joint in range(1, 8)
        ),
        scale="task",
        rows="shared",
        split="blocks",
    )


def computer_buyers(
    options: MultiTaskOptions, cache: Path, report: Report = silent
) -> MultiTaskData:
    """How likely 190 people are to buy each of 20 computers; the last four computers are test."""
    members = read_members(cache, "computer-buyers", "computer_buyers.zip")
    cells = _matlab(members["conjointAnalysisComputerBuyers.mat"])
    design = np.asarray(cells["designMarix"], np.float64)  # so spelt in the file
    liking = np.asarray(cells["likeBuy"], np.float64)  # [190, 20]
    return MultiTaskData(
        name="computer-buyers",
        tasks=tuple(f"person-{number:03}" for number in range(1, len(liking) + 1)),
        x=(design,) * len(liking),
        y=tuple(liking),
        kinds=all_of("regression", len(liking)),
        metric="rmse",
        contents=content_digest([design], list(liking)),
        split="last",
        test_rows=(4,) * len(liking),
    )


ADULT = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status"),
    *("occupation", "relationship", "race", "sex", "capital-gain", "capital-loss"),
    *("hours-per-week", "native-country", "income"),
)
ADULT_TARGETS = ("income", "marital-status", "hours-per-week")


def adult(options: MultiTaskOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Income, marital status and hours of work of 48,842 people, from what else the census asked.

    The rows of UCI's `adult.test` are test; its first line is a remark and its labels end in a full
    stop. `relationship` is not among the inputs: husbands and wives are married.
    """
    members = read_members(cache, "adult", "adult.zip")
    learned = members["adult.data"].decode("ascii").split("\n")
    tested = members["adult.test"].decode("ascii").split("\n")[1:]
    first = [line for line in learned if line]
    last = [line.removesuffix(".") for line in tested if line]
    text = "\n".join([",".join(ADULT), *first, *last])
    table = parse_table(text.encode(), "csv", "adult")
    left_out = (*ADULT_TARGETS, "relationship")
    inputs = tuple(name for name in ADULT if name not in left_out)
    pieces = [Piece(target, table, target, len(last)) for target in ADULT_TARGETS]
    contents = hashlib.sha256(text.encode()).hexdigest()
    choice = Choice(inputs=inputs)
    made, _ = table_set("adult", pieces, choice, contents, options.split_seed, folder=cache)
    return made


def _stored(cache: Path, name: str, file: str) -> bytes:
    """The verified file. Raises DataError: not fetched yet, or altered since."""
    return read_file(cache, name, file)


def _matlab(content: bytes) -> dict[str, np.ndarray]:
    """The variables of a MATLAB file whose digest was checked before."""
    from scipy.io import loadmat  # slow to import

    try:
        found: dict[str, np.ndarray] = loadmat(io.BytesIO(content))
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"not a MATLAB file: {error}", code="data.unreadable") from error
    return found
