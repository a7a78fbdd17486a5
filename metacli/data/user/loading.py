"""From listed files to arrays: every image decoded, every problem collected."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.files import shown
from metacli.data.images import ImageSpec, fit, image_or_recording, pixel_hash, read_pixels
from metacli.data.tables.reader import Table
from metacli.data.user.listing import Listing, Row
from metacli.data.user.problems import SHOWN_PROBLEMS, SKIPPABLE, as_finding, raise_problems
from metacli.errors import DataError, Finding, RunFailed, first_names

Report = Callable[[str, int, int | None], None]


def say_nothing(what: str, done: int, total: int | None) -> None:
    """The default report."""


@dataclass(frozen=True)
class Examples:
    """Decoded: x uint8 [M, C, H, W], or float32 [M, F] of texts and tables; names relative to the
    task; y int64 [M] into the labels, or float64 [M] in the user's units."""

    x: np.ndarray
    names: tuple[str, ...]
    y: np.ndarray | None


@dataclass(frozen=True)
class Task:
    """One task, decoded.

    Args:
        skipped: files left out because they could not be read.
        duplicates: different images that are in support and query or under two labels.
        findings: warnings and notes; no errors.
        unit: of a number to predict. target: its column. input: the column of texts.
        table: that the support was read from, row by row; None for images and several tables.
    """

    path: Path
    kind: str
    type: str
    labels: tuple[str, ...]
    support: Examples
    query: Examples | None
    guessed: tuple[str, ...]
    findings: tuple[Finding, ...]
    skipped: int
    duplicates: int
    unit: str | None = None
    target: str | None = None
    input: str | None = None
    table: Table | None = None


# pixel hash -> where the image was met: (support or query, label, name)
_Seen = defaultdict[str, list[tuple[str, str, str]]]


def load_listing(
    listing: Listing,
    spec: ImageSpec,
    *,
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    report: Report = say_nothing,
) -> Task:
    """Decodes a listed task; see `load_task`.

    Raises:
        DataError: problems in the files or between them, all of them collected.
    """
    total = len(listing.support) + len(listing.query or ())
    bad = [finding for finding in listing.findings if finding.code in SKIPPABLE]
    other = [finding for finding in listing.findings if finding.code not in SKIPPABLE]
    seen: _Seen = defaultdict(list)
    decoder = _Decoder(listing, spec, bad, seen, lambda done: report("read images", done, total))
    support = decoder.decode("support", listing.support)
    query = None if listing.query is None else decoder.decode("query", listing.query)
    clashes, repeats = same_images(seen)
    if skip_bad and bad:
        other += _nothing_left(listing, support, query)
    other += _as_warnings(bad, "files were left out") if skip_bad else bad
    other += _as_warnings(clashes, "such examples") if allow_duplicates else clashes
    raise_problems(listing.path, other)
    return Task(
        path=listing.path,
        kind=listing.kind,
        type="classification",
        labels=listing.labels,
        support=support,
        query=query,
        guessed=listing.guessed,
        findings=tuple(other + _as_warnings(repeats, "such examples")),
        skipped=len(bad),
        duplicates=len(clashes),
    )


@dataclass
class _Decoder:
    """Decodes rows one by one; what goes wrong and what was seen is added to `bad` and `seen`."""

    listing: Listing
    spec: ImageSpec
    bad: list[Finding]
    seen: _Seen
    tell: Callable[[int], None]
    done: int = 0

    def decode(self, side: str, rows: Sequence[Row]) -> Examples:
        x = _empty(len(rows), self.spec)
        index = {label: number for number, label in enumerate(self.listing.labels)}
        names: list[str] = []
        labels: list[int] = []
        for row in rows:
            try:
                pixels = read_pixels(row.path)
            except DataError as error:
                self.bad.append(as_finding(error))
            else:
                label = row.label or ""
                x[len(names)] = fit(pixels, self.spec)
                names.append(shown(os.path.relpath(row.path, self.listing.path)))
                labels.append(index.get(label, -1))  # unknown: already an error of the listing
                self.seen[pixel_hash(pixels)].append((side, label, names[-1]))
            self.done += 1
            self.tell(self.done)
        return Examples(x[: len(names)], tuple(names), np.array(labels, dtype=np.int64))


def _empty(count: int, spec: ImageSpec) -> np.ndarray:
    shape = (count, spec.channels, spec.height, spec.width)
    try:
        return np.empty(shape, dtype=np.uint8)
    except MemoryError as error:
        raise RunFailed(
            f"{count} images of {spec.height} x {spec.width} pixels need "
            f"{math.prod(shape) / 2**30:.1f} GiB of memory",
            code="run.out_of_memory",
            hint="use fewer images, or a model with a smaller input",
        ) from error


def same_images(seen: _Seen) -> tuple[list[Finding], list[Finding]]:
    """Images in both sides or under two labels (errors), and twice in one class (warnings)."""
    return same_examples(seen, "image", "picture")


def same_examples(
    seen: _Seen, what: str, coded: str | None = None
) -> tuple[list[Finding], list[Finding]]:
    """As `same_images`, for whatever an example is called, in messages and in their codes."""
    clashes: list[Finding] = []
    repeats: list[Finding] = []
    for places in seen.values():
        if len(places) < 2:
            continue
        labels = sorted({label for _, label, _ in places})
        sides = {side for side, _, _ in places}
        names = first_names([name for _, _, name in places], 4)
        called = image_or_recording(places[0][2]) if what == "image" else what
        if len(labels) > 1:
            message = f"the same {called} under the labels {', '.join(labels)}: {names}"
        elif len(sides) > 1:
            message = f"the same {called} in support and query: {names}"
        else:
            message = f"the same {called} more than once in class {labels[0]}: {names}"
            repeats.append(
                Finding("warning", f"data.repeated_{coded or what}", message, places[0][2])
            )
            continue
        hint = "remove one of them, or pass --allow-duplicates"
        clashes.append(Finding("error", f"data.same_{coded or what}", message, places[0][2], hint))
    return clashes, repeats


def _nothing_left(listing: Listing, support: Examples, query: Examples | None) -> list[Finding]:
    """Classes, or a whole query, of which no image could be read."""
    found: list[Finding] = []
    left = set() if support.y is None else set(support.y.tolist())
    empty = {row.label for row in listing.support} - {listing.labels[number] for number in left}
    for label in sorted(label for label in empty if label is not None):
        message = f"no image of class {label} in the support can be read"
        found.append(Finding("error", "data.empty_class", message, shown(listing.path)))
    if query is not None and not query.names:
        message = "no image of the query can be read"
        found.append(Finding("error", "data.empty_query", message, shown(listing.path)))
    return found


def _as_warnings(findings: Sequence[Finding], what: str) -> list[Finding]:
    """The first 20 as warnings, and one more that gives the count when there are others."""
    listed = [replace(finding, level="warning") for finding in findings[:SHOWN_PROBLEMS]]
    if len(findings) > SHOWN_PROBLEMS:
        message = f"{len(findings)} {what} in all, of which the first {SHOWN_PROBLEMS} are listed"
        listed.append(Finding("warning", findings[0].code, message))
    return listed
