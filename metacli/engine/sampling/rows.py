"""`sample` of texts and tables: support.csv and query.csv as a user would have written them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.regression import RegressionEpisodes
from metacli.data.few_shot.user_regression import tables_of, user_tables
from metacli.data.sources import load_multi_task, load_regression_tasks
from metacli.data.tables.reader import Table
from metacli.engine.storage.paths import cache_root

LABEL, TEXT = "label", "text"


@dataclass(frozen=True)
class Drawn:
    """A task as files, and what it holds: names of its classes, or of the task it is from; how many
    rows its support and its query have."""

    files: dict[str, bytes]
    names: tuple[str, ...]
    digest: str
    way: int | None
    shot: int
    query: int


def draw_rows(pool: Pool, way: int, shot: int, query: int, split: str, seed: int) -> Drawn:
    """The first episode of `evaluate`, from a pool of texts or rows of a table."""
    key = (seed, pool.digest, split, way, shot, query)
    drawn = ClassEpisodes(pool=pool, way=way, shot=shot, query=query, seed=key).members(0)
    names = [pool.classes[one] for one in drawn.classes]
    files = {
        f"{side}.csv": rows_bytes(pool.coded.rows, [list(of_class) for of_class in rows], names)
        for side, rows in (("support", drawn.support), ("query", drawn.query))
    }
    return Drawn(files, tuple(sorted(names)), pool.digest, way, way * shot, way * query)


def rows_bytes(
    rows: Table | Sequence[str], numbers: Sequence[Sequence[int]], names: Sequence[str]
) -> bytes:
    """CSV of some rows with their labels in the last column."""
    pairs = [(row, name) for of_class, name in zip(numbers, names, strict=True) for row in of_class]
    if not isinstance(rows, Table):
        return csv_bytes([TEXT, LABEL], [[rows[row], name] for row, name in pairs])
    cells = rows.frame[[row for row, _ in pairs]].rows()
    return csv_bytes(list(rows.columns), [["" if c is None else c for c in row] for row in cells])


def draw_numbers(data: str, shot: int, query: int, split: str, seed: int) -> Drawn:
    """The first episode of `evaluate` of a set of tasks with numbers to predict."""
    if data in DATASETS:
        whole, _ = load_multi_task(data, {}, cache_root())
        tables = tables_of(whole)
    else:
        tables = user_tables(Path(data))
    tasks = load_regression_tasks(data, split, {}, cache_root())
    source = RegressionEpisodes(
        tasks=tasks, shot=shot, query=query, seed=(seed, tasks.digest, shot, query)
    )
    task, support, asked = source.members(0)
    name = tasks.tasks[task]
    files = {
        f"{side}.csv": table_bytes(tables[name].rows(numbers))
        for side, numbers in (("support", support), ("query", asked))
    }
    said = f"target: {json.dumps(tasks.target.name)}\ntype: regression\n"
    return Drawn(
        {**files, "task.yaml": said.encode()}, (name,), tasks.digest, None, len(support), len(asked)
    )


def table_bytes(table: Table) -> bytes:
    """A table as CSV; a missing cell is empty."""
    cells = [["" if cell is None else cell for cell in row] for row in table.frame.rows()]
    return csv_bytes(list(table.columns), cells)


def csv_bytes(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8")
