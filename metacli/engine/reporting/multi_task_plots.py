"""Plots of a multi-task run, in `RUN/plots`: learning curves of every task, the difference that
learning together makes with its interval (on test rows, too, once they were read), and which tasks
belong together."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metacli.engine.reporting.plots import NAMED, SIGNED
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import metric_name, visible
from metacli.engine.storage.writer import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOTS = "plots"
LEGEND = 30  # tasks that fit into a legend next to the curves
Row = Mapping[str, Any]  # of `tasks.json`


def draw_plots(
    run: Path, comparison: Row, curves: Sequence[Row], related: Mapping[str, Any] | None
) -> None:
    """Everything that a run can draw of itself."""
    tasks = comparison["tasks"]
    draw_curves(run, tasks, curves)
    draw_deltas(run, tasks, "deltas", "on validation rows")
    if related is not None:
        draw_matrix(run, related)


def draw_curves(run: Path, tasks: Sequence[Row], curves: Sequence[Row]) -> None:
    """One line for each task over the steps; nothing for a scheme that is solved in one step."""
    if len(curves) < 2:
        return
    steps = [line["step"] for line in curves]
    values = np.array([line["values"] for line in curves], float)  # [E, T]
    named = len(tasks) <= LEGEND
    with figure(8, max(4.0, 0.16 * len(tasks) * named)) as (drawn, axes):
        for number, (task, own) in enumerate(zip(tasks, values.T, strict=True)):
            label = visible(task["name"]) if named else "a task" if number == 0 else None
            width, colour, alpha = (1.2, None, 1.0) if named else (0.6, "tab:blue", 0.3)
            axes.plot(steps, own, linewidth=width, color=colour, alpha=alpha, label=label)
        mean = np.nanmean(values, 1)
        axes.plot(steps, mean, color="black", linewidth=2, label=f"mean of {len(tasks)} tasks")
        metric = tasks[0]["metric"]
        axes.set_xlabel("outer step")
        axes.set_ylabel(f"{metric_name(metric)} on validation rows ({better(metric, 'up')})")
        axes.set_title("Learning curves, task by task", fontsize=10, loc="left")
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        save(drawn, run / PLOTS / "curves.svg")


def better(metric: str, larger: str) -> str:
    """`down is better` for an error, `up is better` for a score."""
    smaller = {"up": "down", "right": "left"}[larger]
    return f"{smaller if metric in LOWER_IS_BETTER else larger} is better"


def draw_deltas(run: Path, tasks: Sequence[Row], name: str, where: str) -> Path | None:
    """The difference to the single-task model, with its 95 % interval, the largest on top.

    Returns:
        The file; None where nothing is known.
    """
    known = [t for t in tasks if t.get("delta") is not None and np.isfinite(t["delta"])]
    if not known:
        return None
    known.sort(key=lambda task: task["delta"])
    low, high = (np.array([task["delta_ci95"][end] for task in known], float) for end in (0, 1))
    middle = np.array([task["delta"] for task in known])
    spread = np.stack([middle - low, high - middle])
    spread[~np.isfinite(spread)] = 0.0  # too few rows for an interval
    places = np.arange(len(known))
    metric = known[0]["metric"]
    path = run / PLOTS / f"{name}.svg"
    with figure(6, max(2.5, 0.22 * min(len(known), NAMED))) as (drawn, axes):
        axes.errorbar(middle, places, xerr=spread, fmt="o", markersize=3, linewidth=1)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel(
            f"{metric_name(metric)}: together minus separate ({better(metric, 'right')})"
        )
        axes.set_title(f"Learning together {where}, 95 % intervals", fontsize=9, loc="left")
        named = len(known) <= NAMED
        ticks = places if named else np.array([])
        names = [visible(task["name"]) for task in known] if named else []
        axes.set_yticks(ticks, names, fontsize=7)
        save(drawn, path)
    return path


def draw_matrix(run: Path, related: Mapping[str, Any]) -> None:
    """Relatedness of every pair, tasks of one suggested group next to each other."""
    matrix, tasks = np.array(related["matrix"]), related["tasks"]
    order = [tasks.index(name) for group in related["groups"] for name in group]
    size = min(9.0, 2.5 + 0.28 * len(tasks))
    with figure(size, size) as (drawn, axes):
        shown = matrix[np.ix_(order, order)].clip(-1, 1)
        made = axes.imshow(shown, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest")
        drawn.colorbar(made, ax=axes, fraction=0.046, label="red: pull apart, blue: related")
        names = [visible(tasks[at]) for at in order] if len(tasks) <= NAMED else []
        ticks = np.arange(len(names))
        axes.set_xticks(ticks, names, rotation=90, fontsize=7)
        axes.set_yticks(ticks, names, fontsize=7)
        axes.set_ylabel("task")
        axes.set_xlabel("may learn from")
        edges = np.cumsum([len(group) for group in related["groups"]])[:-1] - 0.5
        for edge in edges if len(edges) < len(tasks) - 1 else []:
            axes.axhline(edge, color="black", linewidth=0.6)
            axes.axvline(edge, color="black", linewidth=0.6)
        axes.set_title(f"Relatedness of the tasks, by {related['measure']}", fontsize=9)
        save(drawn, run / PLOTS / "relatedness.svg")


@contextmanager
def figure(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure without a window, whatever the machine; the same bytes for the same values."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {"svg.hashsalt": "metacli", "svg.fonttype": "none", "text.parse_math": False}
    ):
        drawn = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn, drawn.subplots()


def save(drawn: Figure, path: Path) -> None:
    """As SVG."""
    path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None})
    write_file(path, buffer.getvalue())
