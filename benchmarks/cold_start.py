"""From a cold start to a saved model: `metacli adapt DATA` in a fresh process, its cache without
features, on 25 photographs of 5 classes (flowers12), on 25 texts of 5 classes (CLINC150), and on a
table of 500 rows of 1,280 numbers, as embeddings are, in 5 classes (drawn here).

    python benchmarks/cold_start.py TIMES  # writes results/cold_start.json after each call

The package's own files are compiled before, as an installer compiles them.

Asked: under 6 s for the photographs, 4 s for the texts and 3 s for the table on two quiet cores.
What is counted is processor time of the process (user and system), which other work on the machine
makes a little longer, and not how long one waits for it. Machines differ by a factor of two, so
`import torch` alone, which is a part of each, is timed in the same run.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from own_data import shared

RESULT = Path(__file__).parent / "results" / "cold_start.json"
CLASSES = SHOTS = 5
ROWS, COLUMNS = 500, 1280
IMPORT = "import torch"


def photographs(folder: Path) -> Path:
    """The first images of the first classes."""
    with zipfile.ZipFile(shared("flowers12") / "flowers12.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("train/") and n[-4:] == ".jpg")
        for label in sorted({name.split("/")[1] for name in names})[:CLASSES]:
            for name in [one for one in names if one.split("/")[1] == label][:SHOTS]:
                path = folder / label / Path(name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    return folder


def texts(path: Path) -> Path:
    """The first texts of the first intents."""
    rows = json.loads((shared("clinc150") / "data_full.json").read_text())["train"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for label in sorted({label for _, label in rows})[:CLASSES]:
            writer.writerows([row for row in rows if row[1] == label][:SHOTS])
    return path


def embeddings(path: Path) -> Path:
    """Normal numbers around a centre for each class."""
    draw = np.random.default_rng(0)
    labels, centres = draw.integers(0, CLASSES, ROWS), 0.12 * draw.normal(size=(CLASSES, COLUMNS))
    rows = centres[labels] + draw.normal(size=(ROWS, COLUMNS))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"e{number}" for number in range(COLUMNS)), "label"])
        for label, row in zip(labels, rows, strict=True):
            writer.writerow([*(f"{value:.5f}" for value in row), f"class{label}"])
    return path


def seconds_of(task: Path | None, folder: Path, cache: Path, compiled: Path) -> float:
    """Processor time of one call; without a task, of importing torch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "metacli", "adapt", str(task), "-o", str(folder), "--quiet"]
    if task is None:
        command = [sys.executable, "-c", "import torch"]
    # As the command sets it before it imports torch.
    environment = environment_with(compiled) | {"OMP_WAIT_POLICY": "passive"}
    environment["METACLI_CACHE"] = str(cache)
    subprocess.run(command, check=True, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def environment_with(compiled: Path) -> dict[str, str]:
    """The environment in which compiled files are kept in, and read from, a folder."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(compiled)}


def main(times: int) -> None:
    names = (IMPORT, "25 photographs", "25 texts", f"{ROWS} rows")
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        tasks = (
            None,
            photographs(base / "photographs"),
            texts(base / "texts.csv"),
            embeddings(base / "embeddings.csv"),
        )
        compiled = base / "compiled"
        first = [sys.executable, "-m", "metacli", "doctor", "--quiet"]
        subprocess.run(first, check=True, env=environment_with(compiled), capture_output=True)
        for task in tasks:  # whatever is imported is compiled now
            seconds_of(task, base / f"first {task and task.name}", base / "first", compiled)
        for number in range(times):
            for what, task in zip(found, tasks, strict=True):
                cache = base / f"cache {number} {what}"
                found[what].append(
                    round(seconds_of(task, base / f"m{number}{what}", cache, compiled), 2)
                )
                print(what, found[what][-1], flush=True)
                write(found)


def write(found: dict[str, list[float]]) -> None:
    alone = min(found[IMPORT])
    rows = {
        name: {"smallest": min(all_), "of import torch": round(min(all_) / alone, 2), "all": all_}
        for name, all_ in found.items()
        if all_
    }
    result = {"machine": f"{os.cpu_count()} cores, shared with other work", "seconds": rows}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
