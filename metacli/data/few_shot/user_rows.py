"""A user's own texts or rows with a label column as a pool of classes to draw episodes from."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from metacli.data.catalogue.options import check_options
from metacli.data.few_shot.pools import ALL, Pool, divide_classes, make_pool
from metacli.data.files import shown
from metacli.data.plain import Record
from metacli.data.tables.coded import CodedRows, coded, fitted_encoder
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.text import text_encoder
from metacli.data.user.listing import Listing
from metacli.data.user.problems import raise_problems
from metacli.data.user.row_loading import clashing, remember
from metacli.errors import DataError


@dataclass(frozen=True)
class RowOptions:
    """How a table becomes a pool.

    Args:
        target: the column of classes. input: columns to read, with commas between them.
        way: least number of classes in each part.
        encoder: of texts: `hashed`, or `sentence:NAME_OR_FOLDER`. features: of `hashed`.
    """

    target: str = ""
    input: str = ""
    type: str = ""
    task: str = ""
    way: int = 5
    encoder: str = "hashed"
    features: int = 8192
    allow_duplicates: bool = False
    skip_bad: bool = False


def row_pool(listing: Listing, split: str, options: Record) -> Pool:
    """The classes of a split of a table.

    Raises:
        DataError: no classes, one text under two labels, or too few classes in a part.
    """
    where = shown(listing.path)
    chosen: RowOptions = check_options("a table", RowOptions, options)
    if listing.what != "task" or listing.query is not None or not listing.labels:
        what = "numbers to predict" if listing.what == "task" else listing.what
        raise DataError(
            f"{where} holds {what if listing.query is None else 'support and query'}; a pool of "
            "classes is one table with a column of labels",
            code="data.not_a_pool",
            where=where,
        )
    refuse_clashes(listing, chosen.allow_duplicates)
    keys = [f"/{label}" for label in listing.labels]
    parts = {ALL: keys} if split == ALL else divide_classes(keys, chosen.way, where)
    names = {part: [key[1:] for key in one] for part, one in parts.items()}
    rows: dict[str, list[int]] = {}
    for number, row in enumerate(listing.support):
        rows.setdefault(row.label or "", []).append(number)
    learned = [
        number for label in names[ALL if split == ALL else "train"] for number in rows[label]
    ]
    return make_pool(
        name=listing.path.resolve().name,
        identity="",
        split=split,
        scheme=None,
        classes=names[split],
        rows=[np.array(rows[label]) for label in names[split]],
        store=_store(listing, chosen, learned),
        contents=contents_of(listing),
    )


def _store(listing: Listing, chosen: RowOptions, learned: list[int]) -> CodedRows:
    """The rows with an encoder fitted to those of the training classes."""
    content = listing.tables
    if listing.kind == "text":
        text_encoder(chosen.encoder, chosen.features)  # its name and size are checked
        texts = tuple(content.support.texts(content.roles.inputs[0]))
        encoder = fitted_encoder(
            chosen.encoder, chosen.features, tuple(texts[number] for number in learned)
        )
        return coded(texts, encoder)
    kinds = {name: content.roles.kinds[name] for name in content.roles.inputs}
    return CodedRows(content.support, fit_encoding([content.support.rows(learned)], kinds))


def refuse_clashes(listing: Listing, allow: bool) -> None:
    """Raises DataError for one text under two labels, unless that is allowed."""
    seen: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    remember(seen, "support", listing.tables.support, listing.tables)
    clashes, _ = clashing(seen, listing)
    raise_problems(listing.path, [*listing.findings, *([] if allow else clashes)])


def contents_of(listing: Listing) -> str:
    """SHA-256 hex of the cells that are read."""
    content = listing.tables
    whole = hashlib.sha256(repr((content.target, content.roles.inputs)).encode())
    for name in (*content.roles.inputs, content.target):
        whole.update(repr(content.support.words(name)).encode())
    return whole.hexdigest()
