"""Makes docs/images/meta-multi-task.svg, the picture of the tutorial, from a learner of sets:

    metacli meta-train functions-4t-mtnp -o runs/functions
    python benchmarks/set_picture.py runs/functions

Fits of the four tasks of one validation set, before and after the other tasks are seen, and below
them the learned coupling beside the true one and the error over points. Everything is computed as
`metacli report` computes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from metacli.engine.models.named import set_model_at
from metacli.engine.reporting import plots
from metacli.engine.reporting.set_measures import Curve, coupled_kinds, looks, over_points
from metacli.engine.reporting.set_plots import draw_fit
from metacli.engine.sets.opening import open_source

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "meta-multi-task.svg"
SIZE = (10.5, 5.6)
LIGHT = {
    "ink": "#1b1f24",
    "faint": "#8c959f",
    "one": "#0a5fd6",
    "two": "#a34b00",
    "bad": "#c4232e",
    "ground": "#ffffff",
}


def main() -> None:
    folder = set_model_at(sys.argv[1])
    assert folder is not None, "a run or model of a learner of sets"
    TARGET.write_text(svg(folder), encoding="utf-8")


def svg(folder: Path) -> str:
    """The picture on white ground."""
    model = open_source(folder)
    tasks, kinds = looks(model)[0].tasks, coupled_kinds(model).kinds
    curve, _ = over_points(model)
    with plots.figure(SIZE) as (drawn, first):
        drawn.delaxes(first)
        upper, lower = drawn.subplots(2, 4)
        for axes, one in zip(upper, tasks, strict=True):
            draw_fit(axes, one)
            axes.set_title(f"{one.name}, {len(one.points[0])} labels", fontsize=9)
        coupling = kinds[0].coupling
        heat(lower[0], coupling.learned, coupling.names, "learned coupling")
        heat(lower[1], coupling.true.astype(float), coupling.names, "true coupling")
        errors(lower[2], curve)
        lower[3].axis("off")
        handles, labels = upper[0].get_legend_handles_labels()
        lower[3].legend(handles, labels, loc="center", fontsize=9, title="above: answers")
        text = plots.svg_of(drawn, "sets")
    return on_white(text)


def heat(axes: Axes, matrix: np.ndarray, names: tuple[str, ...], title: str) -> None:
    """One colour scale: blue as deep as a value is part of the largest."""
    shown = matrix / (np.abs(matrix).max() or 1.0)
    np.fill_diagonal(shown, 0.0)
    axes.imshow(0.6 * shown, cmap=plots.SIGNED, vmin=-1, vmax=1)
    axes.grid(visible=False)
    for t, row in enumerate(matrix):
        for s, value in enumerate(row):
            if t != s:
                axes.text(s, t, f"{value:.2f}", ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title(title, fontsize=9)


def errors(axes: Axes, curve: Curve) -> None:
    for label, colour, values in (
        ("each task alone", "two", curve.separate),
        ("all tasks together", "one", curve.joint),
    ):
        points = [(x, one.mean, one.ci95) for x, one in zip(curve.x, values, strict=True)]
        plots.line(axes, points, colour, label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xlabel("points of a set")
    axes.set_title("mean squared error", fontsize=9)
    axes.legend(fontsize=7)


def on_white(text: str) -> str:
    """The page's colours as those of a light page, and what a file of its own needs."""
    for name, colour in LIGHT.items():
        text = text.replace(f"var(--{name})", colour)
    head, rest = text.split(">", 1)
    head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"')
    return f'{head}><rect width="100%" height="100%" fill="#ffffff"/>{rest}\n'


if __name__ == "__main__":
    main()
