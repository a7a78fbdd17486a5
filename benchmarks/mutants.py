"""Small wrong changes of the code that computes, and whether a test notices each:

    python benchmarks/mutants.py [--jobs N] [--most N] [--again] [MODULE...]

Draws mutants (`mutations.py`) of the modules of `AREAS` with a committed seed and a quota for each
module, and runs the tests that execute the changed line, fastest first, until one fails. Which
those are is measured once (`--map`: lines in build/mutants/, and `mutant_tests.json`, which test
files go with each module). What was tried already is kept in build/mutants/done.jsonl, so a run
that was stopped is continued. Writes results/mutants.json. Takes hours; no part of CI.

    --jobs   processes at a time, at most 2
    --most   ends after this many mutants
    --again  tries again those that survived
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import mutant_runs
from mutant_runs import BUILD, ROOT, Ended, Witness
from mutations import OPERATORS, Mutant, mutants, mutated

HERE = Path(__file__).resolve().parent
RESULT, TESTS = HERE / "results" / "mutants.json", HERE / "mutant_tests.json"
EQUIVALENT = HERE / "mutants_equivalent.json"
DONE, COLD, LINES = BUILD / "done.jsonl", BUILD / "cold.txt", BUILD / "lines"
SEED = 20
SHARE, FEWEST, MOST = 0.066, 2, 12  # of a module's mutants: drawn, at least and at most
AREAS = (
    *("metacli/algorithms", "metacli/nn", "metacli/engine/storage", "metacli/autodiff.py"),
    *("metacli/engine/scoring/intervals.py", "metacli/engine/adapting/splits.py"),
    *("metacli/engine/training/multi_task/guard.py", "metacli/data/multi_task/splits.py"),
    *("metacli/data/tables/encoding.py", "metacli/data/few_shot/episodes.py"),
    *("metacli/engine/scoring/episodes.py", "metacli/engine/exporting/parity.py"),
)
BUDGET = 15.0  # seconds of processor time: the tests of one mutant take at most this without it
SPARE = 3.0  # a mutant may take this many times as long, and `START` seconds
START = 12
NO_TESTS = 5  # pytest's exit code
STATE_DEFAULTS = ("tests/test_pages.py",)
UNTRIED = (
    "tests/faults",
    "tests/ci",
    "tests/test_wheel",
    "tests/test_packaging",
    "tests/test_speed",
)


def modules() -> list[str]:
    """Of every area the files, without those that hold no code."""
    found: list[str] = []
    for area in AREAS:
        path = ROOT / area
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert files, area
        found += [str(one.relative_to(ROOT)) for one in files]
    return found


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


# ---- Which tests run a line ----


def test_files() -> list[str]:
    found = sorted(str(one.relative_to(ROOT)) for one in (ROOT / "tests").rglob("test_*.py"))
    return [one for one in found if not one.startswith(UNTRIED)]


def make_map(until: float) -> None:
    """The lines of every test file's tests, each file in a fork of its own; those that are there
    are kept. Ends when `until` (of the monotonic clock) has passed."""
    LINES.mkdir(parents=True, exist_ok=True)
    mutant_runs.preload_metacli()
    for file in test_files():
        target = LINES / (file.replace("/", "+") + ".json")
        if target.is_file():
            continue
        if time.monotonic() > until:
            return
        os.waitpid(mutant_runs.forked(lambda file=file, target=target: map_one(file, target)), 0)
        print(file, "mapped" if target.is_file() else "NOT mapped", flush=True)


def map_one(file: str, target: Path) -> None:
    """In a fork: the lines that a file's tests run, where all of them pass."""
    watched = frozenset(str(ROOT / one) for one in modules())
    told = mutant_runs.in_child(["--maxfail=1000", file], 900, "map", Witness(watched))
    if told["code"] in (0, NO_TESTS):
        target.write_text(json.dumps(told))


def write_tests() -> None:
    """The committed table: of every module the test files that run its functions, best first."""
    table: dict[str, dict[str, float]] = {one: {} for one in modules()}
    for path in sorted(LINES.glob("*.json")):
        told = json.loads(path.read_text())
        for test, files in told["lines"].items():
            for module, lines in files.items():
                if module in table:
                    file = test.partition("::")[0]
                    table[module][file] = table[module].get(file, 0) + len(lines)
    best = {
        module: sorted(files, key=lambda one, files=files: (-files[one], one))
        for module, files in table.items()
    }
    TESTS.write_text(json.dumps(best, indent=0) + "\n")


