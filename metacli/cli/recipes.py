"""`metacli recipes`: list, show or copy the shipped recipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.engine.spelling import metric_name
from metacli.errors import UsageProblem


def _words(incomplete: str, args: list[str]) -> list[str]:
    verbs = [word for word in ("show", "copy") if word.startswith(incomplete)]
    return verbs + complete.recipes(incomplete)


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[show NAME | copy NAME [DEST]]",
        help="Nothing: list them all.",
        autocompletion=_words,
        show_default=False,
    ),
]


def recipes(frame: Frame, words: Words = None) -> None:
    """List the shipped recipes, show one fully resolved, or copy one to edit it.

    \b
      metacli recipes
      metacli recipes copy glyphs-5w1s-protonet mine.yaml
    """
    match words or []:
        case []:
            frame.answer_into_file(_listed, show_list, _names)
        case ["show", name]:
            frame.answer_into_file(
                lambda report: _shown(name),
                lambda r: Block(r).text("yaml").splitlines(),
                lambda r: r["name"],
            )
        case ["copy", name, *dest] if len(dest) + bool(frame.out) <= 1:
            target = dest[0] if dest else frame.place
            frame.answer(
                lambda report: _copied(frame, name, target), show_copy, lambda r: r.get("path")
            )
        case wrong:
            raise UsageProblem(
                f"recipes does not understand {' '.join(wrong)!r}",
                hint="metacli recipes [show NAME | copy NAME [DEST]]",
            )


def _listed(report: Reporter) -> Result:
    from metacli.engine.recipes import list_recipes

    return list_recipes()


def _shown(name: str) -> Result:
    from metacli.engine.recipes import show_recipe

    return {"name": name, "yaml": show_recipe(name)}


def _copied(frame: Frame, name: str, target: str | None) -> Result:
    from metacli.engine.recipes import copy_recipe, show_recipe

    if frame.dry_run:
        show_recipe(name)
        return {"path": str(Path(target or f"{name}.yaml").absolute())}
    return copy_recipe(name, target, frame.force)


def _names(result: Result) -> list[str]:
    return [row.text("name") for row in Block(result).blocks("recipes")]


def show_list(result: Result) -> Iterator[str]:
    """Lines for a person."""
    recipes = Block(result).blocks("recipes")
    rows = [
        [
            text.visible(row.text("name")),
            text.visible(row.text("kind")),
            text.visible(row.block("data").text("source") or row.text("data")),
            _minutes(row),
            _measured(row.block("measured")),
        ]
        for row in recipes
    ]
    head, *lines = text.table(["name", "kind", "data", "minutes", "measured score"], rows) or [""]
    yield head
    for line, row in zip(lines, recipes, strict=True):
        yield line
        yield f"    {text.visible(row.text('summary'))}"
    yield from text.next_line(result, "meta-train", "NAME")


def _minutes(row: Block) -> str:
    """Of training, on two cores; measured, or what the recipe says of itself."""
    minutes = row.block("measured").number("minutes") or row.number("minutes")
    return text.number(minutes if minutes is None or minutes < 10 else round(minutes), 2)


def _measured(reached: Block) -> str:
    """`accuracy 94.34 % ± 0.45, 5-way 1-shot`."""
    if not reached.values:
        return "not measured"
    metric = reached.name("metric")
    score = text.score(metric, reached.number("mean"), reached.number("ci95"))
    return f"{metric_name(metric)} {score}, {text.visible(reached.text('task'))}"


def show_copy(result: Result) -> Iterator[str]:
    """Lines for a person."""
    path = Path(Block(result).text("path"))
    yield f"path  {text.path(path)}"
    yield from text.next_line(result, "meta-train", path)
