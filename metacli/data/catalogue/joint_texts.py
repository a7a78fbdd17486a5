"""Texts of three data sets as one pool: the requests of CLINC150 and HWU64 and the reviews of
FDU-MTL, to learn one encoder of texts from. The classes of an episode are of one data set.

Intents are divided by the published folds of either set; the domains of the reviews 10/3/3 by
SHA-256 of their names, a class being a domain and whether the review is good or bad. Of each class
of reviews the first 200 are read: they are long, and as many as a class of requests has.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.kept_files import read_file, read_members
from metacli.data.cache.store import Report, silent
from metacli.data.catalogue.fdu_mtl import PACKED, TRAIN
from metacli.data.catalogue.fdu_mtl import lines as review_lines
from metacli.data.catalogue.intents import PARTS, IntentOptions, kept_lines
from metacli.data.few_shot.pools import Pool, check_split, make_pool
from metacli.data.tables.coded import coded, fitted_encoder

REVIEWS = 200  # of a class
DOMAINS = {"train": slice(0, 10), "val": slice(10, 13), "test": slice(13, 16)}

Classes = dict[str, list[str]]
"""Texts by class."""


@dataclass(frozen=True)
class JointOptions(IntentOptions):
    """As of HWU64: `fold` is that of both sets of requests."""


def texts(split: str, options: JointOptions, cache: Path, report: Report = silent) -> Pool:
    """The classes of a split. Raises DataError: one of the three is not fetched yet."""
    check_split(split, "texts")
    parts = {one: classes_of(one, options.fold, cache) for one in {"train", split}}
    learned = tuple(text for of in parts["train"].values() for some in of.values() for text in some)
    encoder = fitted_encoder(options.encoder, options.features, learned)
    chosen = parts[split]
    names = [(family, name) for family, of in chosen.items() for name in of]
    sizes = [len(chosen[family][name]) for family, name in names]
    ends = np.cumsum(sizes)
    whole = tuple(text for family, name in names for text in chosen[family][name])
    return make_pool(
        name="texts",
        split=split,
        scheme=None,
        classes=[f"{family}/{name}" for family, name in names],
        rows=[np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)],
        store=coded(whole, encoder),
        contents=hashlib.sha256("\n".join(whole).encode()).hexdigest(),
        families=[family for family, _ in names],
    )


def classes_of(split: str, fold: int, cache: Path) -> dict[str, Classes]:
    """Of each data set."""
    found = {}
    for name in ("clinc150", "hwu64"):
        by_label: Classes = {}
        for text, label in kept_lines(name, cache):
            by_label.setdefault(label, []).append(text)
        folds = json.loads(read_file(cache, name, "class_splits.json"))
        wanted = sorted(folds[f"{fold:02}"][PARTS[split]])
        found[name] = {label: by_label[label] for label in wanted}
    return {**found, "fdu-mtl": reviews(split, cache)}


def reviews(split: str, cache: Path) -> Classes:
    """The first good and bad reviews of the domains of a split."""
    members = read_members(cache, "fdu-mtl", PACKED)
    names = [n.removesuffix(TRAIN) for n in members if n.endswith(TRAIN)]
    order = sorted(names, key=lambda one: hashlib.sha256(one.encode()).digest())
    return {
        f"{Path(name).name} {word}": texts_of(members[name + TRAIN], name, label)
        for name in sorted(order[DOMAINS[split]])
        for label, word in enumerate(("bad", "good"))
    }


def texts_of(content: bytes, name: str, label: int) -> list[str]:
    """The first reviews of a label that are not empty."""
    own = [text for one, text in review_lines(content, name) if one == label and text.strip()]
    return own[:REVIEWS]
