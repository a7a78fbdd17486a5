"""`metacli serve`: models behind HTTP. With `fetch` and `push` the only command that opens a
socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from metacli.cli import complete, early, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.engine.extras import require_extra

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Models, runs, or sources such as photos.",
        autocompletion=complete.models,
        show_default=False,
    ),
]
Host = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Of this machine; 0.0.0.0 is all of them.")
]
Port = Annotated[int, typer.Option("--port", metavar="N", help="0 takes any that is free.")]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", help="Predictions at a time, one thread each.")
]
Queue = Annotated[
    int, typer.Option("--queue", metavar="N", help="Requests that may wait; more get status 503.")
]
Keep = Annotated[
    int, typer.Option("--models", metavar="N", help="Adapted models that are kept at most.")
]


def serve(
    frame: Frame,
    models: Models,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = 2,
    queue: Queue = 64,
    keep: Keep = 10_000,
) -> None:
    """Answer over HTTP: predict, and adapt to a few labelled examples. A page is at /.

    Only this machine reaches it unless --host says otherwise; METACLI_TOKEN sets a token.

    \b
      metacli serve photos
      metacli serve my_model @last --port 9000 -o served
    """
    early.require_models(models)
    require_extra("serve", "serve")

    def work(report: Reporter) -> Result:
        from metacli.engine.serve import serve as verb
        from metacli.engine.serving.limits import Limits

        return verb(
            models,
            host=host,
            port=port,
            limits=Limits(workers=workers, queue=queue, models=keep),
            out=frame.place,
            device=frame.device,
            dry_run=frame.dry_run,
            report=report,
        )

    frame.answer(work, show, lambda result: result.get("address"))


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    counts = read.block("requests").values
    answered = ", ".join(f"{count} with status {status}" for status, count in counts.items())
    yield from text.fields(
        [
            ("address", text.visible(read.text("address"))),
            ("models", ", ".join(map(text.visible, read.texts("models")))),
            ("adapted", f"{read.number('adapted'):g} in {text.path(read.name('folder'))}"),
            ("requests", answered or "none"),
        ]
    )
