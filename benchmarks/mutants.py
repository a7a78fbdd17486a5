"""Small wrong changes of the code that computes, and whether a test notices each:

    python benchmarks/mutants.py [--jobs N] [--most N] [--again] [MODULE...]

Draws mutants (`mutations.py`) of the modules of `AREAS` with a committed seed and a quota for each
module, and runs the tests that execute the changed line, fastest first, until one fails. Which
those are is measured once (`mutant_map.py`). What was tried already is kept in
build/mutants/done.jsonl, and in the result while a module is as it was, so a run that was stopped
is continued. Writes results/mutants.json. Takes hours; no part of CI.

    --jobs   processes at a time, at most 2
    --most   ends after this many mutants
    --again  tries again those that survived
    --map    runs all tests to find out which go with which module, and writes mutant_tests.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import mutant_runs
from mutant_map import (
    AREAS,
    BUDGET,
    Map,
    lines_of,
    listed_files,
    make_map,
    modules,
    test_files,
    write_tests,
)
from mutant_runs import BUILD, ROOT, Ended
from mutations import OPERATORS, Mutant, in_function, mutants, mutated

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "mutants.json"
EQUIVALENT = HERE / "mutants_equivalent.json"
DONE, COLD = BUILD / "done.jsonl", BUILD / "cold.txt"
SEED = 20
SHARE, FEWEST, MOST = 0.066, 2, 12  # of a module's mutants: drawn, at least and at most
SPARE = 3.0  # a mutant may take this many times as long, and `START` seconds
START = 12
STUCK = 40  # seconds without any processor time


def drawn(module: str) -> list[Mutant]:
    """A module's quota: its operators take turns, so that constants do not crowd out the rest."""
    every = mutants(module)
    draw = random.Random(f"{SEED} {module}")
    draw.shuffle(every)
    kinds = [[one for one in every if one.operator == operator] for operator in OPERATORS]
    draw.shuffle(kinds)
    turns = [kind[i] for i in range(max(map(len, kinds))) for kind in kinds if i < len(kind)]
    quota = min(MOST, max(FEWEST, round(SHARE * len(every))))
    return sorted(turns[:quota], key=lambda one: one.number)


def measure(wanted: Sequence[str], jobs: int, most: int, again: bool) -> None:
    known, where = read_done(), Map.read()
    chosen = [
        one for module in modules() if not wanted or module in wanted for one in drawn(module)
    ]
    todo = [one for one in chosen if one.key not in known or (again and survived(known[one.key]))]
    if untested := sorted({one.module for one in todo if not where.tests(one)}):
        raise SystemExit(f"no test file is listed for {', '.join(untested)}; run with --map")
    random.Random(SEED).shuffle(todo)  # a run that is stopped has tried some of every area
    print(f"{len(chosen)} mutants, {len(todo)} to try", flush=True)
    for count, (mutant, how) in enumerate(both_ways(todo[:most], where, jobs), 1):
        if how.how in ("not exchanged", "stuck"):  # the next run makes the change in the other way
            with COLD.open("a", encoding="utf-8") as file:
                file.write(mutant.key + "\n")
            continue
        entry = {**mutant.as_dict(), "how": how.how, "by": how.test, "seconds": how.seconds}
        known[mutant.key] = entry
        with DONE.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        print(how.how, how.seconds, mutant.key, how.test or "", flush=True)
        if count % 20 == 0:
            write_result(known)
    write_result(known)


def both_ways(todo: Sequence[Mutant], where: Map, jobs: int) -> Iterator[tuple[Mutant, Ended]]:
    """First the changes outside of functions, before metacli is imported here; then all others."""
    other_way = set(COLD.read_text(encoding="utf-8").splitlines()) if COLD.is_file() else set()
    cold = [one for one in todo if not in_function(one) or one.key in other_way]
    yield from outcomes(cold, where, jobs, warm=False)
    rest = [one for one in todo if one not in cold]
    if rest:
        files = {test.partition("::")[0] for one in rest for test in where.tests(one)}
        mutant_runs.preload_metacli(sorted(files))
    yield from outcomes(rest, where, jobs, warm=True)


def outcomes(
    todo: Sequence[Mutant], where: Map, jobs: int, *, warm: bool
) -> Iterator[tuple[Mutant, Ended]]:
    """Every mutant with how its tests ended, `jobs` at a time."""
    waiting, running = list(reversed(todo)), dict[int, tuple[Mutant, str, Idle]]()
    names = [f"job{i}" for i in range(jobs)]
    while waiting or running:
        while waiting and names:
            mutant = waiting.pop()
            if not (tests := where.tests(mutant)):
                yield mutant, Ended("passed", None, 0.0)
                continue
            limit = START + round(
                SPARE * min(BUDGET, sum(where.seconds.get(one, 1.0) for one in tests))
            )
            change, name = (mutant.module, mutated(mutant)), names.pop()
            child = mutant_runs.started(tests, limit, change, name, warm=warm)
            running[child] = (mutant, name, Idle(child))
        for child, status, used in finished(running):
            mutant, name, _ = running.pop(child)
            names.append(name)
            yield mutant, mutant_runs.ended(status, used, name)


