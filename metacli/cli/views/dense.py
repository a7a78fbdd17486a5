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
    yield from (
        f"  {line}" for line in text.table(["task", "measure", "together", "separate"], rows)
    )
    change = read.number("delta_p")
    if change is not None:
        yield ""
        ends = interval(read.numbers("delta_p_ci95"))
        yield f"delta p   {100 * change:+.1f} %{ends} over all measures (above 0: better together)"
        for task, one in read.named("task_delta_p"):
            delta = one.number("delta")
            if delta is not None:
                ends = interval(one.numbers("ci95"))
                yield f"  {text.visible(task)}: {100 * delta:+.1f} %{ends}"


def interval(ends: list[float | None]) -> str:
    """` [+0.1, +2.3]`, in percent; nothing where there is none."""
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return ""
    return f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]"


def shown(name: str, value: float | None) -> str:
    """A share in percent, degrees, or a depth."""
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if name in SHARES else f"{value:.3f}"
