"""What `scenes.py` has measured: Δp of every arm against the networks apart, and against equal
weights.

    python benchmarks/scenes_table.py [--reduced]          # as Markdown
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from scenes import FULL, REDUCED, SINGLE, Protocol, arms, lines

from metacli.engine.scoring.dense_measures import MEASURES, delta_p
from metacli.engine.scoring.intervals import Difference, paired_t

EQUAL = "equal"


@dataclass(frozen=True)
class Measured:
    """An arm at one conflict, over worlds in which the networks apart were trained, too.

    Args:
        change: Δp against the networks apart. against_equal: minus Δp of equal weights in the same
            worlds; None of `equal` and where there are none. seconds: of a training, on average.
    """

    arm: str
    worlds: tuple[int, ...]
    change: Difference
    against_equal: Difference | None
    scores: dict[str, dict[str, float]]
    seconds: float


def measured(protocol: Protocol, conflict: float) -> list[Measured]:
    """What is there, in the order of the arms."""
    tested = [x for x in lines(protocol) if "test" in x and x["conflict"] == conflict]
    by_arm: dict[str, dict[int, dict[str, Any]]] = {}
    for line in tested:
        by_arm.setdefault(line["arm"], {})[line["world"]] = line
    alone = by_arm.get(SINGLE, {})
    deltas = {
        arm: {w: delta_p(x["test"], alone[w]["test"]) for w, x in found.items() if w in alone}
        for arm, found in by_arm.items()
    }
    return [made(arm, by_arm[arm], deltas) for arm in arms() if deltas.get(arm)]


def made(
    arm: str, found: dict[int, dict[str, Any]], deltas: dict[str, dict[int, float]]
) -> Measured:
    mine, equal = deltas[arm], deltas.get(EQUAL, {})
    both = [w for w in mine if w in equal and arm not in (EQUAL, SINGLE)]
    scores = {
        task: {
            name: float(np.mean([found[w]["test"][task][name] for w in mine])) for name in names_of
        }
        for task, names_of in MEASURES.items()
    }
    return Measured(
        arm,
        tuple(sorted(mine)),
        paired_t(np.array(list(mine.values()))),
        paired_t(np.array([mine[w] - equal[w] for w in both])) if both else None,
        scores,
        float(np.mean([found[w]["processor_seconds"] for w in mine])),
    )


def spelled(one: Difference | None) -> str:
    """`+1.2 % [-0.3, +2.7]`; of one world without an interval."""
    if one is None:
        return ""
    if not np.isfinite([one.low, one.high]).all():
        return f"{100 * one.delta:+.1f} %"
    return f"{100 * one.delta:+.1f} % [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"


def table(protocol: Protocol) -> str:
    """Δp of each arm and conflict, with its interval over worlds."""
    rows = ["| arm | conflict | worlds | Δp | minus equal | mIoU | depth error | mean angle |"]
    rows.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for conflict in sorted(protocol.conflicts):
        for one in measured(protocol, conflict):
            rows.append(  # noqa: PERF401
                f"| {one.arm} | {conflict:g} | {len(one.worlds)} | {spelled(one.change)} | "
                f"{spelled(one.against_equal)} | "
                f"{100 * one.scores['segmentation']['miou']:.1f} % | "
                f"{one.scores['depth']['abs_error']:.3f} | "
                f"{one.scores['normals']['mean_angle']:.1f}° |"
            )
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reduced", action="store_true")
    print(table(REDUCED if parser.parse_args().reduced else FULL))
