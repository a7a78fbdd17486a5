"""Plots as inline SVG. Colours are the page's own, so that they are right in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metacli.engine.spelling import is_fraction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn in these colours and written as the page's: matplotlib knows no CSS.
COLOURS = {
    "ink": "#010101",
    "faint": "#010102",
    "one": "#010103",
    "two": "#010104",
    "bad": "#010106",
    "ground": "#010107",
}
FEW = 12  # points that are marked one by one
VERDICT_COLOURS = {"helped": "one", "hurt": "bad"}
SIGNED = "RdBu"  # red below 0, blue above, in every matrix and plot
SIZE = (4.2, 2.7)  # inches: letters of 9 points are readable where a plot is 330 pixels wide
Point = tuple[float, float, float | None]
"""x, y, half-width of the interval of y."""


@contextmanager
def figure(size: tuple[float, float] = SIZE) -> Iterator[tuple[Figure, Axes]]:
    """A figure and its axes in the page's colours."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "metacli",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": COLOURS["faint"],
            "axes.labelcolor": COLOURS["ink"],
            "text.color": COLOURS["ink"],
            "xtick.color": COLOURS["ink"],
            "ytick.color": COLOURS["ink"],
            "axes.grid": True,
            "grid.color": COLOURS["faint"],
            "grid.alpha": 0.35,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "axes.formatter.use_mathtext": False,
            "axes.unicode_minus": True,
            "text.parse_math": False,  # names are anybody's
        }
    ):
        drawn = Figure(figsize=size, layout="constrained")
        yield drawn, drawn.subplots()


def svg_of(drawn: Figure, name: str) -> str:
    """The `<svg>` element alone: no file header, no address, ids that no other plot has."""
    file = io.BytesIO()
    drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(xmlns(:xlink)?|version)="[^"]*"', "", text)
    text = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    return text.strip()


def line(
    axes: Axes, points: Sequence[Point], colour: str, label: str, *, percent: bool = False
) -> None:
    """A line with a band of its 95 % interval where there is one; few points are marked. No share
    is below 0 or above 1."""
    x, y = [p[0] for p in points], [p[1] for p in points]
    marker = "o" if len(points) <= FEW else None
    axes.plot(
        x, y, color=COLOURS[colour], label=label, linewidth=1.6, marker=marker, markersize=3.5
    )
    half = np.array([np.nan if p[2] is None else p[2] for p in points], float)
    if np.isfinite(half).any():
        low, high = np.array(y) - half, np.array(y) + half
        if percent:
            low, high = low.clip(0, 1), high.clip(0, 1)
        axes.fill_between(x, low, high, color=COLOURS[colour], alpha=0.18, linewidth=0)


def curves(
    name: str,
    lines: Sequence[tuple[str, str, Sequence[Point]]],
    x_label: str,
    y_label: str,
    mark: tuple[float, str] | None = None,
    *,
    log_y: bool = False,
    percent: bool = False,
) -> str:
    """Lines (label, colour, points) over one x axis; `mark` is an x to point out."""
    with figure() as (drawn, axes):
        for label, colour, points in lines:
            line(axes, points, colour, label, percent=percent)
        whole_ticks(axes)
        if mark is not None:
            axes.axvline(mark[0], color=COLOURS["faint"], linewidth=1, linestyle="--")
            label = f" {mark[1]}"
            where = axes.get_xaxis_transform()
            axes.text(mark[0], 1.0, label, transform=where, va="bottom", ha="center", fontsize=8)
        if log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(_plain)
            axes.yaxis.set_minor_formatter("")
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if len(lines) > 1:
            axes.legend(fontsize=8)
        return svg_of(drawn, name)


def overlaid(
    name: str,
    lines: Sequence[tuple[str, Sequence[Point]]],
    x_label: str,
    y_label: str,
    *,
    metric: str,
) -> str:
    """The same thing of several runs over one x axis, each in a colour of its own."""
    with figure() as (drawn, axes):
        for at, (label, points) in enumerate(lines):
            x, y = [p[0] for p in points], [p[1] for p in points]
            marker = "o" if len(points) <= FEW else None
            axes.plot(x, y, color=f"C{at}", label=label, linewidth=1.6, marker=marker, markersize=3)
        whole_ticks(axes)
        if is_fraction(metric):
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.legend(fontsize=8)
        return svg_of(drawn, name)


