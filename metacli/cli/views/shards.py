"""What a part of divided work shows."""

from __future__ import annotations

from collections.abc import Iterator

from metacli.cli import text
from metacli.cli.views.block import Block


def show_part(read: Block) -> Iterator[str]:
    """Lines for a person."""
    yield from text.fields(
        [
            ("shard", text.visible(read.text("shard"))),
            ("folder", text.path(read.name("path"))),
            ("episodes", read.text("episodes")),
        ]
    )
    yield "next: metacli merge SCORES.jsonl SHARD..., with the folder of every shard"
