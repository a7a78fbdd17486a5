"""What a report is made of. The template knows these kinds and nothing of runs or models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values; what has no value is left out."""

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Cells are ready text; the first of a row names it.

    Args:
        folded: behind its caption until it is asked for.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Plot:
    """A drawing with its title.

    Args:
        svg: one `<svg>` element with ids of its own.
        says: what a reader who does not see it should know.
        numbers: what is drawn, as a table.
    """

    kind: ClassVar[str] = "plot"
    title: str
    svg: str
    says: str
    numbers: Table | None = None


@dataclass(frozen=True)
class Cell:
    """A number on a ground of that strength: blue up to 1, red down to -1, as in every plot."""

    text: str
    strength: float

    @property
    def percent(self) -> int:
        return round(100 * abs(self.strength))


@dataclass(frozen=True)
class Matrix:
    """Named rows and columns; `corner` says what they are."""

    kind: ClassVar[str] = "matrix"
    caption: str
    corner: str
    labels: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Image:
    """A `data:` address, and the words for those who cannot see it; `width` in pixels."""

    uri: str
    says: str
    width: int
    mark: str = ""  # right, wrong


@dataclass(frozen=True)
class Row:
    """Groups of images under a name, such as the support and the queries of one class."""

    name: str
    groups: tuple[tuple[Image, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    kind: ClassVar[str] = "gallery"
    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Commands:
    """Lines to paste into a shell."""

    kind: ClassVar[str] = "commands"
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A file to read, behind its name."""

    kind: ClassVar[str] = "source"
    name: str
    text: str


Block = Text | Facts | Table | Plot | Matrix | Gallery | Commands | Source


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Args:
        headline: the one sentence that a reader takes away.
    """

    title: str
    headline: str
    sections: tuple[Section, ...] = field(default_factory=tuple)


def section(id: str, title: str, *blocks: Block | None) -> list[Section]:
    """A section of what there is; none where there is nothing."""
    found = tuple(block for block in blocks if block is not None)
    return [Section(id, title, found)] if found else []
