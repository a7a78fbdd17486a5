"""`metacli export`: a file that runs without metacli."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import typer

from metacli.cli import early, options, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views import many
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.engine.results.base import Json

Format = Annotated[
    Literal["pt2", "onnx"] | None,
    typer.Option("--format", help="Of the file; as -o ends, else pt2.", show_default=False),
]
WithSupport = Annotated[
    bool, typer.Option("--with-support", help="Adaptation inside: support and query are inputs.")
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="D",
        min=0.0,
        help="Largest difference to PyTorch; 1e-5, more for deep networks.",
        show_default=False,
    ),
]


def export(
    frame: Frame,
    model: options.Model,
    format_: Format = None,
    with_support: WithSupport = False,
    tolerance: Tolerance = None,
) -> None:
    """Write a model as one file, and check it against PyTorch on real inputs.

    Beside the file stand a README.md and an example.py that run it without metacli. Of a folder
    of models each becomes a file of its name in the folder -o.

    \b
      metacli export my_model -o my_model.onnx
      metacli export @last --with-support --format onnx -o learner.onnx
    """

    early.require_models([model])

    def work(report: Reporter) -> Result:
        from metacli.engine.export import export as verb

        return verb(
            model,
            format=format_,
            with_support=with_support,
            tolerance=tolerance,
            **frame.shared(report),
        )

    frame.answer(work, show, lambda result: result.get("file") or result.get("folder"))


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    if read.has("tasks"):
        yield from many.show_exported(result)
        return
    yield from text.fields(
        [
            ("file", f"{text.path(read.name('file'))} ({text.size(read.number('bytes'))})"),
            ("format", text.visible(read.text("format"))),
            ("inputs", "; ".join(text.inline(in_words(one)) for one in read.items("inputs"))),
            ("outputs", "; ".join(text.inline(in_words(one)) for one in read.items("outputs"))),
            ("parity", _parity(read.block("parity"))),
        ]
    )
    if not read.flag("dry_run") and read.has("example"):  # none beside a file that was not written
        yield f"how: {text.path(read.name('readme'))}"
        yield f"next: python {text.path(read.name('example'))} {read.text('usage')}"


MOST = 12  # words of a column, columns or labels that are shown; --json has all


def in_words(tensor: Json) -> Json:
    """An input or output without what its `values` say already, and with the first of its words."""
    if isinstance(tensor, Mapping):
        said = {k: one for k, one in tensor.items() if k not in ("shorter", "changes")}
        return {k: in_words(one) for k, one in said.items() if one not in ("", None, [], ())}
    if isinstance(tensor, Sequence) and not isinstance(tensor, str):
        more = [f"and {len(tensor) - MOST} more"] if len(tensor) > MOST else []
        return [*map(in_words, tensor[:MOST]), *more]
    return tensor


def _parity(parity: Block) -> str:
    if not parity.flag("checked"):
        return "not checked"
    largest = f"largest difference to PyTorch {text.number(parity.number('max_abs'), 2)}"
    limit = f"tolerance {text.number(parity.number('tolerance'), 2)}"
    return f"{largest} on {parity.text('n')} inputs ({limit})"
