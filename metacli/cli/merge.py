"""`metacli merge`: the parts of `--shard` put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from metacli.cli import complete, evaluate, meta_train, multitask
from metacli.cli.frame import Frame, Result
from metacli.cli.views import many
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.errors import UsageProblem

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="OUT SHARD...",
        help="A new folder (for evaluate a score file), then the folder of every part.",
        autocompletion=complete.paths,
        show_default=False,
    ),
]


def merge(frame: Frame, words_: Words) -> None:
    """Put together what --shard 1/N to N/N have written, as if it had never been divided.

    \b
      metacli merge models part-1 part-2
      metacli merge scores.jsonl part-1 part-2 part-3
    """
    out, shards = where_and_what(words_, frame.place)

    def work(report: Reporter) -> Result:
        from metacli.engine.merge import merge as verb

        return verb(out, shards, force=frame.force, dry_run=frame.dry_run, report=report)

    frame.answer(work, show, value)


def where_and_what(given: list[str], out: str | None) -> tuple[str, list[str]]:
    """(OUT, the shards); `-o` is the same as OUT. Raises UsageProblem without shards."""
    if out is None:
        out, given = given[0], given[1:]
    if not given:
        raise UsageProblem("merge needs OUT and the folder of every shard")
    return out, given


def value(result: Result) -> str | None:
    """Where everything is."""
    read = Block(result)
    for key in ("model", "scores"):
        if read.has(key) and not read.has("runs"):
            return read.name(key)
    return read.name("run") if read.has("run") else None


def show(result: Result) -> Iterator[str]:
    """Lines for a person: those of the command that was divided."""
    read = Block(result)
    if read.has("parts"):
        yield f"{read.text('parts')} shards of {read.text('verb')}, complete and alike"
    elif read.has("runs"):
        related = "mean_delta" in read.values  # runs of multitask compare each task
        yield from (multitask if related else meta_train).show(result)
    elif read.has("adapted"):
        yield from many.show_adapted(result)
    else:
        yield from evaluate.show(result, "MODEL")
