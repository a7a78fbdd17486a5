"""From blocks to one HTML page; everything from outside is escaped."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from metacli import __version__
from metacli.engine.reporting.blocks import Block, Page

TEMPLATE = "page.html"
SIDE_BY_SIDE = ("plot", "matrix")


def html_of(page: Page) -> str:
    """The whole page."""
    return template().render(page=page, version=__version__)


@functools.cache
def template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groups"] = groups
    return environment.get_template(TEMPLATE)


def groups(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Plots that follow one another stand side by side, matrices too; anything else by itself."""
    for kind, some in groupby(blocks, key=lambda block: block.kind):
        if kind in SIDE_BY_SIDE:
            yield list(some)
        else:
            yield from ([block] for block in some)
