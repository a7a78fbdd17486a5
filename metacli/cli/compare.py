"""`metacli compare`: which one is better, on the same episodes?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
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
      metacli compare runs/glyphs-anyway-maml/* runs/glyphs-anyway-protonet/* -o page.html
    """

    def work(report: Reporter) -> Result:
        from metacli.engine.compare import compare as verb

        return verb(paths, report=report)

    frame.answer_into_file(work, show, verdicts, draw)


def draw(result: Result, target: Path) -> bool:
    """A plot where the file is named like an image, a page where it is named like one."""
    from metacli.engine.reporting import compare_page, compare_plot

    if target.suffix.lower() in compare_page.ENDINGS:
        compare_page.write(result, target)
        return True

    if target.suffix.lower() not in compare_plot.ENDINGS:
        return False
    compare_plot.draw(result, target)
    return True


def verdicts(result: Result) -> list[str]:
    return [text.visible(one.text("verdict")) for one in Block(result).blocks("pairs")]


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    items, pairs = Block(result).blocks("items"), Block(result).blocks("pairs")
    header = ["", "metric", "score", "± over", "seeds", "on"]
    yield from text.table(header, map(_item, items))
    yield ""
    header = ["a", "b", "b - a", "95 % interval", "over", "on", "b is"]
    yield from text.table(header, map(_pair, pairs))
    yield ""
    yield from _remarks(pairs)
    best = _best(items)
    if best:
        yield from text.next_line(result, "adapt", best, "YOUR_FOLDER")


def _item(one: Block) -> list[str]:
    seeds = [text.inline(seed) for seed in one.items("seeds") if seed is not None]
    score = text.score(one.name("metric"), one.number("mean"), one.number("ci95"))
    several = f" and {len(seeds)} seeds" if len(seeds) > 1 else ""
    named = text.visible(one.name("metric") or "")
    over = _over(one) + several
    return [text.path(one.name("path")), named, score, over, ", ".join(seeds), _on(one)]


def _over(one: Block) -> str:
    """`600 episodes`, `12 tasks`: what an interval is over."""
    unit = f" {text.visible(one.text('unit'))}s" if one.flag("unit") else ""
    return f"{text.number(one.number('n'))}{unit}"


def _on(one: Block) -> str:
    """`test, 5-way 1-shot, inductive`."""
    task = [f"{text.span(one.value(key))}-{key}" for key in ("way", "shot") if one.has(key)]
    words = [one.text("split"), " ".join(task), one.text("mode")]
    return ", ".join(text.visible(word) for word in words if word)


def _pair(one: Block) -> list[str]:
    metric = one.name("metric")
    low, high = one.numbers("delta_ci95") or [None, None]
    interval = f"{signed(metric, low)} to {signed(metric, high)}"
    return [
        *(text.path(one.name("a")), text.path(one.name("b"))),
        *(signed(metric, one.number("delta")), interval, _over(one), _on(one)),
        text.verdict(one.name("verdict"), of="models"),
    ]


def _remarks(pairs: list[Block]) -> Iterator[str]:
    if any(one.name("about") == "models" for one in pairs):
        yield "one training run each says which model is better, not which recipe: for that train"
        yield "each recipe under several seeds (meta-train --seeds 5) and compare all runs"
    if len(pairs) > 1:
        yield f"verdicts allow for {len(pairs)} comparisons (Benjamini-Hochberg at 5 %)"


def _best(items: list[Block]) -> Path | None:
    """The model with the highest score; none where lower is better."""
    found = [one for one in items if text.is_fraction(one.name("metric")) and one.flag("models")]
    if not found:
        return None
    return Path(max(found, key=lambda one: one.number("mean") or 0.0).texts("models")[0])
