"""Kills, failing saves, damaged checkpoints and variants of every file that is read, counted:

    python benchmarks/faults.py [KILLS CHECKPOINTS VARIANTS] [READER...]

Writes benchmarks/results/faults.json after each part, with the numbers that were reached; what is
there of other parts stays. `tests/faults/` is the same code with smaller numbers.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
for folder in (HERE.parent, HERE.parent / "tests", HERE.parent / "tests" / "faults"):
    sys.path.insert(0, str(folder))

import disks  # noqa: E402
import kills  # noqa: E402
import torch  # noqa: E402
from campaign import SLOW, tried  # noqa: E402
from doors import doors  # noqa: E402

import metacli  # noqa: E402

FILE = HERE / "results" / "faults.json"
AT_ONCE = 2_000  # variants between two looks at the file


def main(words: list[str]) -> None:
    torch.set_num_threads(1)
    numbers = [int(one) for one in words if one.isdigit()]
    wanted = [one for one in words if not one.isdigit()]
    count_kills, count_damages, count_variants = (*numbers, *(500, 2_000, 50_000)[len(numbers) :])
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        os.environ["METACLI_CACHE"] = f"{scratch}/cache"
        place = Path(scratch)
        if count_damages:
            keep("saves", disks.saves(place / "saves").as_dict())
            keep("checkpoints", disks.damages(place / "damages", count_damages).as_dict())
        if count_kills:
            keep("kills", all_kills(place / "kills", count_kills))
        for name, make in doors(place / "doors").items():
            if count_variants and (not wanted or name in wanted):
                variants(name, make(), count_variants)


def all_kills(place: Path, count: int) -> dict[str, Any]:
    """Half of them of `meta-train`, the rest of the verbs that write a model or a file."""
    trained = kills.meta_trainings(place / "train", count // 2)
    adapted = kills.writings(place / "adapt", "adapt", kills.adapted, count - count // 2)
    return kills.together([trained, adapted]).as_dict()


def variants(name: str, door: Any, count: int) -> None:
    """In parts, so that what was reached is there whenever this ends."""
    sums: dict[str, Any] = {}
    for first in range(0, count, AT_ONCE):
        found = tried(door, min(AT_ONCE, count - first), first=first)
        for key, value in found.as_dict().items():
            sums[key] = round(sums.get(key, 0) + value, 1)
        for kind, times in found.kinds.most_common(5):
            print(f"{name}: {times} x {kind}", file=sys.stderr)
        keep("variants", {name: sums})


def keep(part: str, found: dict[str, Any]) -> None:
    known = json.loads(FILE.read_text()) if FILE.is_file() else {}
    before = known.get(part, {}) if part == "variants" else {}
    known |= {
        "made_by": "python benchmarks/faults.py",
        "metacli": metacli.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "slow_s": SLOW,
        part: {**before, **found},
    }
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    print(part, found, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
