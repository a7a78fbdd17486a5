"""How a choice among the sources on this machine is shown."""

from __future__ import annotations

from metacli.cli import text
from metacli.cli.block import Block


def chosen(choice: Block) -> str:
    """What was tried, and for how long."""
    if not choice.values:
        return ""
    left_out = f", {len(choice.items('left_out'))} left out" if choice.flag("left_out") else ""
    seconds = text.number(choice.number("seconds"), 2)
    return f"from {len(choice.items('tried'))} tried{left_out}, {seconds} s of processor time"


def tried(choice: Block) -> list[list[str]]:
    """A row for each of them, best first."""
    metric = choice.name("metric") or "accuracy"
    return [
        [
            text.visible(f"{one.text('source')} + {one.text('method')}"),
            text.score(metric, one.number("value")),
            f"{one.number('seconds') or 0:.2f} s",
        ]
        for one in choice.blocks("tried")
    ]
