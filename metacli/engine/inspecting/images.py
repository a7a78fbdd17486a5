"""`inspect` of images: a task, a set of tasks, pools of classes, loose images.

Every image is decoded once, one at a time, so that all that is wrong comes out at once.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metacli.data.files import shown
from metacli.data.images import pixel_hash, read_pixels
from metacli.data.user.listing import Listing, Row
from metacli.data.user.loading import same_images
from metacli.data.user.problems import SKIPPABLE, as_finding
from metacli.engine.events import Progress, Reporter
from metacli.engine.inspecting.classes import Judged, divides, judge_labels
from metacli.engine.inspecting.findings import Looked, bounded, command
from metacli.engine.inspecting.suspects import MOST as MOST_JUDGED
from metacli.engine.inspecting.suspects import describe
from metacli.engine.results.base import Json
from metacli.errors import DataError, Finding

WHAT = {"task": "task", "tasks": "set of tasks", "pool": "pool of classes", "inputs": "images"}
SIZES = 5  # listed by name


@dataclass
class Seen:
    """What decoding a set of rows has shown."""

    sizes: Counter[str] = field(default_factory=Counter)
    colours: Counter[str] = field(default_factory=Counter)
    problems: list[Finding] = field(default_factory=list)
    unreadable: list[Finding] = field(default_factory=list)
    places: defaultdict[str, list[tuple[str, str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    judged: list[Judged] = field(default_factory=list)
    label_check: str | None = None


def look_at_images(
    listing: Listing, path: Path, name: str, report: Reporter, *, links: bool = False
) -> Looked:
    """Counts, sizes and every problem.

    Args:
        links: were followed, and have to be by what is typed next.
    """
    seen = decode(listing, report)
    details: dict[str, Json] = {
        **shares(listing),
        "sizes": most_common(seen.sizes),
        "colours": dict(seen.colours),
        "label_check": seen.label_check if listing.what == "task" else None,
        "guessed": list(listing.guessed),
    }
    problems = [*all_findings(listing), *seen.unreadable, *seen.problems]
    ways = flags(problems, seen.unreadable)
    more = ["--follow-links"] if links else []
    steps = what_next(listing, name, [*ways, *more]) if ways is not None else ()
    return Looked(WHAT[listing.what], path.absolute(), bounded(problems), details, steps)


def shares(listing: Listing) -> Mapping[str, Json]:
    """How many of what, by what the path holds."""
    match listing.what:
        case "pool":
            return pool_details(listing)
        case "tasks":
            return {"tasks": {shown(one.path.name): counts(one) for one in listing.children}}
        case "task":
            return task_details(listing)
        case _:
            return {"pictures": len(listing.support)}


def flags(problems: Sequence[Finding], unreadable: Sequence[Finding]) -> tuple[str, ...] | None:
    """What to pass to go on with these problems; None where they have to be put right first."""
    skipped = {*unreadable, *(one for one in problems if one.code in SKIPPABLE)}
    allowed = {one for one in problems if one.code == "data.same_picture"}
    errors = {one for one in problems if one.level == "error"}
    if errors - skipped - allowed:
        return None
    found = (("--skip-bad", skipped), ("--allow-duplicates", allowed))
    return tuple(flag for flag, which in found if which & errors)


def all_findings(listing: Listing) -> list[Finding]:
    inner = [finding for child in listing.children for finding in child.findings]
    return list(dict.fromkeys([*listing.findings, *inner]))


def decode(listing: Listing, report: Reporter) -> Seen:
    """Read every image; duplicates count within a task, or between pools of a data set."""
    seen = Seen()
    parts = listing.children or (listing,)
    total = sum(len(rows) for part in parts for _, rows in sides(part))
    done = 0
    for part in parts:
        seen.places.clear()
        seen.judged.clear()
        for side, rows in sides(part):
            judge = part.what == "task" and side == "support" and len(rows) <= MOST_JUDGED
            for row in rows:
                look_at_image(row, side, listing.path, seen, judge)
                done += 1
                report(Progress("reading images", done, total))
        if part.what != "inputs":
            clashes, repeats = same_images(seen.places)
            seen.problems += clashes + repeats
        if part.what == "task":
            notes, seen.label_check = judge_labels(seen.judged)
            seen.problems += notes
    return seen


def sides(part: Listing) -> list[tuple[str, Sequence[Row]]]:
    if part.pools:
        return [(name, pool.support) for name, pool in part.pools.items()]
    return [("support", part.support), ("query", part.query or ())]


def look_at_image(row: Row, side: str, base: Path, seen: Seen, judge: bool = False) -> None:
    try:
        pixels = read_pixels(row.path)
    except DataError as error:
        seen.unreadable.append(as_finding(error))
        return
    height, width = pixels.shape[:2]
    seen.sizes[f"{width}x{height}"] += 1
    seen.colours["grey" if pixels.ndim == 2 else "colour"] += 1
    name = shown(os.path.relpath(row.path, base))
    seen.places[pixel_hash(pixels)].append((side, row.label or "", name))
    if judge:
        seen.judged.append(Judged(describe(pixels), row.label or "", name))


def most_common(sizes: Counter[str]) -> dict[str, int]:
    """Images by width x height, the commonest sizes by name."""
    named = dict(sizes.most_common(SIZES))
    rest = sum(sizes.values()) - sum(named.values())
    return {**named, "other": rest} if rest else named


def per_class(rows: Sequence[Row]) -> dict[str, int]:
    return dict(sorted(Counter(row.label or "" for row in rows).items()))


def counts(task: Listing) -> dict[str, int | None]:
    query = None if task.query is None else len(task.query)
    return {"classes": len(task.labels), "support": len(task.support), "query": query}


def task_details(task: Listing) -> dict[str, Json]:
    support = {**dict.fromkeys(task.labels, 0), **per_class(task.support)}
    found: dict[str, Json] = {**counts(task), "support_per_class": support, **spread(support)}
    if task.query is not None:
        found["query_per_class"] = per_class(task.query)
    return {**found, "score": how_scored(task, support)}


def spread(classes: dict[str, int]) -> dict[str, int | None]:
    sizes = classes.values()
    return {"smallest_class": min(sizes, default=None), "largest_class": max(sizes, default=None)}


def how_scored(task: Listing, support: dict[str, int]) -> str:
    """How `adapt` will measure itself here."""
    if task.query:
        return f"on the query, {len(task.query)} images"
    if not support:
        return "none: no images"
    several = [count for count in support.values() if count > 1]
    if not several:
        return "none is possible: every class has a single image, so none can be held out"
    single = [label for label, count in support.items() if count < 2]
    few = f"; of {', '.join(single[:3])} nothing can be held out" if single else ""
    return f"{min(5, *several)}-fold over the support{few}"


def pool_details(listing: Listing) -> dict[str, Json]:
    return {
        name: {
            "classes": len(pool.labels),
            "pictures": len(pool.support),
            **spread(per_class(pool.support)),
        }
        for name, pool in listing.pools.items()
    }


def what_next(listing: Listing, name: str, ways: Sequence[str]) -> tuple[str, ...]:
    if listing.what == "task":
        train = (command("meta-train", name),) if listing.query is None and divides(listing) else ()
        return (command("adapt", name, *ways), *train)
    if listing.what == "tasks":
        first = Path(name) / listing.children[0].path.name
        return (command("adapt", "@last", str(first), *ways),)
    if listing.what == "pool":
        return (command("meta-train", name), command("evaluate", "@last", name, *ways))
    return (command("predict", "MODEL", name),)
