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
    yield merge_next("SCORES.jsonl")


def merge_next(out: str) -> str:
    """How the parts are put together into `out`."""
    return f"next: metacli merge {out} SHARD..., with the folder of every shard"
