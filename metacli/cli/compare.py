"""`metacli compare`: which one is better, on the same episodes?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from metacli.cli import complete, text
from metacli.cli.frame import Frame, Result
from metacli.engine.events import Reporter
from metacli.engine.spelling import signed

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="A B...",
        help="Runs, models or score files; runs that differ in the seed alone are one item.",
        autocompletion=complete.models,
        show_default=False,
    ),
]


def compare(frame: Frame, paths: Paths) -> None:
    """Pair the scores that evaluate wrote, and say which of the models or recipes is better.

    \b
      metacli compare runs/glyphs-5w1s-protonet/20260101T000000Z @last
      metacli compare runs/glyphs-anyway-maml/* runs/glyphs-anyway-protonet/* -o table.txt
      metacli compare runs/glyphs-anyway-maml/* runs/glyphs-anyway-protonet/* -o plot.svg
    """

    def work(report: Reporter) -> Result:
        from metacli.engine.compare import compare as verb

        return verb(paths, report=report)

    frame.answer_into_file(work, show, verdicts, draw)


def draw(result: Result, target: Path) -> bool:
    """A plot where the file is named like an image."""
    from metacli.engine.reporting import compare_plot

    if target.suffix.lower() not in compare_plot.ENDINGS:
        return False
    compare_plot.draw(result, target)
    return True


def verdicts(result: Result) -> list[str]:
    return [text.visible(one.get("verdict")) for one in result.get("pairs") or []]


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    items, pairs = result.get("items") or [], result.get("pairs") or []
    header = ["", "score", "of", "seeds", "on"]
    yield from text.table(header, [[_name(one["path"]), *_cells(one)] for one in items])
    yield ""
    header = ["a", "b", "b - a", "95 % interval", "on", "b is"]
    yield from text.table(header, [_pair(one) for one in pairs])
    yield ""
    yield from _remarks(pairs)
    best = _best(items)
    if best:
        yield from text.next_line(result, "adapt", best, "YOUR_FOLDER")


def _name(path: Any) -> str:
    return text.path(path)


def _cells(one: dict[str, Any]) -> list[Any]:
    seeds = [seed for seed in one.get("seeds") or [] if seed is not None]
    score = text.score(one.get("metric"), one.get("mean"), one.get("ci95"))
    count = f"{one['n']} {one['unit']}s" if one.get("unit") else text.number(one.get("n"))
    return [score, count, ", ".join(map(str, seeds)), _on(one)]


def _on(one: dict[str, Any]) -> str:
    """`test, 5-way 1-shot, inductive`."""
    task = [f"{_span(one[key])}-{key}" for key in ("way", "shot") if one.get(key) is not None]
    words = [one.get("split"), " ".join(task), one.get("mode")]
    return ", ".join(text.visible(word) for word in words if word)


def _span(value: Any) -> str:
    ends = value if isinstance(value, list | tuple) else [value]
    return "-".join(text.number(end) for end in ends)


def _pair(one: dict[str, Any]) -> list[Any]:
    metric = one.get("metric")
    low, high = one.get("delta_ci95") or [None, None]
    interval = f"{signed(metric, low)} to {signed(metric, high)}"
    return [
        *(_name(one.get("a")), _name(one.get("b"))),
        *(signed(metric, one.get("delta")), interval, _on(one)),
        text.verdict(one.get("verdict"), of="models"),
    ]


def _remarks(pairs: list[dict[str, Any]]) -> Iterator[str]:
    if any(one.get("about") == "models" for one in pairs):
        yield "one training run each says which model is better, not which recipe: for that train"
        yield "each recipe under several seeds (meta-train --seeds 5) and compare all runs"
    if len(pairs) > 1:
        yield f"verdicts allow for {len(pairs)} comparisons (Benjamini-Hochberg at 5 %)"


def _best(items: list[dict[str, Any]]) -> Path | None:
    """The model with the highest score; none where lower is better."""
    found = [one for one in items if text.is_fraction(one.get("metric")) and one.get("models")]
    if not found:
        return None
    return Path(str(max(found, key=lambda one: one.get("mean") or 0.0)["models"][0]))
