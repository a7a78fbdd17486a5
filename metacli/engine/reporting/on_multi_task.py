"""Sections about many tasks learned together: each compared with itself learned
separately, and who helps whom."""

from __future__ import annotations

import numpy as np

from metacli.engine.reporting import plots
from metacli.engine.reporting.blocks import Block, Cell, Matrix, Plot, Section, Table, Text, section
from metacli.engine.reporting.measured import scored
from metacli.engine.reporting.subject import Line, Subject
from metacli.engine.reporting.words import short
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import metric_name, number, score, signed, verdict_words, visible

SHOWN = 12  # tasks in an open table; more are folded
NAMED = 12  # tasks in a matrix of values; more are a plot
LONGEST = 24  # characters of a task name in a plot


def of_tasks(subject: Subject) -> list[Section]:
    tested = [line for line in subject.evaluations if line.get("tasks")]
    return [*results(tested), *tasks(subject, tested), *affinity(subject.relatedness)]


def results(tested: list[Line]) -> list[Section]:
    """The score over all tasks, compared with the baselines."""
    blocks: list[Block] = []
    for line in tested:
        metric = line.get("metric")
        rows = [("learned together", scored(metric, line), "", "")]
        for name, value in (line.get("baselines") or {}).items():
            rows.append(
                (
                    visible(name),
                    scored(metric, value),
                    interval(metric, value),
                    judged(metric, value),
                )
            )
        caption = (
            f"{metric_name(metric)} on {whose_rows(line)} of all tasks; "
            "± is half of a 95 % interval over rows"
        )
        header = ("model", metric_name(metric), "together minus it, 95 %", "learning together is")
        blocks.append(Table(caption, header, tuple(rows)))
    return section("test", "Results", *blocks)


def whose_rows(line: Line) -> str:
    """Those of a split, or a user's."""
    if line.get("split") is None:
        return f"the rows of {visible(line.get('data'))}"
    return f"the {line['split']} rows"


def interval(metric: str | None, value: Line) -> str:
    """`-2.1 points to +3.0 points`; nothing where there is none."""
    low, high = value.get("delta_ci95") or (None, None)
    return "" if low is None else f"{signed(metric, low)} to {signed(metric, high)}"


def judged(metric: str | None, value: Line) -> str:
    return verdict_words(value.get("verdict"), metric, value.get("detectable"))


def tasks(subject: Subject, tested: list[Line]) -> list[Section]:
    """One row for each task: on test rows where it was evaluated, else on validation rows."""
    line = tested[-1] if tested else subject.comparison
    rows = line.get("tasks") or []
    if not rows:
        return []
    where = whose_rows(line) if tested else "the validation rows"
    metric = rows[0].get("metric")
    note = (
        f"Each of {len(rows)} tasks, compared with the same network trained on it alone, on "
        f"{where}."
    )
    if tested:
        counts = {key: sum(row.get("verdict") == key for row in rows) for key in ("helped", "hurt")}
        note += (
            f" Learning together helped {counts['helped']} and hurt {counts['hurt']}; of the rest "
            "that is not clear. Verdicts hold for all tasks together (false discovery rate 5 %, "
            "Benjamini and Hochberg)."
        )
    header = (
        *("task", metric_name(metric), "separate", "difference", "95 % interval"),
        "learning together is",
    )
    body = tuple(task_row(row) for row in rows)
    table = Table(f"Tasks on {where}", header, body, folded=len(rows) > SHOWN)
    return section("tasks", "Task by task", Text(note), difference_plot(rows, metric), table)


def task_row(row: Line) -> tuple[str, ...]:
    metric = row.get("metric")
    return (
        visible(row.get("name")),
        score(metric, row.get("value")),
        score(metric, row.get("single_task")),
        signed(metric, row.get("delta")),
        interval(metric, row),
        judged(metric, row),
    )


def difference_plot(rows: list[Line], metric: str | None) -> Plot | None:
    known = [row for row in rows if row.get("delta") is not None]
    if not known:
        return None
    lower = metric in LOWER_IS_BETTER
    drawn = []
    for row in known:
        low, high = row.get("delta_ci95") or (None, None)
        from_, to = (np.nan if end is None else float(end) for end in (low, high))
        name, said = short(str(row.get("name")), LONGEST), str(row.get("verdict"))
        drawn.append(plots.Difference(name, float(row["delta"]), from_, to, said))
    better = "left is better" if lower else "right is better"
    axis = f"{metric_name(metric)}: together minus separate ({better})"
    svg = plots.differences("differences", drawn, axis, lower_is_better=lower)
    gains = sum((one.delta < 0) == lower for one in drawn if one.delta)
    says = (
        f"{gains} of {len(drawn)} tasks are better together than alone; lines are 95 % intervals, "
        "blue where learning together helped, red where it hurt, grey where that is not clear."
    )
    return Plot("Together minus separate, task by task", svg, says)


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
        "alike (blue), below 0 they pull apart (red)."
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
    """The values where the tasks are few, else a plot and the closest pairs."""
    off = matrix[~np.eye(len(names), dtype=bool)]
    finite = off[np.isfinite(off)]
    largest = float(np.abs(finite).max()) if len(finite) else 1.0
    if len(names) <= NAMED:
        return [relatedness_matrix(names, matrix, largest or 1.0)]
    shown = matrix.copy()
    np.fill_diagonal(shown, 0.0)
    low, high = (number(float(end), 2) for end in (finite.min(), finite.max()))
    short_names = [short(name, LONGEST) for name in names]
    svg = plots.heat("affinity", np.nan_to_num(shown), short_names, "relatedness")
    says = f"Relatedness of {len(names)} tasks, from {low} to {high}."
    return [Plot("Relatedness of all tasks", svg, says), closest(names, matrix)]


def relatedness_matrix(names: list[str], matrix: np.ndarray, largest: float) -> Matrix:
    rows = tuple(
        tuple(
            Cell(number(float(v), 2), 0.0 if a == b or not np.isfinite(v) else v / largest)
            for b, v in enumerate(row)
        )
        for a, row in enumerate(matrix)
    )
    return Matrix("Relatedness of the tasks", "task", tuple(names), rows)


def closest(names: list[str], matrix: np.ndarray) -> Table:
    """The closest pairs; each once where the measure has no direction."""
    symmetric = np.allclose(matrix, matrix.T, equal_nan=True)
    pairs = [
        (float(matrix[a, b]), a, b)
        for a in range(len(names))
        for b in range(a + 1 if symmetric else 0, len(names))
        if a != b and np.isfinite(matrix[a, b])
    ]
    best = sorted(pairs, key=lambda one: (-one[0], one[1], one[2]))[:8]
    header = ("task", "with" if symmetric else "may learn from", "relatedness")
    rows = tuple((names[a], names[b], number(value, 3)) for value, a, b in best)
    return Table("The closest tasks", header, rows)
