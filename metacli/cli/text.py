"""Words for people: numbers, durations, tables, and names from outside made safe to show."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from metacli.cli.streams import terminal_columns
from metacli.cli.views.block import Block
from metacli.engine.results.base import Json
from metacli.engine.spelling import (
    VERDICTS,
    duration,
    is_fraction,
    number,
    score,
    signed,
    size,
    visible,
)

__all__ = [
    "between",
    "command",
    "duration",
    "fields",
    "inline",
    "is_fraction",
    "mean_difference",
    "measured",
    "next_line",
    "number",
    "path",
    "plain",
    "score",
    "size",
    "span",
    "steps",
    "table",
    "verdict",
    "visible",
]


def steps(count: float) -> str:
    """`1 step`, `600 steps`."""
    return f"{count:g} step" if count == 1 else f"{count:.0f} steps"


def path(value: str | Path | None) -> str:
    """A path relative to where the user stands when it lies below, else as it is."""
    if not value:
        return "-"
    try:
        return visible(Path(value).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return visible(value)


def command(*words: str | Path) -> str:
    """A command line that can be pasted; names below the current folder are shortened."""
    shown = (path(word) if isinstance(word, Path) else visible(word) for word in words)
    return " ".join(["metacli", *(_quoted(word) for word in shown)])


def _quoted(word: str) -> str:
    placeholder = re.fullmatch(r"[A-Z_]+(\.\.\.)?|@last", word)
    return word if placeholder else shlex.quote(word)


def next_line(result: Mapping[str, Json], *words: str | Path) -> list[str]:
    """The command to type next; none after a dry run, whose paths do not exist."""
    return [] if result.get("dry_run") else [f"next: {command(*words)}"]


def mean_difference(result: Block, where: str) -> list[str]:
    """The mean over the tasks of joint minus single-task, with what its interval is over;
    nothing where it is not known."""
    tasks, mean = result.blocks("tasks"), result.number("mean_delta")
    if not tasks or mean is None:
        return []
    metrics = list(dict.fromkeys(one.name("metric") or "score" for one in tasks))
    metric = metrics[0] if len(metrics) == 1 else None  # of several there are no points
    over = result.name("mean_delta_over") or f"{len(tasks)} tasks"
    ends = result.numbers("mean_delta_ci95")
    known = len(ends) == 2 and None not in ends
    interval = f" ({' to '.join(signed(metric, end) for end in ends)})" if known else ""
    named = " and ".join(map(visible, metrics))
    said = f"mean difference of {named} over {visible(over)}"
    return [f"{said}: {signed(metric, mean)}{interval} ({where})"]


ROOM = 20  # columns beside the names, below which nothing is wrapped
_OF_A_SOURCE = {**VERDICTS, "helped": "helps", "hurt": "hurts"}


def verdict(name: str | None, *, of: str = "source") -> str:
    """A verdict in words. A `source` helps or hurts; of two `models` one is better or worse."""
    words = VERDICTS if of == "models" else _OF_A_SOURCE
    return words.get(str(name), visible(name or ""))


def measured(
    metric: str | None,
    mean: float | None,
    ci95: float | None = None,
    n: float | None = None,
    noun: str = "examples",
) -> str:
    """`94.23 % ± 0.46`; near an end of the scale `100 % (87 to 100 %, 25 examples)`, since no
    accuracy is above 100 %."""
    if mean is None or ci95 is None or not is_fraction(metric):
        return score(metric, mean, ci95)
    if mean - ci95 >= 0 and mean + ci95 <= 1:
        return score(metric, mean, ci95)
    ends = (max(0.0, mean - ci95), min(1.0, mean + ci95))
    return between(metric, mean, *ends, n=n, noun=noun)


def between(
    metric: str | None,
    value: float,
    low: float,
    high: float,
    *,
    n: float | None = None,
    noun: str = "examples",
) -> str:
    """A score with its 95 % interval: `92 % (74 to 98 %, 25 images)`."""
    count = f", {n} {noun}" if n else ""
    if not is_fraction(metric):
        return f"{score(metric, value)} ({number(low)} to {number(high)}{count})"
    shown = [f"{100 * one:.3g}" for one in (value, low, high)]
    return f"{shown[0]} % ({shown[1]} to {shown[2]} %{count})"


def span(value: Json) -> str:
    """`5`, or `3-20` of a range."""
    ends = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return "-".join(inline(end) for end in ends)


def fields(rows: Iterable[tuple[str, str]]) -> list[str]:
    """`name  value` lines with the values in one column; rows without a value are left out.

    On a terminal a value that is too long goes on below itself; a word is never cut, so that paths
    can be copied, and what is read by a program is one line each.
    """
    kept = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in kept), default=0)
    lines = [f"{name:<{width}}  {value}".rstrip() for name, value in kept]
    columns = terminal_columns()
    if columns is None or columns < width + ROOM:
        return lines
    return [part for line in lines for part in _hanging(line, width + 2, columns)]


def _hanging(line: str, indent: int, columns: int) -> list[str]:
    if len(line) <= columns:
        return [line]
    name, value = line[:indent], line[indent:]
    wrapper = textwrap.TextWrapper(
        columns - indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    first, *rest = wrapper.wrap(value)
    return [f"{name}{first}", *(f"{' ' * indent}{one}" for one in rest)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns two spaces apart, numbers to the right, columns that are all empty left out."""
    body = [list(row) for row in rows]
    keep = [i for i in range(len(header)) if any(row[i] not in ("", "-") for row in body)]
    if not body or not keep:
        return []
    lines = [[header[i] for i in keep], *([row[i] for i in keep] for row in body)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(keep))]
    right = [all(_numeric(line[i]) for line in lines[1:]) for i in range(len(keep))]
    return ["  ".join(map(_aligned, line, widths, right)).rstrip() for line in lines]


def _numeric(cell: str) -> bool:
    return not cell or cell == "-" or cell[0].isdigit() or (cell[0] in "+-." and len(cell) > 1)


def _aligned(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def plain(result: Mapping[str, Json]) -> list[str]:
    """Any result as `key  value` lines: for dry runs and for keys that no view knows."""
    return fields((visible(key).replace("_", " "), inline(value)) for key, value in result.items())


def inline(value: Json) -> str:
    """Any value on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(key)} {inline(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(inline(item) for item in value)
    if isinstance(value, str) and os.path.isabs(value):  # noqa: PTH117  # not every text is a path
        return path(value)
    return "" if value is None else number(value)
