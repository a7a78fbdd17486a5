"""P>M>F (Hu et al. 2022) beside `adapt DATA`, on the draws of own_data.py: flowers12, 5 examples.

    metacli meta-train photos-pmf -o RUN
    python benchmarks/own_pmf.py RUN DRAWS

writes what it finds into the rows of results/own-data-flowers12.json, under `P>M>F`; draws that are
there stay.

Protocol, written before any of these draws was answered for: the shipped recipe as it is, whose P
is the encoder's ImageNet, whose M are the training classes of CIFAR-FS, and whose F is what `adapt
RUN` does with a support; 5 and 12 classes, 5 examples. Given with the paired difference to `adapt
DATA` and to the tuned logistic regression on the same draws.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from own_data import RESULTS, Flowers, interval

from metacli.engine.adapt import adapt
from metacli.engine.predict import predict

KEY = "P>M>F"
SETTINGS = ((5, 5), (12, 5))
OTHERS = ("adapt", "logistic regression on the encoder")


def accuracy(source: Flowers, run: str, number: int, way: int, shot: int, folder: Path) -> float:
    support, query = source.sampled(number, way, shot)
    for part, rows in (("support", support), ("asked", query)):
        for at, (name, label) in enumerate(rows):
            place = folder / part / (label if part == "support" else "") / f"{at:04d}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(source.files[name])
    adapt(run, folder / "support", out=folder / "model", compare=False, folds=0)
    said = predict(str(folder / "model"), str(folder / "asked"))["rows"]
    truth = {f"{at:04d}.jpg": label for at, (_, label) in enumerate(query)}
    hits = [truth[Path(str(row["input"])).name] == row["prediction"] for row in said]
    assert len(hits) == len(query)
    return float(np.mean(hits))


def main(run: str, draws: int) -> None:
    path = RESULTS / "own-data-flowers12.json"
    result, source = json.loads(path.read_text()), Flowers()
    for row in result["rows"]:
        way, shot = row["way"], row["shot"]
        if (way, shot) not in SETTINGS:
            continue
        found: list[float] = row.get(KEY, {}).get("draws", [])
        for number in range(len(found), min(draws, len(row["draws"]))):
            with tempfile.TemporaryDirectory() as folder:
                found.append(accuracy(source, run, number, way, shot, Path(folder)))
            print(way, shot, number, found[-1], row["draws"][number], flush=True)
            minus = {
                name: interval([a - b[name] for a, b in zip(found, row["draws"], strict=False)])
                for name in OTHERS
            }
            row[KEY] = {"accuracy": interval(found), "minus": minus, "draws": found}
            path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
