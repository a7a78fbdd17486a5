"""A comparison as one page: the verdict in words, scores and differences, and the learning curves
of the runs over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metacli.engine.reporting import plots
from metacli.engine.reporting.blocks import Block, Page, Plot, Section, Table, Text, section
from metacli.engine.reporting.compare_plot import judged, labels, letter, measured
from metacli.engine.reporting.page import html_of
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import is_fraction, metric_name, score, signed, visible
from metacli.engine.storage.paths import run_of
from metacli.engine.storage.writer import write_file
from metacli.engine.training import journal

ENDINGS = (".html", ".htm")
Values = Mapping[str, Any]  # an item or a pair, as `compare` has it in its JSON
MOST_CURVES = 10  # that can be told apart


def write(result: Values, path: Path) -> None:
    """The page of what `compare` returned."""
    write_file(path, html_of(page_of(result)).encode())


def page_of(result: Values) -> Page:
    names = labels([one["path"] for one in result["items"]])
    called = {path: f"{letter(at)} ({visible(names[path])})" for at, path in enumerate(names)}
    groups = measured(result)
    sections = [
        one
        for at, (title, items, pairs) in enumerate(groups)
        for one in of_group(at, title, items, pairs, called)
    ]
    curves = learning(result["items"], called)
    return Page("Comparison", headline(result["pairs"], called), tuple(sections + curves))


def headline(pairs: Sequence[Values], called: Mapping[str, str]) -> str:
    """Who is better, for a reader who reads nothing else."""
    clear = [one for one in pairs if one["verdict"] in ("helped", "hurt")]
    if not clear:
        sizes = [one["detectable"] for one in pairs if one["detectable"] is not None]
        metric = pairs[0]["metric"]
        below = f" (smaller than {score(metric, max(sizes))} could be missed)" if sizes else ""
        return f"No clear difference{below}."
    about = "" if any(one["about"] == "models" for one in clear) else " as recipes"
    return f"{'; '.join(judged(one, called) for one in clear)}{about}."


def of_group(
    at: int, title: str, items: Sequence[Values], pairs: Sequence[Values], called: Mapping[str, str]
) -> list[Section]:
    """What was measured on the same units: scores, then differences."""
    metric = str(items[0]["metric"])
    lower = metric in LOWER_IS_BETTER
    side = "left is better" if lower else "right is better"
    letters = {path: name.partition(" ")[0] for path, name in called.items()}
    scale, unit = (100, "points") if is_fraction(metric) else (1, metric_name(metric))
    rows = [
        plots.Difference(
            judged(one, letters),
            scale * one["delta"],
            scale * one["delta_ci95"][0],
            scale * one["delta_ci95"][1],
            one["verdict"],
        )
        for one in pairs
    ]
    drawn = plots.differences(f"pairs-{at}", rows, unit, lower_is_better=lower)
    scores = Table(
        f"Scores ({'less' if lower else 'more'} is better)",
        ("item", metric_name(metric), "± over"),
        tuple(
            (called[one["path"]], score(metric, one["mean"], one["ci95"]), over(one))
            for one in sorted(items, key=lambda item: called[item["path"]])
        ),
    )
    differences = Table(
        "Paired differences",
        ("pair", "difference", "95 % interval"),
        tuple(
            (
                judged(one, called),
                signed(metric, one["delta"]),
                " to ".join(signed(metric, end) for end in one["delta_ci95"]),
            )
            for one in pairs
        ),
    )
    says = "; ".join(row[0] for row in differences.rows)
    plot = Plot(f"Paired differences ({side})", drawn, says)
    note = remark(pairs)
    blocks: list[Block] = [scores, plot, differences, *([Text(note)] if note else [])]
    return section(f"measured-{at}", title, *blocks)


def over(one: Values) -> str:
    """`600 episodes`: what the interval of a score is over."""
    return f"{one['n']} {one['unit']}s" if one["unit"] else str(one["n"])


def remark(pairs: Sequence[Values]) -> str:
    if any(one["about"] == "models" for one in pairs):
        return (
            "Of fewer than three training runs each: this is about these models. For a verdict on "
            "recipes train each under several seeds (meta-train --seeds 5)."
        )
    return ""


def learning(items: Sequence[Values], called: Mapping[str, str]) -> list[Section]:
    """Validation of every run whose journal is there, over one axis."""
    lines: dict[str, list[tuple[str, list[plots.Point]]]] = {}
    for one in {item["path"]: item for item in items}.values():
        for at, model in enumerate(one["models"]):
            run = run_of(Path(model))
            history = () if run is None else tuple(journal.history(run))
            name = called[one["path"]] if len(one["models"]) == 1 else f"{called[one['path']]} {at}"
            for metric, points in validations(history).items():
                lines.setdefault(metric, []).append((name, points))
    blocks = [curves_of(metric, found[:MOST_CURVES]) for metric, found in lines.items()]
    return section("learning", "Learning curves", *blocks)


def validations(history: Sequence[Values]) -> dict[str, list[plots.Point]]:
    """Of every validated metric: (step, mean, half-width)."""
    found: dict[str, list[plots.Point]] = {}
    for line in history:
        for metric, one in (line.get("val") or {}).items():
            if one.get("mean") is not None:
                found.setdefault(metric, []).append((line["step"], one["mean"], one.get("ci95")))
    return {metric: points for metric, points in found.items() if len(points) > 1}


def curves_of(metric: str, lines: Sequence[tuple[str, list[plots.Point]]]) -> Plot:
    words = f"Validation {metric_name(metric)}"
    svg = plots.overlaid(f"learning-{metric}", lines, "outer step", words, metric=metric)
    ends = "; ".join(f"{name} ends at {score(metric, points[-1][1])}" for name, points in lines)
    return Plot(words, svg, f"{words} over training: {ends}.")
