"""Sections about many tasks learned together: each beside itself alone, and who helps whom."""

from __future__ import annotations

from typing import Any

import numpy as np

from metacli.engine.reporting import plots
from metacli.engine.reporting.blocks import Block, Cell, Matrix, Plot, Section, Table, Text, section
from metacli.engine.reporting.measured import scored
from metacli.engine.reporting.subject import Line, Subject
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import metric_name, number, score, signed, visible

SHOWN = 12  # tasks in an open table; more are folded
NAMED = 12  # tasks in a matrix of numbers; more are a picture


def of_tasks(subject: Subject) -> list[Section]:
    tested = [line for line in subject.evaluations if line.get("tasks")]
    return [*results(tested), *tasks(subject, tested), *affinity(subject.relatedness)]


def results(tested: list[Line]) -> list[Section]:
    """The score over all tasks, beside the baselines."""
    blocks: list[Block] = []
    for line in tested:
        metric = line.get("metric")
        rows = [("learned together", scored(metric, line), "", "")]
        for name, value in (line.get("baselines") or {}).items():
            low, high = value.get("delta_ci95") or (None, None)
            interval = f"{signed(metric, low)} to {signed(metric, high)}" if low is not None else ""
            rows.append((visible(name), scored(metric, value), interval, verdict(value)))
        caption = (
            f"{metric_name(metric)} on the {line.get('split')} rows of all tasks; "
            "± is half of a 95 % interval over rows"
        )
        header = (
            "model",
            metric_name(metric),
            "together minus it, 95 %",
            "learning together",
        )
        blocks.append(Table(caption, header, tuple(rows)))
    return section("test", "Results", *blocks)


def verdict(value: Line) -> str:
    return str(value.get("verdict") or "").replace("_", " ")


def tasks(subject: Subject, tested: list[Line]) -> list[Section]:
    """One row for each task: on test rows where it was evaluated, else on validation rows."""
    line = tested[-1] if tested else subject.comparison
    rows = line.get("tasks") or []
    if not rows:
        return []
    split = line.get("split", "test") if tested else "validation"
    metric = rows[0].get("metric")
    counts = {key: sum(row.get("verdict") == key for row in rows) for key in ("helped", "hurt")}
    note = (
        f"Each of {len(rows)} tasks beside the same network trained on it alone, on {split} rows."
    )
    if tested:
        note += (
            f" Learning together helped {counts['helped']}, hurt {counts['hurt']}; verdicts hold "
            "for all tasks together (false discovery rate 5 %, Benjamini and Hochberg)."
        )
    header = ("task", metric_name(metric), "alone", "difference", "95 % interval", "verdict")
    table = Table(
        f"Tasks on {split} rows", header, tuple(map(task_row, rows)), folded=len(rows) > SHOWN
    )
    return section("tasks", "Task by task", Text(note), difference_plot(rows, metric), table)


def task_row(row: Line) -> tuple[str, ...]:
    metric = row.get("metric")
    low, high = row.get("delta_ci95") or (None, None)
    return (
        visible(row.get("name")),
        score(metric, row.get("value")),
        score(metric, row.get("single_task")),
        signed(metric, row.get("delta")),
        f"{signed(metric, low)} to {signed(metric, high)}" if low is not None else "",
        verdict(row),
    )


def difference_plot(rows: list[Line], metric: Any) -> Plot | None:
    known = [row for row in rows if row.get("delta") is not None]
    if not known:
        return None
    lower = metric in LOWER_IS_BETTER
    drawn = []
    for row in known:
        low, high = row.get("delta_ci95") or (np.nan, np.nan)
        ends = [np.nan if end is None else float(end) for end in (low, high)]
        drawn.append((float(row["delta"]), ends[0], ends[1], str(row.get("verdict"))))
    better = "left is better" if lower else "right is better"
    svg = plots.differences(
        "differences", drawn, f"{metric}: together minus alone ({better})", lower_is_better=lower
    )
    gains = sum((d < 0) == lower for d, *_ in drawn if d)
    says = (
        f"Differences of {len(drawn)} tasks to the same network alone; {gains} are better together."
    )
    return Plot("Together minus alone, task by task", svg, says)


def affinity(found: Line | None) -> list[Section]:
    """Who helps whom: the matrix that the run measured, and the groups that it suggests."""
    if not found or not found.get("matrix"):
        return []
    names = [str(name) for name in found.get("tasks") or []]
    matrix = np.array([[np.nan if v is None else v for v in row] for row in found["matrix"]], float)
    if matrix.shape != (len(names), len(names)):
        return []
    groups = [[name for name in group if name in names] for group in found.get("groups") or []]
    together = [name for group in groups for name in group]
    order = [names.index(name) for name in dict.fromkeys([*together, *names])]
    measure = visible(found.get("measure") or "a measure that the file does not name")
    rows = f", on {visible(found['rows'])} rows" if found.get("rows") else ""
    note = Text(
        f"A row is a task, a column a task that it may learn from, by {measure}{rows}: 1 is most "
        "alike, below 0 they pull apart."
    )
    shown = [visible(names[i]) for i in order]
    blocks = drawn_affinity(shown, matrix[np.ix_(order, order)])
    return section("affinity", "Which tasks are related", note, *blocks, grouped(groups))


def grouped(groups: list[list[str]]) -> Table | None:
    if not groups:
        return None
    rows = tuple(
        (str(number), ", ".join(map(visible, group))) for number, group in enumerate(groups, 1)
    )
    return Table("Groups that this suggests", ("group", "tasks"), rows, folded=len(rows) > SHOWN)


def drawn_affinity(names: list[str], matrix: np.ndarray) -> list[Block]:
    off = matrix[~np.eye(len(names), dtype=bool)]
    finite = off[np.isfinite(off)]
    largest = float(np.abs(finite).max()) if len(finite) else 1.0
    if len(names) <= NAMED:
        rows = tuple(
            tuple(
                Cell(
                    number(float(v), 2),
                    0.0 if a == b or not np.isfinite(v) else v / (largest or 1.0),
                )
                for b, v in enumerate(row)
            )
            for a, row in enumerate(matrix)
        )
        return [Matrix("Relatedness of the tasks", "task", tuple(names), rows)]
    shown = matrix.copy()
    np.fill_diagonal(shown, 0.0)
    pairs = [
        (float(matrix[a, b]), a, b)
        for a in range(len(names))
        for b in range(len(names))
        if a != b and np.isfinite(matrix[a, b])
    ]
    best = sorted(pairs, key=lambda one: (-one[0], one[1], one[2]))[:8]
    table = Table(
        "The closest tasks",
        ("task", "with", "relatedness"),
        tuple((names[a], names[b], number(value, 3)) for value, a, b in best),
    )
    low, high = (number(float(end), 2) for end in (finite.min(), finite.max()))
    says = f"Relatedness of {len(names)} tasks, from {low} to {high}."
    return [
        Plot("Relatedness of all tasks", plots.heat("affinity", np.nan_to_num(shown)), says),
        table,
    ]
