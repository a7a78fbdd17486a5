"""Several folders or tables of examples as one task: more examples of a class, or more classes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from metacli.data.user.listing import ClassFolders, Listing, Row, split_problems

OF_CLASSES = {"data.too_few_classes", "data.unknown_class", "data.class_not_in_query"}


def joined(listings: Sequence[Listing]) -> Listing:
    """The listing of a task that held all of them, which are tasks of one kind.

    Images stand as they would in one folder, class by class; rows one table after the other, and
    the tables are in `children`.
    """
    if len(listings) == 1:
        return listings[0]
    images = listings[0].kind == "images"
    support = [row for one in listings for row in one.support]
    query = [row for one in listings for row in one.query or ()]
    labels = tuple(sorted({label for one in listings for label in one.labels}))
    path = listings[-1].path
    # A finding about the classes of one part need not be true of all of them.
    findings = [
        finding for one in listings for finding in one.findings if finding.code not in OF_CLASSES
    ]
    if labels:
        asked = tuple(sorted({row.label for row in query if row.label is not None}))
        after = ClassFolders(tuple(query), asked, ()) if query else None
        findings += split_problems(path, ClassFolders(tuple(support), labels, ()), after)
    return Listing(
        path=path,
        what="task",
        kind=listings[0].kind,
        support=in_order(support) if images else tuple(support),
        query=None if not query else in_order(query) if images else tuple(query),
        labels=labels,
        guessed=tuple(dict.fromkeys(guess for one in listings for guess in one.guessed)),
        findings=tuple(dict.fromkeys(findings)),
        children=() if images else tuple(listings),
        content=listings[0].content,
    )


def in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    """As they would stand in one folder."""
    return tuple(
        sorted(rows, key=lambda row: (os.fsencode(row.label or ""), os.fsencode(row.path.name)))
    )
