"""Pictures of a multi-task run, in `RUN/plots`: learning curves of every task, the difference that
learning together makes with its interval (on test rows, too, once they were read), and which tasks
belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PLOTS = "plots"
NAMED = 40  # tasks whose names can still be read


def draw_plots(
    run: Path,
    comparison: dict[str, Any],
    curves: Sequence[dict[str, Any]],
    related: dict[str, Any] | None,
) -> None:
    tasks = comparison["tasks"]
    draw_curves(run, tasks, curves)
    draw_deltas(run, tasks, "deltas", "on validation")
    if related is not None:
        draw_matrix(run, related)


def draw_curves(
    run: Path, tasks: Sequence[dict[str, Any]], curves: Sequence[dict[str, Any]]
) -> None:
    """One line for each task over the steps; nothing for a scheme that is solved in one step."""
    if len(curves) < 2:
        return
    figure, axes = canvas(7, 4)
    steps = [line["step"] for line in curves]
    values = np.array([line["values"] for line in curves], float)  # [E, T]
    named = len(tasks) <= 12
    for task, own in zip(tasks, values.T, strict=True):
        axes.plot(steps, own, linewidth=1.2 if named else 0.5, label=task["name"])
    axes.plot(steps, np.nanmean(values, 1), color="black", linewidth=2, label="mean")
    axes.set_xlabel("step")
    axes.set_ylabel(f"{tasks[0]['metric']} on validation")
    if named:
        axes.legend(fontsize=7, frameon=False)
    save(figure, run / PLOTS / "curves.svg")


def draw_deltas(run: Path, tasks: Sequence[dict[str, Any]], name: str, where: str) -> Path | None:
    """The difference to the single-task model, with its 95 % interval, the largest on top; where
    the picture is."""
    known = [t for t in tasks if t.get("delta") is not None and np.isfinite(t["delta"])]
    if not known:
        return None
    known.sort(key=lambda task: task["delta"])
    low, high = (np.array([task["delta_ci95"][end] for task in known], float) for end in (0, 1))
    middle = np.array([task["delta"] for task in known])
    spread = np.stack([middle - low, high - middle])
    spread[~np.isfinite(spread)] = 0.0  # too few rows for an interval
    figure, axes = canvas(6, max(2.5, 0.22 * min(len(known), NAMED)))
    axes.errorbar(middle, np.arange(len(known)), xerr=spread, fmt="o", markersize=3, linewidth=1)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{known[0]['metric']}: together minus alone, {where}, 95 % interval")
    ticks = np.arange(len(known)) if len(known) <= NAMED else np.array([])
    axes.set_yticks(ticks, [task["name"] for task in known] if len(ticks) else [], fontsize=7)
    path = run / PLOTS / f"{name}.svg"
    save(figure, path)
    return path


def draw_matrix(run: Path, related: dict[str, Any]) -> None:
    """Relatedness of every pair, tasks of one suggested group beside each other."""
    matrix, tasks = np.array(related["matrix"]), related["tasks"]
    order = [tasks.index(name) for group in related["groups"] for name in group]
    size = min(9.0, 2.5 + 0.28 * len(tasks))
    figure, axes = canvas(size, size)
    shown = matrix[np.ix_(order, order)].clip(-1, 1)
    drawn = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    figure.colorbar(drawn, ax=axes, fraction=0.046)
    names = [tasks[at] for at in order] if len(tasks) <= NAMED else []
    ticks = np.arange(len(names))
    axes.set_xticks(ticks, names, rotation=90, fontsize=7)
    axes.set_yticks(ticks, names, fontsize=7)
    edges = np.cumsum([len(group) for group in related["groups"]])[:-1] - 0.5
    for edge in edges if len(edges) < len(tasks) - 1 else []:
        axes.axhline(edge, color="black", linewidth=0.6)
        axes.axvline(edge, color="black", linewidth=0.6)
    axes.set_title(f"relatedness: {related['measure']}", fontsize=9)
    save(figure, run / PLOTS / "relatedness.svg")


def canvas(width: float, height: float) -> tuple[Any, Any]:
    """A figure without a window, whatever the machine."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def save(figure: Any, path: Path) -> None:
    """As SVG that is the same for the same numbers."""
    import io

    import matplotlib as mpl

    from metacli.engine.storage.writer import write_file

    path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "metacli", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_file(path, buffer.getvalue())
