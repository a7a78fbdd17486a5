"""A folder of tasks on the screen: a row for each task, worst first, and the mean over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from metacli.cli import text
from metacli.cli.block import Block
from metacli.cli.frame import Result
from metacli.engine.scoring.checks import LOWER_IS_BETTER


def show_adapted(result: Result) -> Iterator[str]:
    """A folder of tasks: a row for each, worst first, then the mean over them."""
    read = Block(result)
    metric = read.name("metric")
    counts = [(name, read.text(name)) for name in ("adapted", "kept", "failed") if read.flag(name)]
    mean = text.score(metric, read.number("mean"), read.number("ci95"))
    over = f"{mean} over {read.text('adapted')} tasks; worst {text.visible(read.text('worst'))}"
    sources = ", ".join(map(text.path, read.texts("from")))
    yield from text.fields(
        [
            ("models", text.path(read.name("model")) if read.has("model") else ""),
            ("from", f"{sources}, method {method(read)}"),
            ("tasks", ", ".join(f"{count} {name}" for name, count in counts)),
            (text.visible(metric or ""), over if read.has("mean") else ""),
            ("device", text.visible(read.text("device"))),
        ]
    )
    rows = map(row_of, worst_first(read.blocks("tasks")))
    yield from text.table(["task", "score", "examples", "status"], rows)
    if read.has("model"):
        yield from text.next_line(result, "evaluate", Path(read.text("model")), "LABELLED_TASKS")


_SHOWN = 20


def worst_first(rows: list[Block]) -> list[Block]:
    """What failed, then the lowest scores; as many as a screen holds."""
    failed = [row for row in rows if row.name("status") == "failed"]
    scored = [row for row in rows if row.has("value")]
    lower = any(row.name("metric") in LOWER_IS_BETTER for row in scored)
    scored.sort(key=lambda row: row.number("value") or 0.0, reverse=lower)
    return [*failed, *scored][:_SHOWN]


def row_of(row: Block) -> list[str]:
    error = row.block("error").name("message")
    status = f"failed: {text.visible(error)}" if error else text.visible(row.text("status"))
    score = interval(row) if row.has("value") else ""
    return [text.visible(row.text("name")), score, text.number(row.number("n")), status]


def interval(score: Block, n: float | None = None) -> str:
    """The score with its interval where it has one."""
    metric, value = score.name("metric"), score.number("value")
    low, high = score.number("low"), score.number("high")
    if value is None or low is None or high is None:
        return text.score(metric, value)
    return text.between(metric, value, low, high, n=n)


def method(read: Block) -> str:
    """`fine-tune (lr=0.001, steps=30)`: with what validation picked."""
    shown = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in read.block("options").values.items()
    ]
    name = text.visible(read.text("method"))
    return name + (f" ({text.visible(', '.join(shown))})" if shown else "")
