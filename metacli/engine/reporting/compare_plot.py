"""The picture of a comparison: what each item scored, and the paired differences with their
intervals."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metacli.engine.storage.writer import write_file

PICTURES = (".svg", ".png")
COLOURS = {"helped": "tab:green", "hurt": "tab:red"}
INCHES = 0.32  # of height for a line


def draw(result: Mapping[str, Any], path: Path) -> None:
    """One row of axes for each thing that was measured: items on the left, pairs on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = measured(result)
    lines = sum(max(len(items), len(pairs)) + 3 for _, items, pairs in groups)
    figure = Figure(figsize=(10, INCHES * lines + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(groups), 2, squeeze=False)
    names = labels([one["path"] for one in result["items"]])
    letters = {path: letter(at) for at, path in enumerate(names)}
    for (title, items, pairs), (left, right) in zip(groups, rows, strict=True):
        draw_items(left, items, {path: f"{letters[path]}  {names[path]}" for path in names}, title)
        draw_pairs(right, pairs, letters)
    save(figure, path)


def measured(result: Mapping[str, Any]) -> list[tuple[str, list[Any], list[Any]]]:
    """Items and pairs by what they were measured on, with its words."""
    found: dict[tuple[Any, ...], tuple[list[Any], list[Any]]] = {}
    for at, kind in enumerate(("items", "pairs")):
        for one in result[kind]:
            facts = (one["metric"], one["split"], one["way"], one["shot"], one["mode"])
            key = tuple(tuple(fact) if isinstance(fact, list) else fact for fact in facts)
            found.setdefault(key, ([], []))[at].append(one)
    return [(title_of(key), items, pairs) for key, (items, pairs) in found.items()]


def title_of(key: tuple[Any, ...]) -> str:
    metric, split, way, shot, mode = key
    span = lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else value  # noqa: E731
    task = [f"{span(value)}-{name}" for value, name in ((way, "way"), (shot, "shot")) if value]
    return ", ".join(str(word) for word in (metric, split, " ".join(task), mode) if word)


def labels(paths: Sequence[str]) -> dict[str, str]:
    """Paths without the folder that all of them are in."""
    different = sorted(set(paths))
    if len(different) < 2:
        return {path: Path(path).name for path in different}
    shared = os.path.commonpath(different)
    return {path: os.path.relpath(path, shared) for path in different}


def letter(at: int) -> str:
    """A, B, ..., Z, then 27, 28, ...: what the differences call the items."""
    return chr(ord("A") + at) if at < 26 else str(at + 1)


def draw_items(axes: Any, items: Sequence[dict[str, Any]], names: dict[str, str], on: str) -> None:
    at = range(len(items))
    means, halves = [one["mean"] for one in items], [one["ci95"] for one in items]
    axes.errorbar(means, at, xerr=halves, fmt="o", markersize=4, linewidth=1, color="black")
    lines(axes, [names[one["path"]] for one in items])
    axes.set_title(on, fontsize=9, loc="left")


def draw_pairs(axes: Any, pairs: Sequence[dict[str, Any]], names: dict[str, str]) -> None:
    for at, one in enumerate(pairs):
        # Too few units have an interval without ends: the point alone.
        low, high = (v if math.isfinite(v) else one["delta"] for v in one["delta_ci95"])
        colour = COLOURS.get(one["verdict"], "grey")
        axes.plot([low, high], [at, at], color=colour, linewidth=1.5)
        axes.plot([one["delta"]], [at], "o", color=colour, markersize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    lines(axes, [f"{names[one['b']]} minus {names[one['a']]}: {one['verdict']}" for one in pairs])
    axes.set_title("paired difference, 95 % interval", fontsize=9, loc="left")


def lines(axes: Any, words: Sequence[str]) -> None:
    """One line of the axes for each, the first on top."""
    axes.set_yticks(range(len(words)), words, fontsize=7)
    axes.set_ylim(len(words) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save(figure: Any, path: Path) -> None:
    """By the file's ending; the same bytes for the same numbers."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    dated: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 150}
    with mpl.rc_context({"svg.hashsalt": "metacli", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=kind, **dated)
    write_file(path, buffer.getvalue())
