"""Which tests run which line of the modules that mutants are made of, measured once.

Every test file runs in a fork of its own with a tracer; the lines are in build/mutants/lines/. The
committed table `mutant_tests.json` says which test files go with each module, and is made of them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mutant_runs
from mutant_runs import BUILD, ROOT, Witness
from mutations import Mutant, in_function

TESTS, LINES = Path(__file__).resolve().parent / "mutant_tests.json", BUILD / "lines"
AREAS = (
    *("metacli/algorithms", "metacli/nn", "metacli/engine/storage", "metacli/autodiff.py"),
    *("metacli/engine/scoring/intervals.py", "metacli/engine/adapting/splits.py"),
    *("metacli/engine/training/multi_task/guard.py", "metacli/data/multi_task/splits.py"),
    *("metacli/data/tables/encoding.py", "metacli/data/tables/fitting.py"),
    "metacli/data/few_shot/episodes.py",
    *("metacli/engine/scoring/episodes.py", "metacli/engine/exporting/parity.py"),
)
BUDGET = 15.0  # seconds of processor time: the tests of one mutant take at most this without it
NO_TESTS = 5  # pytest's exit code
STATE_DEFAULTS = "tests/test_defaults.py"  # all of them, of every class that a recipe names
UNTRIED = (
    "tests/faults",
    "tests/ci",
    "tests/test_wheel",
    "tests/test_packaging",
    "tests/test_speed",
)


def modules() -> list[str]:
    """Of every area the files."""
    found: list[str] = []
    for area in AREAS:
        path = ROOT / area
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert files, area
        found += [str(one.relative_to(ROOT)) for one in files]
    return found


def test_files() -> list[str]:
    """All of them, for a new table."""
    found = sorted(str(one.relative_to(ROOT)) for one in (ROOT / "tests").rglob("test_*.py"))
    return [one for one in found if not one.startswith(UNTRIED)]


def listed_files() -> list[str]:
    """Those of the committed table."""
    table: dict[str, list[str]] = json.loads(TESTS.read_text())
    return sorted({file for files in table.values() for file in files if (ROOT / file).is_file()})


def make_map(files: Sequence[str], until: float) -> None:
    """The lines that the tests of these files run, each file in a fork of its own; those that are
    there are kept. Ends when `until` (of the monotonic clock) has passed."""
    LINES.mkdir(parents=True, exist_ok=True)
    mutant_runs.preload_metacli()
    for file in files:
        target = lines_of(file)
        if target.is_file():
            continue
        if time.monotonic() > until:
            return
        os.waitpid(mutant_runs.forked(lambda file=file, target=target: map_one(file, target)), 0)
        print(file, "mapped" if target.is_file() else "NOT mapped", flush=True)


def lines_of(file: str) -> Path:
    return LINES / (file.replace("/", "+") + ".json")


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
        if not in_function(mutant):  # whichever test imports the module first runs this line
            found, first = [], [STATE_DEFAULTS]
        if not found:
            found = list(dict.fromkeys(test for one in lines.values() for test in one))
        near = Path(mutant.module).stem
        found = sorted(
            found, key=lambda one: (near not in one.partition("::")[0], self.seconds[one])
        )
        kept, total = [], 0.0
        for test in (*first, *found):
            total += self.seconds.get(test, 1.0)
            if total > BUDGET and kept:
                break
            kept.append(test)
        return by_file(kept)


def by_file(tests: Sequence[str]) -> list[str]:
    """In this order, but those of one file together: each is collected once."""
    files = dict.fromkeys(one.partition("::")[0] for one in tests)
    return [one for file in files for one in tests if one.partition("::")[0] == file]
