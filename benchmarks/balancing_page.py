"""The documentation's page *Which balancing method when*: `python benchmarks/balancing_page.py`.

Every number and every list of methods is made here of `results/scenes-reduced.jsonl` and
`results/tasks/balancing-*.json`; `tests/test_balancing_page.py` keeps the page from going stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from balancing_table import measured as tables
from balancing_table import not_run
from scenes import REDUCED, SINGLE, arms, lines
from scenes_table import EQUAL, Measured, measured, spelled

from metacli.algorithms import names

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "which-balancing.md"
LINK = "../../benchmarks/results"
SHARING = ("mtan", "cross-stitch")  # arms that are no balancing
FEWEST = 2  # worlds of an interval
SETS = {
    "sarcos": "torques of a robot arm, seven tasks on the same rows",
    "school": "139 schools, each with pupils of its own",
}


@dataclass(frozen=True)
class Against:
    """A method compared with another on one data set; an interval without 0 is a difference."""

    name: str
    gain: float
    low: float
    high: float

    @property
    def said(self) -> str:
        return "better" if self.low > 0 else "worse" if self.high < 0 else "open"

    @property
    def compared(self) -> str:
        return "is not told apart from" if self.said == "open" else f"is {self.said} than"


def listed(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    if not quoted:
        return "none"
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def counted(found: Sequence[Against], what: str) -> str:
    """`Of 15 methods 1 is better than equal weights (`a`), 2 are worse (...); ...`."""
    by = {said: [one.name for one in found if one.said == said] for said in ("better", "worse")}
    rest = len(found) - sum(map(len, by.values()))
    better, worse = (
        f"{len(some)} {'is' if len(some) == 1 else 'are'} {said} than {what}"
        + (f" ({listed(some)})" if some else "")
        for said, some in by.items()
    )
    others = "interval of the other one includes" if rest == 1 else f"intervals of {rest} include"
    return f"Of {len(found)} methods {better}, {worse}; the {others} 0."


# Scenes


def against_equal(found: Sequence[Measured]) -> list[Against]:
    """Balancing methods whose difference to equal weights has an interval."""
    return [
        Against(one.arm, diff.delta, diff.low, diff.high)
        for one in found
        if (diff := one.against_equal) is not None
        and one.arm not in SHARING
        and len(one.worlds) >= FEWEST
        and np.isfinite([diff.low, diff.high]).all()
    ]


def of_scenes() -> Iterator[str]:
    """Δp of every arm at every conflict."""
    by_conflict = {one: measured(REDUCED, one) for one in sorted(REDUCED.conflicts)}
    there = {conflict: found for conflict, found in by_conflict.items() if found}
    yield "## Scenes: segmentation, depth and normals of the same images"
    yield ""
    yield (
        "Generated images with a knob for how much the tasks conflict ([the tutorial]"
        "(../tutorials/dense-tasks.md)). Δp is the mean relative change of all measures against a "
        "network for each task (above 0: better together), with a 95 % interval over worlds "
        "(Student's t; a world is a seed of images and networks), and beside it the difference "
        "to the Δp of equal weights in the same worlds. Protocol: "
        "`benchmarks/protocols/scenes.md`, the reduced one; results: "
        f"[scenes-reduced.jsonl]({LINK}/scenes-reduced.jsonl)."
    )
    yield ""
    for conflict, found in there.items():
        yield f"### Conflict {conflict:g}"
        yield ""
        yield from sentences(conflict, found)
        yield ""
        yield "| method | worlds | Δp | minus equal | time |"
        yield "| --- | --- | --- | --- | --- |"
        equal = next((one for one in found if one.arm == EQUAL), None)
        for one in sorted(found, key=lambda one: -one.change.delta):
            times = "" if equal is None else f"{one.seconds / equal.seconds:.1f}"
            change = "0" if one.arm == SINGLE else spelled(one.change)
            cells = (one.arm, len(one.worlds), change, spelled(one.against_equal))
            yield f"| {' | '.join(map(str, cells))} | {times} |"
        yield ""
    missing = left_out(by_conflict)
    if missing:
        yield missing
        yield ""


def sentences(conflict: float, found: Sequence[Measured]) -> Iterator[str]:
    """What the table says, in words."""
    equal = next((one for one in found if one.arm == EQUAL), None)
    if equal is not None and len(equal.worlds) >= FEWEST:
        change = equal.change
        said = Against(EQUAL, change.delta, change.low, change.high).compared
        yield f"Sharing with equal weights {said} a network for each task: {spelled(change)}."
    alone = [
        Against(one.arm, one.change.delta, one.change.low, one.change.high)
        for one in found
        if one.arm not in (SINGLE, EQUAL) and len(one.worlds) >= FEWEST
    ]
    if clear := [one for one in alone if one.said != "open"]:
        each = (f"`{one.name}` {one.compared} a network for each task" for one in clear)
        yield f"Beyond their interval, {'; '.join(each)}."
    compared = against_equal(found)
    if compared:
        yield counted(compared, "equal weights")
    else:
        yield "There are too few worlds for an interval of any method."
    for one in found:
        diff = one.against_equal
        if one.arm in SHARING and diff is not None and len(one.worlds) >= FEWEST:
            said = Against(one.arm, diff.delta, diff.low, diff.high).compared
            yield f"Sharing by `{one.arm}` {said} `hard`, both with equal weights: {spelled(diff)}."
    cosines = [
        float(np.mean(line["cosine"]))
        for line in lines(REDUCED)
        if line["arm"] == EQUAL and line["conflict"] == conflict and line["cosine"]
    ]
    if cosines:
        yield (
            "The mean cosine between the tasks' gradients at the shared parameters is "
            f"{np.mean(cosines):+.3f} under equal weights."
        )


def left_out(by_conflict: dict[float, list[Measured]]) -> str:
    """Which parts of the protocol are not there."""
    gaps = []
    for conflict, found in by_conflict.items():
        worlds = {one.arm: len(one.worlds) for one in found}
        short = [arm for arm in arms() if worlds.get(arm, 0) < REDUCED.worlds]
        if short:
            some = (
                f"{len(short)} of {len(arms())} methods have fewer"
                if found
                else "no comparison yet"
            )
            gaps.append(f"conflict {conflict:g}: {some}")
    if not gaps:
        return ""
    return (
        f"The protocol has {REDUCED.worlds} worlds for every method at every conflict, which was "
        f"not reached: {'; '.join(gaps)}. `python benchmarks/scenes.py --reduced` continues."
    )


# Tables


def of_tables() -> Iterator[str]:
    """SARCOS and School: differences to equal weights and to single tasks."""
    for data, found, lower in tables():
        sign = -1 if lower else 1
        rows = list(found["summary"].items())
        gains = [gain(name, one["minus equal"], sign) for name, one in rows if of_a_method(name)]
        alone = [
            gain(name, one["minus single-task"], sign)
            for name, one in rows
            if name == EQUAL or of_a_method(name)
        ]
        said = {word: sum(one.said == word for one in alone) for word in ("better", "worse")}
        yield f"## {data.upper() if data == 'sarcos' else data.title()}: {SETS[data]}"
        yield ""
        yield (
            f"{found['metric'].replace('_', ' ')} on test rows, {found['divisions']} splits, "
            "corrected resampled t intervals (Nadeau and Bengio); gains are turned so that above "
            f"0 is better. Results: [balancing-{data}.json]({LINK}/tasks/balancing-{data}.json)."
        )
        yield ""
        yield (
            f"Against a network for each task, {said['better']} of {len(alone)} ways to learn "
            f"together are better and {said['worse']} are worse. {counted(gains, 'equal weights')}"
            f" Not compared here: {listed(not_run(found))}."
        )
        yield ""
        yield "| method | gain on equal weights | gain on a network for each task | time |"
        yield "| --- | --- | --- | --- |"
        seconds = found["seconds"]
        mean = {name: sign * one["mean"] for name, one in rows}
        for name, one in sorted(rows, key=lambda row: -mean[row[0]]):
            if name == SINGLE:
                continue
            parts = [one["minus equal"], one["minus single-task"]]
            cells = [spelled_gain(gain(name, part, sign)) for part in parts]
            times = f"{seconds[name] / seconds[EQUAL]:.1f}"
            yield f"| {name} | {'' if name == EQUAL else cells[0]} | {cells[1]} | {times} |"
        yield ""


def of_a_method(name: str) -> bool:
    return name not in (EQUAL, SINGLE)


def gain(name: str, difference: dict[str, object], sign: int) -> Against:
    delta, ends = difference["delta"], difference["ci95"]
    assert isinstance(delta, float)
    assert isinstance(ends, list)
    low, high = sorted(sign * float(end) for end in ends)
    return Against(name, sign * delta, low, high)


def spelled_gain(one: Against) -> str:
    return f"{one.gain:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"


# The page


def page() -> str:
    """Markdown."""
    return "\n".join([*beginning(), *of_scenes(), *of_tables(), *end()]) + "\n"


def beginning() -> Iterator[str]:
    yield "# Which balancing method when"
    yield ""
    yield "<!-- made by benchmarks/balancing_page.py -->"
    yield ""
    yield (
        "A weighting decides how much each task's loss counts; a surgery changes the tasks' "
        "gradients before they are added. There are "
        f"{len(names('multitask'))} of them here "
        "([all with their equations](../algorithms/README.md)). What follows is what they were "
        "worth in our own comparisons, at one budget and one learning rate for all."
    )
    yield ""
    yield "## In short"
    yield ""
    yield from (f"{number}. {text}" for number, text in enumerate(points(), 1))
    yield ""
    yield from by_method()
    yield ""


def points() -> Iterator[str]:
    """What the results allow to say."""
    changed = turned()
    yield (
        "**Whether to share comes first.** Against a network for each task, equal weights gain or "
        f"lose: {'; '.join(shares())}. "
        + (
            f"Balancing turns a loss into a gain on {'; '.join(changed)}. "
            if changed
            else "On no data set does balancing turn a clear loss into a clear gain. "
        )
        + "`multitask` and `evaluate` measure it for your tasks."
    )
    yield (
        f"**Begin with `{EQUAL}`.** Comparisons with it whose interval leaves out 0: "
        f"{tally('better')} better, {tally('worse')} worse; {tally('open')} include it. At 95 % "
        "about one comparison in 20 leaves it out by chance, and nothing here is corrected for "
        "their number."
    )
    yield (
        "**A surgery costs a backward pass for each task.** The last column of each table is the "
        "processor time of a training, where that with equal weights takes 1."
    )
    yield (
        "**Then measure on your own tasks**: `metacli multitask RECIPE -o a`, the same with "
        "`weighting.name=uncertainty -o b` or `surgery.name=nash-mtl -o b`, `metacli evaluate` "
        "both, and `metacli compare a b`."
    )


def every() -> list[tuple[str, list[Against]]]:
    """All comparisons with equal weights, by what they are on."""
    found = [
        (f"scenes, conflict {conflict:g}", against_equal(measured(REDUCED, conflict)))
        for conflict in sorted(REDUCED.conflicts)
    ]
    for data, one, lower in tables():
        rows = one["summary"].items()
        sign = -1 if lower else 1
        gains = [gain(name, row["minus equal"], sign) for name, row in rows if of_a_method(name)]
        found.append((data, gains))
    return [(name, gains) for name, gains in found if gains]


def by_method() -> Iterator[str]:
    """Each method with the data on which its difference to equal weights has an interval."""
    found = every()
    yield "Compared with equal weights, method by method:"
    yield ""
    yield "| method | better on | worse on | not told apart on |"
    yield "| --- | --- | --- | --- |"
    for name in names("multitask"):
        places: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
        for data, gains in found:
            for one in gains:
                if one.name == name:
                    places[one.said].append(data)
        if any(places.values()):
            cells = ("; ".join(places[said]) for said in ("better", "worse", "open"))
            yield f"| {name} | {' | '.join(cells)} |"


def tally(said: str) -> str:
    total = [one for _, gains in every() for one in gains if one.said == said]
    return str(len(total))


def shares() -> Iterator[str]:
    """Whether equal weights beat a network for each task, by data."""
    for conflict in sorted(REDUCED.conflicts):
        for one in measured(REDUCED, conflict):
            if one.arm == EQUAL and len(one.worlds) >= FEWEST:
                yield f"scenes at conflict {conflict:g} {spelled(one.change)}"
    for data, found, lower in tables():
        one = gain(EQUAL, found["summary"][EQUAL]["minus single-task"], -1 if lower else 1)
        yield f"{data} {spelled_gain(one)} ({found['metric'].replace('_', ' ')})"


def turned() -> list[str]:
    """Where a method is clearly better than a network for each task and equal weights are clearly
    worse."""
    found = []
    for conflict in sorted(REDUCED.conflicts):
        rows = {one.arm: one for one in measured(REDUCED, conflict)}
        equal = rows.get(EQUAL)
        if equal is None or not equal.change.high < 0:
            continue
        better = [arm for arm, one in rows.items() if one.change.low > 0 and arm not in SHARING]
        if better:
            found.append(f"scenes at conflict {conflict:g} ({listed(better)})")
    for data, one, lower in tables():
        sign = -1 if lower else 1
        alone = {
            name: gain(name, row["minus single-task"], sign) for name, row in one["summary"].items()
        }
        better = [name for name, row in alone.items() if row.said == "better"]
        if alone[EQUAL].said == "worse" and better:
            found.append(f"{data} ({listed(better)})")
    return found


def end() -> Iterator[str]:
    yield "## What this does not say"
    yield ""
    yield (
        "Each comparison has one network, one budget and one learning rate for all methods. A rate "
        "of its own for each would be fairer to methods that scale the gradient, and networks "
        "trained to the end might order them otherwise: the full protocol of scenes has both and "
        "was not run. D. Xin and others (NeurIPS 2022) find equal weights as good as the others "
        "once all are tuned."
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
