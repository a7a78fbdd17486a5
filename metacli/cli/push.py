"""`metacli push`: a model for others, on a hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from metacli.cli import early, options, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter

Name = Annotated[str, typer.Argument(metavar="ORG/NAME", help="On the hub; @BRANCH may follow.")]
Private = Annotated[bool, typer.Option("--private", help="Where the repository is made now.")]


def push(frame: Frame, model: options.Model, name: Name, private: Private = False) -> None:
    """Send a model to a hub; `metacli fetch hf:ORG/NAME` brings it to another machine.

    HF_TOKEN says who you are, HF_ENDPOINT names another hub than huggingface.co.

    \b
      metacli push my_model my-team/digits -n
      metacli push @model my-team/digits --private
    """
    early.require_models([model])

    def work(report: Reporter) -> Result:
        from metacli.engine.push import push as verb

        return verb(model, name, private=private, dry_run=frame.dry_run, report=report)

    frame.answer(work, show, lambda result: result.get("url"))


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    files = ", ".join(map(text.visible, read.texts("files")))
    yield from text.fields(
        [
            ("model", text.path(read.name("model"))),
            ("page", text.visible(read.text("url"))),
            ("revision", text.visible(read.text("revision"))),
            ("files", f"{files} ({text.size(read.number('bytes'))})"),
        ]
    )
    if not read.flag("dry_run"):
        yield f"next: metacli fetch hf:{text.visible(read.text('name'))}    on another machine"
