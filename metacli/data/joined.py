"""Several folders of examples as one task: more examples of a class, or more classes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from metacli.data.files import shown
from metacli.data.listing import Listing, Row, not_a_task
from metacli.errors import DataError


def joined(listings: Sequence[Listing]) -> Listing:
    """The listing of a folder that held all of them: rows class by class, then by file name.

    Raises:
        DataError: one is no task of class folders of pictures.
    """
    for one in listings:
        if one.what != "task":
            raise not_a_task(one)
        if one.kind != "images":
            raise DataError(
                f"{shown(one.path)} is a {one.kind}; only folders of pictures can be added to",
                code="data.kind_not_supported",
                where=shown(one.path),
            )
    query = [row for one in listings for row in one.query or ()]
    return Listing(
        path=listings[-1].path,
        what="task",
        kind="images",
        support=in_order([row for one in listings for row in one.support]),
        query=in_order(query) if query else None,
        labels=tuple(sorted({label for one in listings for label in one.labels})),
        guessed=tuple(dict.fromkeys(guess for one in listings for guess in one.guessed)),
        findings=tuple(
            finding
            for one in listings
            for finding in one.findings
            if finding.code != "data.too_few_classes"  # one class may be added
        ),
    )


def in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    """As they would stand in one folder."""
    return tuple(
        sorted(rows, key=lambda row: (os.fsencode(row.label or ""), os.fsencode(row.path.name)))
    )
