"""What every part of `inspect` gives back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metacli.engine.results.base import Json
from metacli.errors import Finding, MetacliError

MOST = 200  # problems listed one by one


@dataclass(frozen=True)
class Looked:
    """One thing on the disk, as `inspect` reports it.

    Args:
        details: facts by name; None is left out.
        next: commands that make sense now, the likeliest first.
    """

    what: str
    path: Path
    problems: tuple[Finding, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    next: tuple[str, ...] = ()


def findings_of(error: MetacliError) -> tuple[Finding, ...]:
    """An error as the problems that it collected, or as one problem."""
    own = Finding("error", error.code, error.message, error.where, error.hint)
    return error.findings or (own,)


def bounded(problems: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first; beyond the first 200 their number only."""
    order = {"error": 0, "warning": 1, "note": 2}
    ordered = sorted(problems, key=lambda one: order[one.level])
    if len(ordered) <= MOST:
        return tuple(ordered)
    rest = ordered[MOST:]
    more = Finding(rest[0].level, "inspect.more", f"and {len(rest)} more problems like these")
    return (*ordered[:MOST], more)


def command(*words: str) -> str:
    """A command that can be pasted."""
    spelled = (word if word == "@last" or word.isupper() else shlex.quote(word) for word in words)
    return " ".join(["metacli", *spelled])
