"""Plots of sets of tasks: fits before and after the other tasks are seen, and couplings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from metacli.engine.reporting.blocks import Cell, Matrix
from metacli.engine.reporting.plots import COLOURS, figure, svg_of
from metacli.engine.reporting.set_measures import TaskAgainst, TaskFit
from metacli.engine.spelling import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOM = 0.35  # of the range of labels and truth, above and below it


def fit(name: str, one: TaskFit, axis: str = "x") -> str:
    """One task: its labels, and the answers from its own labels and from those of all tasks."""
    with figure() as (drawn, axes):
        draw_fit(axes, one)
        axes.set_xlabel(axis)
        axes.set_ylabel(visible(one.name))
        axes.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return svg_of(drawn, name)


def draw_fit(axes: Axes, one: TaskFit) -> None:
    """Curves with their 90 % bands; the axis is that of what is known, wide bands are cut."""
    for label, colour, (mean, half) in (
        ("from its own labels", "two", one.alone),
        ("from all tasks", "one", one.together),
    ):
        axes.plot(one.x, mean, color=COLOURS[colour], linewidth=1.6, label=label)
        band = (mean - half, mean + half)
        axes.fill_between(one.x, *band, color=COLOURS[colour], alpha=0.18, linewidth=0)
    if one.truth is not None:
        ink = COLOURS["ink"]
        axes.plot(one.x, one.truth, color=ink, linewidth=1.1, linestyle=":", label="the truth")
    axes.plot(*one.points, "o", color=COLOURS["ink"], markersize=4, label="its labels", zorder=5)
    axes.set_ylim(*room_of(one))


def against(name: str, one: TaskAgainst) -> str:
    """One task: what is said of rows over what is true, from its own labels and from all tasks."""
    with figure() as (drawn, axes):
        ends = (float(one.truth.min()), float(one.truth.max()))
        ink = COLOURS["ink"]
        axes.plot(ends, ends, color=ink, linewidth=1.1, linestyle=":", label="what is true")
        for label, colour, (mean, half) in (
            ("from its own labels", "two", one.alone),
            ("from all tasks", "one", one.together),
        ):
            drawn_in = COLOURS[colour]
            axes.vlines(one.truth, mean - half, mean + half, color=drawn_in, alpha=0.25)
            axes.plot(one.truth, mean, "o", color=drawn_in, markersize=4, label=label)
        axes.set_xlabel("label")
        axes.set_ylabel("answer")
        axes.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.45, 1.0))
        return svg_of(drawn, name)


def room_of(one: TaskFit) -> tuple[float, float]:
    """The range of the y axis."""
    known = [one.points[1], one.together[0], *([] if one.truth is None else [one.truth])]
    low, high = min(float(v.min()) for v in known), max(float(v.max()) for v in known)
    room = ROOM * ((high - low) or 1.0)
    return low - room, high + room


def matrix(caption: str, names: Sequence[str], values: np.ndarray, largest: float) -> Matrix:
    """Couplings as numbers on colours that are blue up to the `largest` value, red below 0; nothing
    on the diagonal."""
    largest = largest or 1.0
    rows = tuple(
        tuple(
            Cell("", 0.0) if a == b else Cell(f"{value:.2f}", float(value) / largest)
            for b, value in enumerate(row)
        )
        for a, row in enumerate(values)
    )
    return Matrix(caption, "learns from", tuple(map(visible, names)), rows)
