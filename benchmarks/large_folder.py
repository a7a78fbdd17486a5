"""Memory for a large folder: `python benchmarks/large_folder.py [PICTURES]`, 100,000 by default.

Writes `results/large_folder.json`: the peak memory of commands on a folder of many pictures and on
one of 1,000, each a process of its own. Reaching over 400 MB more is a failure.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"
SMALL, CLASSES, SIDE = 1000, 100, 8
LIMIT_MB = 400

COMMANDS: dict[str, list[str]] = {
    "inspect": ["inspect", "pictures"],
    "meta-train, decoding": ["meta-train", "pictures", "train.steps=1", "evaluate.episodes=2"],
}


def make(folder: Path, pictures: int) -> None:
    """So many different little PNG files in CLASSES class folders."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        place = folder / f"class{label:03}"
        place.mkdir(parents=True)
        for number in range(pictures // CLASSES):
            pixels = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
            (place / f"{number:05}.png").write_bytes(png(pixels))


def png(pixels: np.ndarray) -> bytes:
    """A grey PNG without compression, by hand: an encoder would take most of the time."""
    rows = np.concatenate([np.zeros((SIDE, 1), np.uint8), pixels], 1).tobytes()
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def measured(words: list[str], folder: Path, cache: Path) -> dict[str, float]:
    """Peak memory and seconds of one command, run in `folder`."""
    program = str(Path(sys.executable).with_name("metacli"))
    started = time.monotonic()
    environment = {**os.environ, "METACLI_CACHE": str(cache)}
    child = subprocess.Popen(
        [program, *words, "-q"], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"metacli {' '.join(words)} failed with {child.returncode}")
    return {
        "peak_mb": used.ru_maxrss / 1024,
        "seconds": time.monotonic() - started,
        "processor_seconds": used.ru_utime + used.ru_stime,
    }


def rows(pictures: int, folder: Path) -> dict[str, dict[str, float]]:
    """Every command on a folder of so many pictures."""
    make(folder / "pictures", pictures)
    return {name: measured(words, folder, folder / "cache") for name, words in COMMANDS.items()}


def compared(pictures: int) -> dict[str, Any]:
    """Peaks on the large and the small folder, and the difference."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        few, many = (rows(count, Path(name) / str(count)) for count in (SMALL, pictures))
    for command, one in many.items():
        found[command] = {
            f"{pictures} pictures": one,
            f"{SMALL} pictures": few[command],
            "more_mb": one["peak_mb"] - few[command]["peak_mb"],
        }
    return found


def main() -> None:
    pictures = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    found = compared(pictures)
    document = {"machine": platform.machine(), "pictures": pictures, "commands": found}
    (RESULTS / "large_folder.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    worst = max(one["more_mb"] for one in found.values())
    if worst > LIMIT_MB:
        raise SystemExit(f"{worst:.0f} MB more than for a small folder, at most {LIMIT_MB}")


if __name__ == "__main__":
    main()