@dataclass
class Idle:
    """How long a process has used no processor time."""

    child: int
    used: int = -1
    since: float = 0.0

    def seconds(self) -> float:
        fields = Path(f"/proc/{self.child}/stat").read_text().rpartition(") ")[2].split()
        used, now = int(fields[11]) + int(fields[12]), time.monotonic()
        if used != self.used:
            self.used, self.since = used, now
        return now - self.since


def finished(running: dict[int, tuple[Mutant, str, Idle]]) -> Iterator[tuple[int, int, Any]]:
    """Children that have ended; one that waits for ever, without using time, is killed."""
    for child, (_, _, idle) in list(running.items()):
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            yield child, status, used
        elif idle.seconds() > STUCK:
            os.kill(child, signal.SIGKILL)
    time.sleep(0.05)


def survived(entry: dict[str, Any]) -> bool:
    return entry["how"] == "passed"


def read_done() -> dict[str, dict[str, Any]]:
    """The last word on each mutant that is drawn: of the committed result, where the module is as
    it was and the mutant was killed, and of this machine."""
    told = json.loads(RESULT.read_text())["mutants"] if RESULT.is_file() else []
    before = {
        same(one): {**one, "how": "failed", "by": one.get("by")}
        for one in told
        if one["outcome"] == "killed" and one.get("code") == code_of(one["module"])
    }
    lines = DONE.read_text().splitlines() if DONE.is_file() else []
    before |= {same(one): one for one in map(json.loads, lines)}
    every = [one for module in modules() for one in drawn(module)]
    return {one.key: before[found] for one in every if (found := same(one.as_dict())) in before}


def same(one: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a change from the others, whatever its number is."""
    return one["module"], one["line"], one["operator"], one["before"], one["after"]


@cache
def code_of(module: str) -> str:
    """Tells whether a module is as it was."""
    path = ROOT / module
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""


def write_result(known: dict[str, dict[str, Any]]) -> None:
    """Of the mutants that are drawn now: every one with its outcome, and the share killed."""
    reasons = json.loads(EQUIVALENT.read_text()) if EQUIVALENT.is_file() else {}
    every = [one for module in modules() for one in drawn(module)]
    told = []
    for mutant in every:
        if (entry := known.get(mutant.key)) is not None:
            found = {
                name: entry[name] for name in ("module", "line", "operator", "before", "after")
            }
            found["code"] = code_of(mutant.module)
            how = "survived" if survived(entry) else "killed"
            if how == "survived" and (reason := reasons.get(name_of(mutant))):
                told.append({**found, "outcome": "equivalent", "reason": reason})
            else:
                by = entry["by"] or {"timeout": "ran out of time", "error": "could not start"}.get(
                    entry["how"]
                )
                told.append({**found, "outcome": how, **({"by": by} if by else {})})
    counts = Counter(one["outcome"] for one in told)
    real = counts["killed"] + counts["survived"]
    areas = Counter((area_of(one["module"]), one["outcome"]) for one in told)
    document = {
        "seed": SEED,
        "drawn": len(every),
        "tried": len(told),
        **{outcome: counts[outcome] for outcome in ("killed", "survived", "equivalent")},
        "killed_share": round(counts["killed"] / real, 4) if real else None,
        "areas": {
            area: {how: areas[area, how] for how in ("killed", "survived", "equivalent")}
            for area in AREAS
        },
        "mutants": told,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


def name_of(mutant: Mutant) -> str:
    """What the list of equivalent mutants calls it: line numbers move, the text does not; but of a
    constant the text says too little."""
    place = f"{mutant.module}:{mutant.line}" if mutant.operator == "constant" else mutant.module
    return f"{place}: {mutant.before} -> {mutant.after}"


def area_of(module: str) -> str:
    return next(area for area in AREAS if module.startswith(area))


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=1e9, help="of the map, then it stops")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--map", action="store_true", help="measure which tests run which lines")
    parser.add_argument("--list", action="store_true", help="print the draw and end")
    parser.add_argument("modules", nargs="*")
    given = parser.parse_args(words)
    BUILD.mkdir(parents=True, exist_ok=True)
    if given.list:
        for module in modules():
            for one in drawn(module):
                print(one.operator, one.key)
        return
    mutant_runs.preload()
    until = time.monotonic() + 60 * given.minutes
    if given.map:
        make_map(test_files(), until)
        write_tests()
        return
    if any(not lines_of(file).is_file() for file in listed_files()):
        os.waitpid(mutant_runs.forked(lambda: make_map(listed_files(), until)), 0)
    measure(given.modules, given.jobs, given.most, given.again)


if __name__ == "__main__":
    main(sys.argv[1:])
