"""`metacli fetch`: with `push` and `serve` the only command that opens a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.engine.storage.paths import HUB_PREFIX, hub_folder
from metacli.errors import UsageProblem

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="A data set, a network such as timm/resnet18.a1_in1k, or hf:ORG/NAME.",
        autocompletion=complete.data_sets,
    ),
]
List = Annotated[bool, typer.Option("--list", help="Show what can be fetched.")]
Dir = Annotated[
    str | None, typer.Option("--dir", metavar="DIR", help="Keep it here, not in the cache.")
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="PATH", help="A local archive or folder instead of the network."
    ),
]


def fetch(
    frame: Frame, name: Name = None, list_: List = False, dir_: Dir = None, from_: From = None
) -> None:
    """Download a data set, a backbone's weights or a model of a hub, checked, into the cache.

    \b
      metacli fetch omniglot
      metacli fetch hf:my-team/my-model
      metacli fetch omniglot --from ~/Downloads
    """
    if list_ == bool(name):
        message = "--list takes no name" if name else "fetch needs the name of what to fetch"
        hint = "metacli fetch NAME, or metacli fetch --list"
        raise UsageProblem(message, hint=hint)
    if list_:
        frame.answer(_listed, show_list, _names)
        return
    place = _one_place(dir_, frame.place)

    def work(report: Reporter) -> Result:
        if frame.dry_run:
            return _dry(str(name), place)
        from metacli.engine.fetch import fetch as verb

        return verb(str(name), dir=place, from_path=from_, force=frame.force, report=report)

    frame.answer(work, show, lambda result: result.get("path"))


def _one_place(dir_: str | None, out: str | None) -> str | None:
    if dir_ and out:
        raise UsageProblem("--dir and -o name the same thing", hint="keep one of them")
    return dir_ or out


def _listed(report: Reporter) -> Result:
    from metacli.engine.fetch import fetchable

    return {"available": fetchable()}


def _names(result: Result) -> list[str]:
    return [item.text("name") for item in Block(result).blocks("available")]


def _dry(name: str, place: str | None) -> Result:
    """What would be fetched, without a socket."""
    if name.startswith(HUB_PREFIX):
        return {"name": name, "path": str(Path(place).absolute() if place else hub_folder(name))}
    from metacli.engine.fetch import place_of_network

    rows = Block(_listed(lambda event: None)).blocks("available")
    where = place_of_network(name, place)
    if where is not None:
        return {"name": name, "kind": "encoder", "path": str(where)}
    for row in rows:
        if row.name("name") == name:
            path = str(Path(place).absolute()) if place else row.value("path")
            return {**row.values, "path": path}
    names = ", ".join(row.text("name") for row in rows)
    raise UsageProblem(f"nothing to fetch is called {name!r}", hint=f"there is: {names}")


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    name = read.text("name")
    origin = "already in the cache" if read.flag("from_cache") else "fetched now"
    if "digest" in result and result["digest"] is None:
        made_of = f", of {' and '.join(MADE_OF[name])}" if name in MADE_OF else ""
        origin = f"nothing to fetch by itself: it is made where it is used{made_of}"
    yield from text.fields(
        [
            ("name", text.visible(read.text("name"))),
            ("path", text.visible(read.text("path"))),
            ("size", text.size(read.number("bytes"))),
            ("sha256", text.visible(read.text("digest"))),
            ("revision", text.visible(read.text("revision"))),
            ("from", origin if "from_cache" in result else ""),
        ]
    )
    if read.text("name").startswith(HUB_PREFIX):
        yield from text.next_line(result, "inspect", Path(read.text("path")))
    else:
        yield from text.next_line(result, "recipes")


# Sets that are put together where they are used, of others.
MADE_OF = {"texts": ("clinc150", "hwu64", "fdu-mtl")}
_LONG = ("citation",)  # in the JSON document


def show_list(result: Result) -> Iterator[str]:
    """A table of whatever the registry holds about each name."""
    rows = Block(result).blocks("available")
    known = dict.fromkeys(key for row in rows for key in row.values)
    keys = [key for key in known if key not in _LONG]
    yield from text.table(keys, [[_cell(row, key) for key in keys] for row in rows])
    yield from text.next_line(result, "fetch", "NAME")


def _cell(row: Block, key: str) -> str:
    value = row.value(key)
    if key == "bytes":
        return text.size(row.number(key)) if value else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else text.visible(value)