@dataclass(frozen=True)
class Map:
    """Which tests run which lines, and how long each takes by itself."""

    runs: dict[str, dict[int, list[str]]]  # module → line → tests
    seconds: dict[str, float]

    @staticmethod
    def read() -> Map:
        runs: dict[str, dict[int, list[str]]] = {}
        seconds: dict[str, float] = {}
        wanted = json.loads(TESTS.read_text())
        for path in sorted(LINES.glob("*.json")):
            told = json.loads(path.read_text())
            seconds |= told["each"]
            for test, files in told["lines"].items():
                file = test.partition("::")[0]
                for module, lines in files.items():
                    if file in wanted.get(module, ()):
                        for line in lines:
                            runs.setdefault(module, {}).setdefault(line, []).append(test)
        return Map(runs, seconds)

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that run its line, or where none does so inside of a function (a default, a
        constant of the module) any of the module's; the fastest first, up to the budget."""
        lines = self.runs.get(mutant.module, {})
        found, first = lines.get(mutant.line, []), list[str]()
        if not found:  # a default, which the pages of methods state, or a constant of the module
            first = [one for one in self.seconds if one.startswith(STATE_DEFAULTS)]
            found = list(dict.fromkeys(test for one in lines.values() for test in one))
        near = Path(mutant.module).stem
        found = sorted(
            found, key=lambda one: (near not in one.partition("::")[0], self.seconds[one])
        )
        kept, total = [], 0.0
        for test in (*first, *found):
            total += self.seconds[test]
            if total > BUDGET and kept:
                break
            kept.append(test)
        return by_file(kept)


def by_file(tests: Sequence[str]) -> list[str]:
    """In this order, but those of one file together: each is collected once."""
    files = dict.fromkeys(one.partition("::")[0] for one in tests)
    return [one for file in files for one in tests if one.partition("::")[0] == file]


# ---- Runs ----


def measure(wanted: Sequence[str], jobs: int, most: int, again: bool) -> None:
    known, where = read_done(), Map.read()
    chosen = [
        one for module in modules() if not wanted or module in wanted for one in drawn(module)
    ]
    todo = [one for one in chosen if one.key not in known or (again and survived(known[one.key]))]
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
            file.write(json.dumps({"key": mutant.key, **entry}) + "\n")
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


def in_function(mutant: Mutant) -> bool:
    """Whether only the body of a function is changed: defaults belong to the module."""
    for node in ast.walk(ast.parse((ROOT / mutant.module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            last = node.end_lineno or 0
            if node.body[0].lineno <= mutant.line <= last:
                return True
    return False


def outcomes(
    todo: Sequence[Mutant], where: Map, jobs: int, *, warm: bool
) -> Iterator[tuple[Mutant, Ended]]:
    """Every mutant with how its tests ended, `jobs` at a time."""
    waiting, running = list(reversed(todo)), dict[int, tuple[Mutant, str, float]]()
    names = [f"job{i}" for i in range(jobs)]
    while waiting or running:
        while waiting and names:
            mutant = waiting.pop()
            if not (tests := where.tests(mutant)):
                yield mutant, Ended("passed", None, 0.0)
                continue
            limit = START + round(SPARE * min(BUDGET, sum(where.seconds[one] for one in tests)))
            change, name = (mutant.module, mutated(mutant)), names.pop()
            child = mutant_runs.started(tests, limit, change, name, warm=warm)
            running[child] = (mutant, name, time.monotonic() + 12 * limit)
        for child, status, used in finished(running):
            mutant, name, _ = running.pop(child)
            names.append(name)
            yield mutant, mutant_runs.ended(status, used, name)


def finished(running: dict[int, tuple[Mutant, str, float]]) -> Iterator[tuple[int, int, Any]]:
    """Children that have ended; one that waits for ever, without using time, is killed."""
    for child, (_, _, until) in list(running.items()):
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            yield child, status, used
        elif time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
    time.sleep(0.05)


def survived(entry: dict[str, Any]) -> bool:
    return entry["how"] == "passed"


def read_done() -> dict[str, dict[str, Any]]:
    """The last word on each mutant."""
    lines = DONE.read_text().splitlines() if DONE.is_file() else []
    return {one.pop("key"): one for one in map(json.loads, lines)}


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
    """What the list of equivalent mutants calls it: line numbers move, the text does not."""
    return f"{mutant.module}: {mutant.before} -> {mutant.after}"


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
    if given.map or not TESTS.is_file():
        make_map(time.monotonic() + 60 * given.minutes)
        write_tests()
    if not given.map:
        measure(given.modules, given.jobs, given.most, given.again)


if __name__ == "__main__":
    main(sys.argv[1:])
