"""`metacli report`: one page that shows everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from metacli.cli import complete, early, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views import many
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run or a model folder, or @last.",
        autocompletion=complete.models,
        show_default=False,
    ),
]


def report(frame: Frame, run: Run) -> None:
    """Write one HTML page about a run or a model, which opens anywhere and needs no network.

    Of a folder of models there is one of each in the folder -o.

    \b
      metacli report @last
      metacli report my_model -o my_model.html
    """

    early.require_models([run])

    def work(reporter: Reporter) -> Result:
        from metacli.engine.report import report as verb

        return verb(run, **frame.shared(reporter))

    frame.answer(
        work,
        lambda result: show(result, run),
        lambda result: result.get("file") or result.get("folder"),
    )


def show(result: Result, run: str) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    if read.has("tasks"):
        yield from many.show_reported(result)
        return
    file = text.path(read.name("file"))
    yield from text.fields([("file", f"{file} ({text.size(read.number('bytes'))})")])
    if not read.flag("dry_run"):
        yield f"next: open {file} in a browser"
