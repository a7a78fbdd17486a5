"""Which learners adapt to any number of classes, read off the table."""

from __future__ import annotations

from functools import cache

from metacli.algorithms import ALGORITHMS, Entry, names

ALTERNATIVE = "proto"  # the head that is built from the support


@cache
def any_way_learners() -> tuple[list[str], list[str]]:
    """Names of the few-shot learners of any way as they are, and of those that `head: proto` makes
    so."""
    entries = {name: ALGORITHMS[name] for name in names("meta")}
    always = [name for name, entry in entries.items() if takes_any(entry)]
    others = [name for name in entries if name not in always]
    return always, [name for name in others if takes_any(entries[name], head=ALTERNATIVE)]


def takes_any(entry: Entry, **fields: str) -> bool:
    """Whether the learner with these fields is of any way; False where it has no such field."""
    try:
        learner = entry.learner(**fields)
    except TypeError:
        return False
    return learner.any_way and "classification" in learner.kinds


def any_way_hint() -> str:
    """For an error about a head of fixed way."""
    always, with_head = any_way_learners()
    return (
        f"any number of classes is taken by {', '.join(always)}, and with "
        f"algorithm.head={ALTERNATIVE} by {', '.join(with_head)}"
    )
