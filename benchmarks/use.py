"""How long using a model takes: `python benchmarks/use.py MODEL`, a glyphs model for any number of
classes.

Writes `results/use.json`: `adapt` of 25 pictures as a shell command beside the import of torch
alone, `adapt --help` beside the start of Python, and the pictures that `predict` answers in a
second after it has started. On a shared machine only the processor's seconds mean something, so
both are given.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
RUNS = 5
PICTURES = 2000


def command(*words: str) -> dict[str, float]:
    """Median seconds of a process, of the clock and of the processor."""
    rows = []
    for _ in range(RUNS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append((time.monotonic() - started, used))
    wall, processor = (statistics.median(column) for column in zip(*rows, strict=True))
    return {"seconds": wall, "processor_seconds": processor}


def predicting(model: str, pictures: Path) -> dict[str, float]:
    """Pictures a second, after a first picture has been answered."""
    from metacli.engine.predict import predict

    first = next(pictures.rglob("*.png"))
    predict(model, str(first))
    wall, used = time.monotonic(), time.process_time()
    count = len(predict(model, str(pictures))["rows"])
    wall, used = time.monotonic() - wall, time.process_time() - used
    per = {"pictures_per_second": count / wall, "per_processor_second": count / used}
    return {"pictures": count, **per}


def main() -> None:
    (source,) = sys.argv[1:]
    from metacli.engine.adapt import adapt
    from metacli.engine.sample import sample

    program = str(Path(sys.executable).with_name("metacli"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample("glyphs", str(folder / "task"), way=5, shot=5, query=15, seed=1)
        task, mine = folder / "task" / "support", str(folder / "mine")
        adapt(source, str(task), out=mine)
        known = sorted((folder / "task" / "query").rglob("*.png"))
        many = folder / "many"
        many.mkdir()
        for number in range(PICTURES):
            shutil.copy(known[number % len(known)], many / f"{number:05}.png")
        rows: dict[str, Any] = {
            "adapt, 25 pictures": command(
                program, "adapt", source, str(task), "-o", mine, "--force"
            ),
            "import torch": command(sys.executable, "-c", "import torch"),
            "adapt --help": command(program, "adapt", "--help"),
            "start of Python": command(sys.executable, "-c", "pass"),
            "predict, after start": predicting(mine, many),
        }
    threads = os.environ.get("OMP_NUM_THREADS")
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": threads}
    document = {**facts, "model": json.loads((Path(source) / "run.json").read_text())["recipe"]}
    (RESULTS / "use.json").write_text(json.dumps({**document, "rows": rows}, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
