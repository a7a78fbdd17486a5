"""`metacli sample`: one task as plain files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, options, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.errors import UsageProblem

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A data set, or a folder of classes.",
        autocompletion=complete.data_sets,
    ),
]
Dir = Annotated[
    str | None, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)
]
Way = Annotated[int, typer.Option("--way", metavar="N", min=2, help="Classes.")]
Shot = Annotated[int, typer.Option("--shot", metavar="K", min=1, help="Support per class.")]
Query = Annotated[int, typer.Option("--query", metavar="Q", min=1, help="Queries per class.")]
Split = Annotated[options.Split, typer.Option("--split", help="Which classes to draw from.")]


def sample(
    frame: Frame,
    data: Data,
    dir_: Dir = None,
    way: Way = 5,
    shot: Shot = 5,
    query: Query = 5,
    split: Split = "test",
) -> None:
    """Draw one task from a data set or from your own pool, as files a user could have made.

    \b
      metacli sample glyphs task/
      metacli sample omniglot task/ --way 20 --shot 1 --seed 3
      metacli sample functions set/ --shot 10 --query 50
    """
    if (dir_ is None) == (frame.place is None):
        raise UsageProblem("sample needs one folder to write", hint="metacli sample DATA DIR")
    target = str(dir_ or frame.place)

    def work(report: Reporter) -> Result:
        from metacli.engine.sample import sample as verb

        draw = partial(
            verb, way=way, shot=shot, query=query, split=split, seed=frame.seed or 0, report=report
        )
        if not frame.dry_run:
            return draw(data, target, force=frame.force)
        with tempfile.TemporaryDirectory() as scratch:  # all of it but the keeping
            result = draw(data, str(Path(scratch) / "task"), force=False)
        return {**result, "path": str(Path(target).absolute())}

    frame.answer(work, show, lambda result: result.get("path"))


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    path = Path(read.text("path"))
    names = ", ".join(map(text.visible, read.texts("classes")))
    if not read.flag("way") and len(read.texts("classes")) > 1:
        rows = f"set.csv: {read.text('shot')} rows, half of the labels missing; later.csv: "
        rows += f"{read.text('query')} other rows, labelled"
        yield from text.fields([("path", text.path(path)), ("tasks", names), ("", rows)])
        yield from text.next_line(result, "adapt", "@last", path / "set.csv")
        return
    way = f"{read.text('way')}-way " if read.flag("way") else ""
    shape = f"{way}{read.text('shot')}-shot, {read.text('query')} queries"
    yield from text.fields(
        [
            ("path", text.path(path)),
            ("task", f"{shape} per class"),
            ("classes", names),
        ]
    )
    words: tuple[str | Path, ...] = (path, "-o", "mine") if way else ("@last", path)
    yield from text.next_line(result, "adapt", *words)
