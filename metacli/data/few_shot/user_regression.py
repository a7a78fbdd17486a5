"""Sets of tasks with numbers to predict, for few-shot regression: of a data set by name, or of a
user's own tables, one table for each task or one table with a column of tasks."""

from __future__ import annotations

from pathlib import Path

from metacli.data.few_shot.regression import RegressionTasks, regression_tasks
from metacli.data.files import shown
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.plain import Record
from metacli.data.tables.choice import Choice, choice_of
from metacli.data.tables.kinds import Kind
from metacli.data.tables.reader import Table
from metacli.data.user.listing import Listing, TabularTask, holds_rows
from metacli.data.user.open import list_task
from metacli.errors import DataError

TARGET = "y"  # of data sets whose files name no column


def holds_regression_tasks(source: str, options: Record) -> bool:
    """Whether a path holds tasks whose targets are numbers. Raises as `list_task`."""
    if not holds_tables(Path(source)):
        return False
    listing = list_task(Path(source), choice=choice_of(options))
    return listing.what == "tasks" and all(
        one.content is not None and one.tables.type == "regression" for one in listing.children
    )


def holds_tables(path: Path) -> bool:
    """Whether a table, or a folder with tables in it or in its folders: a look at names alone."""
    if holds_rows(path):
        return True
    return path.is_dir() and any(holds_rows(one) for one in path.iterdir() if one.is_dir())


def named_regression_tasks(table: MultiTaskData, split: str) -> RegressionTasks:
    """Of a data set of many tasks."""
    if set(table.kinds) != {"regression"}:
        raise DataError(
            f"{table.name} has tasks with classes; few-shot regression needs numbers",
            code="data.no_numbers",
            where=table.name,
            hint=f"metacli multitask learns its tasks together: metacli recipes lists {table.name}",
        )
    tables = tables_of(table)
    kinds: dict[str, Kind] = dict.fromkeys(columns_of(table), "numeric")
    return regression_tasks(table.name, split, tables, TARGET, kinds)


def columns_of(table: MultiTaskData) -> tuple[str, ...]:
    """Names of the columns; x00, x01, ... where the file has none."""
    return table.columns or tuple(f"x{number:02}" for number in range(table.num_columns))


def tables_of(table: MultiTaskData) -> dict[str, Table]:
    """Each task as a user's table would hold it."""
    import polars as pl

    names = columns_of(table)
    found = {}
    for task, x, y in zip(table.tasks, table.x, table.y, strict=True):
        cells = {name: x[:, place] for place, name in enumerate(names)} | {TARGET: y}
        found[task] = Table(task, pl.DataFrame(cells).select(pl.all().cast(pl.String)))
    return found


def user_regression_tasks(path: Path, split: str, choice: Choice) -> RegressionTasks:
    """Of a user's own tables; support and query of a task are one."""
    listing = list_task(path, choice=choice)
    tables = {one.path.name: whole(one) for one in listing.children}
    content = listing.children[0].tables
    kinds, name = content.roles.kinds, shown(path.name)
    return regression_tasks(name, split, tables, content.target, kinds, content.unit, identity="")


def user_tables(path: Path) -> dict[str, Table]:
    """All rows of each task."""
    return {one.path.name: whole(one) for one in list_task(path).children}


def whole(task: Listing) -> Table:
    """All rows of a task."""
    content: TabularTask = task.tables
    support, query = content.support, content.query
    if query is None:
        return support
    import polars as pl

    frame = pl.concat([support.frame, query.frame.select(support.frame.columns)])
    return Table(support.name, frame, support.first)
