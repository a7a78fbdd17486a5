"""The plot of a comparison: what each item scored, and the paired differences with their
intervals."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import is_fraction, metric_name, verdict_words, visible
from metacli.engine.storage.paths import STAMP
from metacli.engine.storage.writer import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".png")
COLOURS = {"helped": "tab:blue", "hurt": "tab:red"}
INCHES = 0.32  # of height for a line
Block = Mapping[str, Any]  # an item or a pair, as `compare` has it in its JSON


def draw(result: Block, path: Path) -> None:
    """One row of axes for each thing that was measured: items on the left, pairs on the right."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = measured(result)
    lines = sum(max(len(items), len(pairs)) + 3 for _, items, pairs in groups)
    with mpl.rc_context(
        {"svg.hashsalt": "metacli", "svg.fonttype": "none", "text.parse_math": False}
    ):
        figure = Figure(figsize=(11, INCHES * lines + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subplots(len(groups), 2, squeeze=False)
        names = labels([one["path"] for one in result["items"]])
        letters = {path: letter(at) for at, path in enumerate(names)}
        shown = {path: f"{letters[path]}  {visible(names[path])}" for path in names}
        for (title, items, pairs), (left, right) in zip(groups, rows, strict=True):
            draw_items(left, items, shown, title)
            draw_pairs(right, pairs, letters)
        save(figure, path)


Group = tuple[str, list[Block], list[Block]]
"""What was measured in words, its items and its pairs."""


def measured(result: Block) -> list[Group]:
    """Items and pairs by what they were measured on."""
    found: dict[str, Group] = {}
    for one in result["items"]:
        found.setdefault(title_of(one), (title_of(one), [], []))[1].append(one)
    for one in result["pairs"]:
        found.setdefault(title_of(one), (title_of(one), [], []))[2].append(one)
    return list(found.values())


def title_of(one: Block) -> str:
    """`accuracy, test, 5-way 1-shot, inductive`."""
    task = [f"{span(one[name])}-{name}" for name in ("way", "shot") if one[name]]
    words = (metric_name(one["metric"]), one["split"], " ".join(task), one["mode"])
    return ", ".join(str(word) for word in words if word)


def span(value: int | Sequence[int]) -> str:
    """`5`, or `3-20`."""
    return str(value) if isinstance(value, int) else "-".join(map(str, value))


def labels(paths: Sequence[str]) -> dict[str, str]:
    """Short names that are all different. A run's folder is named by the time: its recipe is what
    people know, and the time only tells several runs of one recipe apart."""
    different = sorted(set(paths))
    recipes = {path: recipe_of(Path(path)) for path in different}
    if len(different) == 1 or (all(recipes.values()) and len(set(recipes.values())) > 1):
        short = {path: recipes[path] or Path(path).name for path in different}
        if len(set(short.values())) == len(different):
            return short
    shared = os.path.commonpath(different)
    rest = {path: os.path.relpath(path, shared) for path in different}
    known = {path: recipe for path, recipe in recipes.items() if recipe}
    return {
        path: f"{known[path]} {one}" if path in known and known[path] not in one else one
        for path, one in rest.items()
    }


def recipe_of(path: Path) -> str | None:
    """The recipe of a run that is named by the time; None for what has a name of its own."""
    folder = path.parent if path.name == "model" else path
    return folder.parent.name if STAMP.fullmatch(folder.name) else None


def letter(at: int) -> str:
    """A, B, ..., Z, then 27, 28, ...: what the differences call the items."""
    return chr(ord("A") + at) if at < 26 else str(at + 1)


def draw_items(axes: Axes, items: Sequence[Block], names: Mapping[str, str], on: str) -> None:
    """Scores with their intervals."""
    means, halves = [one["mean"] for one in items], [one["ci95"] for one in items]
    axes.errorbar(
        *(means, range(len(items))),
        xerr=halves,
        fmt="o",
        markersize=4,
        linewidth=1,
        color="black",
    )
    lines(axes, [names[one["path"]] for one in items])
    metric = str(items[0]["metric"]) if items else ""
    side = "left" if metric in LOWER_IS_BETTER else "right"
    axes.set_xlabel(f"{metric_name(metric)} ({side} is better)", fontsize=8)
    if is_fraction(metric):
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_title(on, fontsize=9, loc="left")


def draw_pairs(axes: Axes, pairs: Sequence[Block], names: Mapping[str, str]) -> None:
    """Paired differences with their intervals and verdicts."""
    for at, one in enumerate(pairs):
        # Too few units have an interval without ends: the point alone.
        low, high = (v if math.isfinite(v) else one["delta"] for v in one["delta_ci95"])
        colour = COLOURS.get(one["verdict"], "grey")
        axes.plot([low, high], [at, at], color=colour, linewidth=1.5)
        axes.plot([one["delta"]], [at], "o", color=colour, markersize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    lines(axes, [judged(one, names) for one in pairs])
    metric = str(pairs[0]["metric"]) if pairs else ""
    if is_fraction(metric):
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+g}")
        axes.set_xlabel("points", fontsize=8)
    axes.set_title("paired difference, 95 % interval", fontsize=9, loc="left")


def judged(one: Block, names: Mapping[str, str]) -> str:
    """`B is better than A`, or that there is no clear difference."""
    a, b, verdict = names[one["a"]], names[one["b"]], one["verdict"]
    if verdict in ("helped", "hurt"):
        return f"{b} is {verdict_words(verdict)} than {a}"
    return f"{b} minus {a}: {verdict_words(verdict)}"


def lines(axes: Axes, words: Sequence[str]) -> None:
    """One line of the axes for each, the first on top."""
    axes.set_yticks(range(len(words)), words, fontsize=7)
    axes.set_ylim(len(words) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """By the file's ending; the same bytes for the same values."""
    buffer = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    if kind == "svg":
        figure.savefig(buffer, format=kind, metadata={"Date": None})
    else:
        figure.savefig(buffer, format=kind, dpi=150)
    write_file(path, buffer.getvalue())
