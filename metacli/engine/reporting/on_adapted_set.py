"""Reports of a model adapted to one set of tasks: which tasks the others help, the fits, and the
coupling."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch

from metacli.data.sets.from_user import asking
from metacli.engine.reporting import set_plots
from metacli.engine.reporting.blocks import Block, Plot, Section, Table, Text, section
from metacli.engine.reporting.on_multi_task import difference_plot
from metacli.engine.reporting.set_measures import GRID, TaskFit, fits_of
from metacli.engine.reporting.subject import Line
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.model import AdaptedSet
from metacli.engine.spelling import metric_name, score, signed, verdict_words, visible

MARGIN = 0.05  # of the range of the labelled rows, to either side


Adapted: TypeAlias = AdaptedSet | AdaptedClassSet


def rows_of(model: Adapted) -> list[Line]:
    """What `adapt` measured for each task; none of a model that was made before it was kept."""
    found = model.scores.get("tasks")
    return [dict(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def headline_of_adapted(model: Adapted) -> str:
    """How many tasks the others help."""
    rows = rows_of(model)
    count = len(model.tasks)
    if not rows:
        return f"{count} tasks learned together; how much that helps was not kept."
    if count == 1:
        return "One task, learned by itself."
    sentence = overall_of(model) or verdicts_of(rows)
    metric = str(rows[0].get("metric"))
    alike = [row for row in rows if str(row.get("metric")) == metric]  # an error is no accuracy
    values = [(row["value"], row["alone"]) for row in alike if row.get("value") is not None]
    if not values:
        return f"{sentence}: there are too few labels to hold any out."
    joint, alone = (sum(part) / len(values) for part in zip(*values, strict=True))
    kind = "classification" if metric == "accuracy" else "regression"
    mixed = f"its {len(alike)} {kind}s" if len(alike) > 1 else f"its one {kind}"
    over = "tasks" if len(alike) == len(rows) else mixed
    return (
        f"{sentence}. {metric_name(metric)} on held-out rows, mean over {over}: "
        f"{score(metric, joint)} together, {score(metric, alone)} each task alone."
    )


def overall_of(model: Adapted) -> str:
    """What all held-out rows together say; nothing where that is no verdict."""
    found = model.scores.get("together")
    said = found.get("verdict") if isinstance(found, dict) else None
    words = {"helped": "helps", "hurt": "hurts"}.get(str(said))
    if words is None:
        return ""
    return f"Learning these {len(model.tasks)} tasks together {words}, over all held-out labels"


def verdicts_of(rows: list[Line]) -> str:
    """How many tasks were helped and hurt."""
    count = len(rows)
    helped, hurt, few = (
        sum(row.get("verdict") == key for row in rows)
        for key in ("helped", "hurt", "too_few_to_say")
    )
    if few == count:
        return (
            f"There are too few labels to say whether learning these {count} tasks together helps"
        )
    if not helped + hurt:
        return f"Learning these {count} tasks together makes no clear difference for any of them"
    words = [f"helped {helped} of them"] if helped else []
    words += [f"hurt {hurt}"] if hurt else []
    rest = "; of the rest that is not clear" if helped + hurt < count else ""
    return f"Learning these {count} tasks together {' and '.join(words)}{rest}"


def of_adapted_set(model: AdaptedSet) -> list[Section]:
    return [*task_by_task(model), *fits(model), *coupling(model)]


def of_adapted_classes(model: AdaptedClassSet) -> list[Section]:
    """Tasks that may be classifications have no curves to show."""
    return [*task_by_task(model), *coupling(model)]


def task_by_task(model: Adapted) -> list[Section]:
    rows = rows_of(model)
    if not rows:
        return []
    metric = str(rows[0].get("metric"))
    note = Text(
        "Every labelled row was held out once, in every task that has it, and answered from the "
        "other rows: of all tasks (together), or of its own task (separate). The difference is "
        "paired over rows."
    )
    header = (
        "task",
        "labels",
        "together",
        "separate",
        "together - separate",
        "95 % interval",
        "together is",
    )
    body = tuple(row_of(row, metric) for row in rows)
    table = Table(f"{metric_name(metric)} on held-out rows", header, body)
    return section("tasks", "Task by task", note, difference_plot(rows, metric), table)


def row_of(row: Line, metric: str) -> tuple[str, ...]:
    low, high = row.get("delta_ci95") or (None, None)
    interval = "" if low is None else f"{signed(metric, low)} to {signed(metric, high)}"
    said = verdict_words(row.get("verdict"))
    return (
        visible(row.get("name")),
        str(row.get("labels")),
        score(metric, row.get("value")),
        score(metric, row.get("alone")),
        signed(metric, row.get("delta")),
        interval,
        said if row.get("joint", True) else f"{said}; answered alone",
    )


def fits(model: AdaptedSet) -> list[Section]:
    """Of one input: every task over the range of its rows, before and after the others are seen."""
    if len(model.inputs) != 1:
        return []
    mask = model.support.mask
    x = model.support.x[..., 0] if mask is None else model.support.x[..., 0][mask]
    low, high = float(x.min()), float(x.max())
    room = MARGIN * ((high - low) or 1.0)
    grid = np.linspace(low - room, high + room, GRID)
    asked = torch.tensor(grid, dtype=torch.float32)[None, None, :, None]
    episodes = asking(model.support, model.roles, asked.expand(1, len(model.tasks), GRID, 1))
    note = Text(
        "Dots are the labels. Orange: answered from the task's own labels; blue: from those of all "
        "tasks. The bands should hold nine of ten new labels."
    )
    found = fits_of(model.source.answer, episodes, list(model.names), grid)
    blocks: list[Block] = [fit(t, one, model.inputs[0]) for t, one in enumerate(found)]
    return section("fits", "Before and after the other tasks are seen", note, *blocks)


def fit(place: int, one: TaskFit, axis: str) -> Plot:
    says = f"{len(one.points[0])} labels."
    return Plot(visible(one.name), set_plots.fit(f"fit-{place}", one, visible(axis)), says)


def coupling(model: Adapted) -> list[Section]:
    """As `adapt` measured it."""
    found = model.provenance.get("coupling")
    if not isinstance(found, dict) or len(model.tasks) < 2:
        return []
    values = np.array(found["matrix"], float)
    note = Text(f"{visible(found.get('what'))[:1].upper()}{visible(found.get('what'))[1:]}.")
    largest = float(np.abs(values).max())
    drawn = set_plots.matrix("Coupling of the tasks", model.names, values, largest)
    return section("coupling", "How the tasks are coupled", note, drawn)
