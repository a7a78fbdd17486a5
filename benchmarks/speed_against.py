"""Whether an outer step takes as long as at an earlier commit: `python benchmarks/speed_against.py
COMMIT` writes results/speed_against.json.

A work tree of the commit is made in a temporary folder. Three processes of one thread each compute
with the network and episodes of `speed.py` of their version: that of now, the one before, and now
once more as a control. After a warm-up they take turns in every order, so that what else the
machine does concerns all alike. A process keeps the memory layout that it was given, which alone
moves a step by some percent; so all is repeated with new processes, and the interval is over those.
Reported are the ratios of processor time, now / before and now / now, and whether all directions
have the same bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

HERE = Path(__file__).parent
FILE = HERE / "results" / "speed_against.json"
WAY, QUERY, STEPS, TASKS = 5, 1, 1, 4


class Turn(NamedTuple):
    """Processor time of some outer steps, and a hash of the last direction."""

    seconds: float
    digest: str


class Version:
    """A process that computes outer steps with the metacli of one work tree."""

    def __init__(self, tree: Path, algorithm: str) -> None:
        paths = os.pathsep.join([str(tree), str(tree / "benchmarks")])
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve", algorithm],  # -P: not this speed.py
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, steps: int) -> Turn:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(steps, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a version ended before its turn: see above")
        return Turn(*json.loads(line))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def serve(algorithm: str) -> None:
    """Outer steps, as many as each line of stdin says; run in the work tree that is measured."""
    import speed  # of that work tree
    import torch

    torch.set_num_threads(1)
    shape = speed.Shape(algorithm, WAY, QUERY, STEPS, TASKS)
    step = speed.implementations(shape)["loop"]
    episodes = speed.episodes_of(shape).meta_batch_at(0)
    params, network = speed.start(shape, torch.float32)
    for line in sys.stdin:
        before = time.process_time()
        for _ in range(int(line)):
            direction = step(params, network, episodes)
        seconds = time.process_time() - before
        parts = [direction[name].detach().numpy().tobytes() for name in sorted(direction)]
        print(json.dumps([seconds, hashlib.sha256(b"".join(parts)).hexdigest()]), flush=True)


def turned(names: list[str], number: int) -> list[str]:
    """The names beginning with another one each time, every other time backwards: who is first has
    a disadvantage."""
    first = number % len(names)
    order = names[first:] + names[:first]
    return order if number % 2 == 0 else order[::-1]


def start(trees: dict[str, Path], algorithm: str) -> dict[str, Version]:
    return {name: Version(tree, algorithm) for name, tree in trees.items()}


def measured(versions: dict[str, Version], rounds: int, steps: int) -> dict[str, float]:
    """The median processor time of a step of each, the versions taking turns."""
    times: dict[str, list[float]] = {name: [] for name in versions}
    for number in range(rounds):
        for name in turned(list(versions), number):
            times[name].append(versions[name].turn(steps).seconds / steps)
    return {name: float(np.median(each)) for name, each in times.items()}


def interval(ratios: np.ndarray) -> dict[str, float]:
    """The mean of the logarithms of ratios [processes], and Student's interval of it."""
    logs = np.log(ratios)
    half = t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    low, mean, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    return {"ratio": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}


def compared(
    trees: dict[str, Path], algorithm: str, processes: int, rounds: int, steps: int
) -> dict[str, Any]:
    """Both ratios, and whether all versions gave the same bits."""
    found, digests = [], set()
    for number in range(processes):
        versions = start({name: trees[name] for name in turned(list(trees), number)}, algorithm)
        digests |= {one.turn(1).digest for one in versions.values()}  # which warms up, too
        found.append(measured(versions, rounds, steps))
        for one in versions.values():
            one.close()
    each = {name: np.array([one[name] for one in found]) for name in trees}
    return {
        "now_by_before": interval(each["now"] / each["before"]),
        "now_by_now": interval(each["now"] / each["again"]),
        "seconds": {name: round(float(np.median(times)), 5) for name, times in each.items()},
        "same_bits": len(digests) == 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", nargs="?", help="to compare with")
    parser.add_argument("--processes", type=int, default=6, help="of each version")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3, help="outer steps of a turn")
    parser.add_argument("--algorithm", default="maml")
    parser.add_argument("--serve", metavar="ALGORITHM", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    if not given.commit:
        parser.error("which commit?")
    root = HERE.parent
    git = ["git", "-C", str(root)]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        subprocess.run([*git, "worktree", "add", "-q", "--detach", tree, given.commit], check=True)
        try:
            trees = {"now": root, "before": tree, "again": root}
            found = compared(trees, given.algorithm, given.processes, given.rounds, given.steps)
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", tree], check=True)
    names = [
        subprocess.run(
            [*git, "rev-parse", "--short", one], check=True, capture_output=True, text=True
        ).stdout.strip()
        for one in ("HEAD", given.commit)
    ]
    from run import machine

    result = {
        "what": f"one outer step of {given.algorithm}, {WAY}-way 1-shot, {STEPS} inner step, "
        f"{TASKS} tasks one by one, conv4 of width 64, one thread, processor time",
        "now": names[0],
        "before": names[1],
        "processes": given.processes,
        "rounds": given.rounds,
        "steps_of_a_turn": given.steps,
        **found,
        "machine": machine(),
    }
    FILE.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
