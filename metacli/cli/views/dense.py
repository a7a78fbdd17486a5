"""What `evaluate` shows of a model of dense tasks."""

from __future__ import annotations

from collections.abc import Iterator

from metacli.cli import text
from metacli.cli.views.block import Block

SHARES = ("miou", "pixel_accuracy", "within_11", "within_22", "within_30")


def show(read: Block) -> Iterator[str]:
    """The measures of the field, beside those of a network for each task."""
    alone = read.block("single_task")
    rows = [
        [
            text.visible(task),
            text.visible(name),
            shown(name, measures.number(name)),
            shown(name, alone.block(task).number(name)),
        ]
        for task, measures in read.named("measures")
        for name in measures.values
    ]
    yield from (f"  {line}" for line in text.table(["task", "measure", "together", "alone"], rows))
    change = read.number("delta_p")
    if change is not None:
        yield ""
        yield f"delta p   {100 * change:+.1f} % over all measures (above 0: better together)"


def shown(name: str, value: float | None) -> str:
    """A share in percent, degrees, or a depth."""
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if name in SHARES else f"{value:.3f}"