def _plain(value: float, _: float) -> str:
    return f"{value:g}"


def whole_ticks(axes: Axes) -> None:
    """Whole numbers on the x axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def steps(name: str, points: Sequence[Point], x_label: str, y_label: str, *, percent: bool) -> str:
    """A score with its interval at each of a few whole numbers."""
    with figure() as (drawn, axes):
        x, y = [p[0] for p in points], [p[1] for p in points]
        half = np.array([0.0 if p[2] is None or not np.isfinite(p[2]) else p[2] for p in points])
        ends = (half, half)
        if percent:  # no share is below 0 or above 1
            ends = (np.minimum(half, y), np.minimum(half, 1 - np.array(y)))
        axes.errorbar(
            *(x, y, ends), color=COLOURS["one"], marker="o", markersize=4, capsize=3, linewidth=1.4
        )
        whole_ticks(axes)
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return svg_of(drawn, name)


def fit(
    name: str,
    truth: tuple[np.ndarray, np.ndarray],
    support: tuple[np.ndarray, np.ndarray],
    before: np.ndarray,
    between: np.ndarray,
    after: np.ndarray,
    label: str,
) -> str:
    """One function to learn: its examples, and the network's guess before and after each step."""
    with figure() as (drawn, axes):
        x = truth[0]
        axes.plot(*truth, color=COLOURS["ink"], linewidth=1.2, linestyle=":", label="the wave")
        axes.plot(x, before, color=COLOURS["two"], linewidth=1.2, label="before")
        for number, guess in enumerate(between):
            share = 0.15 + 0.35 * number / max(1, len(between))
            axes.plot(x, guess, color=COLOURS["one"], linewidth=0.9, alpha=share)
        axes.plot(x, after, color=COLOURS["one"], linewidth=1.8, label=label)
        axes.plot(*(*support, "o"), color=COLOURS["ink"], markersize=4, label="examples", zorder=5)
        axes.set_xlabel("x")
        axes.set_ylabel("y")
        axes.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return svg_of(drawn, name)


@dataclass(frozen=True)
class Difference:
    """One line of a plot of differences; the ends are NaN where there is no interval."""

    name: str
    delta: float
    low: float
    high: float
    verdict: str


NAMED = 40  # lines or rows whose names can still be read


def differences(
    name: str, rows: Sequence[Difference], x_label: str, *, lower_is_better: bool
) -> str:
    """A difference with its interval for each task, the best on top."""
    ordered = sorted(rows, key=lambda row: row.delta, reverse=not lower_is_better)
    named = len(ordered) <= NAMED
    height = min(9.0, max(1.6, 0.8 + (0.2 if named else 0.1) * len(ordered)))
    with figure((SIZE[0], height)) as (drawn, axes):
        for place, one in enumerate(ordered):
            colour = COLOURS[VERDICT_COLOURS.get(one.verdict, "faint")]
            if np.isfinite([one.low, one.high]).all():
                axes.plot([one.low, one.high], [-place] * 2, color=colour, linewidth=1.4)
            axes.plot([one.delta], [-place], "o", color=colour, markersize=3)
        axes.axvline(0, color=COLOURS["ink"], linewidth=0.8)
        places = range(0, -len(ordered), -1) if named else []
        axes.set_yticks(places, [one.name for one in ordered] if named else [], fontsize=7)
        axes.set_ylabel("" if named else f"{len(ordered)} tasks")
        axes.set_xlabel(x_label)
        return svg_of(drawn, name)


def heat(name: str, matrix: np.ndarray, names: Sequence[str], label: str) -> str:
    """A square of values around 0, as one small image inside the SVG: blue above, red below.

    Args:
        names: of rows and columns.
        label: of the colours.
    """
    largest = float(np.nanmax(np.abs(matrix))) or 1.0
    named = len(names) <= NAMED
    side = SIZE[0] if not named else max(SIZE[0], 2.2 + 0.16 * len(names))
    with figure((side, 0.86 * side)) as (drawn, axes):
        shown = axes.imshow(
            matrix, cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest"
        )
        axes.grid(visible=False)
        if named:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(names)), names, fontsize=7)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(f"{len(names)} tasks")
            axes.set_ylabel(f"{len(names)} tasks")
        bar = drawn.colorbar(shown, ax=axes, shrink=0.8, label=label)
        bar.outline.set_visible(False)
        return svg_of(drawn, name)
