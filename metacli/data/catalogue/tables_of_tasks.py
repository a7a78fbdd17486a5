"""Tables whose tasks are objects, hospitals or assays: grasps, heart, tox21 and sider.

B. S. Zapata-Impata, P. Gil, F. Torres, "Non-matrix tactile sensors: how can be exploited their
local connectivity for predicting grasp stability?", arXiv:1809.05551 (grasps). R. Detrano et al.,
"International application of a new probability algorithm for the diagnosis of coronary artery
disease", Am. J. Cardiology 64 (1989) 304-310 (heart). Z. Wu et al., "MoleculeNet", Chemical Science
9 (2018) 513-530 (tox21, sider).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.cache.kept_files import read_file
from metacli.data.cache.store import Report, silent
from metacli.data.catalogue.multi_task_sets import MultiTaskOptions
from metacli.data.multi_task.dataset import MultiTaskData, all_of, content_digest
from metacli.data.multi_task.from_tables import Piece, table_set
from metacli.data.tables.choice import Choice
from metacli.data.tables.molecules import has_rdkit
from metacli.data.tables.reader import Table, parse_table
from metacli.errors import DataError

PALMS = ("palmdown", "palmside")
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
HEART = (
    *("age", "sex", "chest-pain", "blood-pressure", "cholesterol", "fasting-sugar", "ecg"),
    *("heart-rate", "angina", "st-depression", "st-slope", "vessels", "thal"),
)
PARTS = ("", "train", "test")
TRAINED = {"tox21": 9, "sider": 21}  # the first targets, in column order (GS-Meta)


@dataclass(frozen=True)
class MoleculeOptions(MultiTaskOptions):
    """Which targets of a set of molecules.

    Args:
        part: `train`: the first 9 (tox21) or 21 (sider) targets; `test`: the last 3 or 6, as
            GS-Meta divides them; empty: all.
    """

    part: str = ""

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            message = f"part is {self.part!r}; wanted train, test, or nothing for all targets"
            raise DataError(message, code="data.option_value")


def grasps(options: MultiTaskOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Is a grasp stable, or does the object slip? 72 electrodes of three fingers, and whether the
    palm of the hand is down (0) or sideways (1). A task per object."""
    files = [read_file(cache, "grasps", f"biotac-{palm}-grasps.csv") for palm in PALMS]
    tables = [parse_table(one, "csv", palm) for one, palm in zip(files, PALMS, strict=True)]
    sensors = tuple(one for one in tables[0].columns if one not in ("object", "slipped"))
    objects = np.concatenate([np.array(one.words("object")) for one in tables])
    slipped = np.concatenate([one.numbers("slipped") for one in tables])
    x = np.concatenate(
        [
            np.column_stack([*(one.numbers(name) for name in sensors), np.full(len(one), side)])
            for side, one in enumerate(tables)
        ]
    )
    tasks = tuple(sorted(set(objects.tolist())))
    rows = [np.flatnonzero(objects == one) for one in tasks]
    return MultiTaskData(
        name="grasps",
        tasks=tasks,
        x=tuple(x[one] for one in rows),
        y=tuple(slipped[one] for one in rows),
        kinds=all_of("classification", len(tasks)),
        metric="accuracy",
        contents=content_digest([x], [slipped]),
        columns=(*sensors, "palm"),
        classes=(("stable", "slipped"),) * len(tasks),
    )


def heart(options: MultiTaskOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Is there a heart disease (a diagnosis of 1 to 4)? 13 columns, with cells that are missing. A
    task per hospital."""
    tables = {
        one: hospital(read_file(cache, "heart", f"processed.{one}.data"), one) for one in HOSPITALS
    }
    pieces = [Piece(name, table, "disease") for name, table in tables.items()]
    contents = hashlib.sha256("".join(t.frame.write_csv() for t in tables.values()).encode())
    choice = Choice(inputs=HEART, type="classification")
    made, _ = table_set(
        "heart", pieces, choice, contents.hexdigest(), options.split_seed, folder=cache
    )
    return made


def hospital(content: bytes, name: str) -> Table:
    """The rows of a hospital; `disease` is yes or no.

    Raises:
        DataError: a line that has not 14 cells.
    """
    lines = [",".join((*HEART, "disease"))]
    for number, line in enumerate(content.decode("ascii").split("\n"), 1):
        cells = ["" if cell.strip() == "?" else cell.strip() for cell in line.split(",")]
        if cells == [""]:
            continue
        if len(cells) != len(HEART) + 1:
            message = f"line {number} of {name} has {len(cells)} cells; wanted 14"
            raise DataError(message, code="data.unreadable", where=name)
        lines.append(",".join([*cells[:-1], "no" if float(cells[-1]) == 0 else "yes"]))
    return parse_table("\n".join(lines).encode(), "csv", name)


def tox21(options: MoleculeOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Is a molecule active in an assay of toxicity? 12 assays of the same molecules, with labels
    that are missing."""
    return molecules("tox21", options, cache)


def sider(options: MoleculeOptions, cache: Path, report: Report = silent) -> MultiTaskData:
    """Does a drug have side effects of a kind? 27 kinds, of the same molecules."""
    return molecules("sider", options, cache)


def molecules(name: str, options: MoleculeOptions, cache: Path) -> MultiTaskData:
    """A column of SMILES, and a target in each other column. Molecules that cannot be read are left
    out and named in `findings`."""
    content = read_file(cache, name, f"{name}.csv")
    table = parse_table(content, "csv", name)
    targets = [one for one in table.columns if one != "smiles"]
    first = TRAINED[name]
    targets = {"": targets, "train": targets[:first], "test": targets[first:]}[options.part]
    pieces = [Piece(one, table, one) for one in targets]
    made, _ = table_set(
        name,
        pieces,
        Choice(inputs=("smiles",), type="classification"),
        f"{hashlib.sha256(content).hexdigest()} {'fingerprints' if has_rdkit() else 'n-grams'}",
        options.split_seed,
        folder=cache,
    )
    return replace(made, metric="auc")
