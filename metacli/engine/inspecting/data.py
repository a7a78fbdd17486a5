"""`inspect` of a user's examples: a task, a set of tasks, sets of tasks, pools of classes, loose
images."""

from __future__ import annotations

from pathlib import Path

from metacli.data.sets.own_files import looks_like_sets
from metacli.data.tables.choice import Choice
from metacli.data.tables.strays import as_number
from metacli.data.user.listing import Listing
from metacli.data.user.open import survey_task
from metacli.engine.events import Reporter
from metacli.engine.inspecting.findings import Looked, findings_of
from metacli.engine.inspecting.images import look_at_images
from metacli.engine.inspecting.own_sets import look_at_own_sets
from metacli.engine.inspecting.rows import is_rows, look_at_rows
from metacli.engine.inspecting.sets import is_table_of_tasks, look_at_sets, sets_below, with_set
from metacli.errors import DataError


def is_broken(found: Looked) -> bool:
    return any(one.level == "error" for one in found.problems)


def has_classes(found: Looked) -> bool:
    """Whether some label is a word: then these are no sets of regressions."""
    return any(one.code == "table.not_a_number" for one in found.problems)


def has_words(listing: Listing) -> bool:
    """Whether the labels of some table are words, which no set of regressions has."""
    of_classes = (one for one in listing.children if one.tables.type == "classification")
    return any(as_number(label) is None for one in of_classes for label in one.labels)


def look_at_data(path: Path, name: str, report: Reporter, choice: Choice) -> Looked:
    """What the folder or file holds; what cannot be used at all is a problem, not an exception."""
    sets = sets_below(path)
    own = look_at_sets(path, name, sets) if sets or is_table_of_tasks(path, choice) else None
    if own is not None and (not sets or (is_broken(own) and not has_classes(own))):
        return own
    if looks_like_sets(path):
        return look_at_own_sets(path, name, choice)
    try:
        listing = survey_task(path, choice)
    except DataError as error:
        return Looked("unknown", path.absolute(), findings_of(error))
    if is_rows(listing):
        found = look_at_rows(listing, name, choice)
        several = listing.what == "tasks" and path.is_dir()
        return with_set(found, path, name) if several and not has_words(listing) else found
    return look_at_images(listing, path, name, report, links=choice.follow_links)
