"""Every weighting and every gradient balancing beside equal weights: `python
benchmarks/balancing.py sarcos school`, with the data fetched. Writes
`results/tasks/balancing-<data>.json` after each of them.

One hard-shared network, one budget and one learning rate for all; test scores on several divisions,
with the corrected resampled t interval (Nadeau and Bengio) of each difference to equal weights and
to the single-task networks. `--table` writes the table of benchmarks/README.md.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning import RESULTS, arm_of, learned

from metacli.algorithms import ALGORITHMS, names
from metacli.data.task_parts import TEST_SHARE
from metacli.engine.checks import LOWER_IS_BETTER
from metacli.engine.intervals import nadeau_bengio
from metacli.engine.task_params import predictions
from metacli.engine.task_scores import score

README = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- balancing: made by benchmarks/balancing.py -->", "<!-- end of balancing -->"
DATA = {
    "sarcos": (
        "sarcos-hard",
        ("backbone.hidden=[64,64]", "train.steps=300", "evaluate.every=50"),
        3,
    ),
    "school": (
        "school-soft",
        (
            "sharing.name=hard",
            "backbone.name=mlp",
            "backbone.hidden=[16]",
            "train.steps=100",
            "train.lr=0.01",
            "evaluate.every=10",
        ),
        3,
    ),
}
LEFT_OUT = ("fixed",)  # its weights are the user's
SLOW = {"school": ("upgrad", "cagrad", "pcgrad", "meta")}  # with 139 tasks: minutes a division


def methods(data: str) -> list[tuple[str, tuple[str, ...], bool]]:
    """(name, overrides, single) of everything that is compared."""
    found: list[tuple[str, tuple[str, ...], bool]] = [
        ("equal", (), False),
        ("single-task", (), True),
    ]
    for name in names("multitask"):
        kind = "surgery" if ".surgery." in ALGORITHMS[name].module else "weighting"
        if name not in ("equal", *LEFT_OUT, *SLOW.get(data, ())):
            found.append((name, (f"{kind}.name={name}",), False))
    return found


def compared(data: str) -> None:
    recipe, base, divisions = DATA[data]
    started, scores = time.monotonic(), {}
    for name, overrides, single in methods(data):
        scores[name] = [
            test_score(recipe, (*base, *overrides, f"data.split_seed={seed}"), single)
            for seed in range(divisions)
        ]
        sys.stderr.write(f"{data} {name} {np.mean(scores[name]):.4f}\n")
        write(data, scores, started)


def test_score(recipe: str, overrides: tuple[str, ...], single: bool) -> float:
    arm, rows = arm_of(recipe, *overrides, single=single)
    told = predictions(arm.problem, learned(arm, rows), rows, "test")
    return score(rows.table.metric, rows.numbers("test")[1], told).value


def write(data: str, scores: dict[str, list[float]], started: float) -> None:
    recipe, base, divisions = DATA[data]
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=RESULTS.parent, capture_output=True, text=True, check=True)
    document = {
        "what": f"balancing on {data}",
        "metric": "nmse" if data == "sarcos" else "explained_variance",
        "recipe": recipe,
        "overrides": base,
        "divisions": divisions,
        "left_out": [*LEFT_OUT, *SLOW.get(data, ())],
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "hours": (time.monotonic() - started) / 3600,
        "summary": {name: row(values, scores) for name, values in scores.items()},
        "scores": scores,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"balancing-{data}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


def row(values: list[float], scores: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {"mean": float(np.mean(values))}
    for other in ("equal", "single-task"):
        if other in scores:
            share = TEST_SHARE / (1 - TEST_SHARE)
            delta, low, high = nadeau_bengio(np.array(values) - np.array(scores[other]), share)
            found[f"minus {other}"] = {"delta": delta, "ci95": [low, high]}
    return found


def table() -> str:
    """Markdown, the best first."""
    lines = []
    for data in DATA:
        path = RESULTS / f"balancing-{data}.json"
        if not path.is_file():
            continue
        found = json.loads(path.read_text())
        lower = found["metric"] in LOWER_IS_BETTER
        word = "lower" if lower else "higher"
        lines += [
            f"{data}: {found['metric']} on test ({word} is better), {found['divisions']} divisions "
            f"([results](results/tasks/{path.name}))",
            "",
            "| method | mean | minus equal weights | minus single-task |",
            "| --- | --- | --- | --- |",
        ]
        rows = found["summary"].items()
        for name, one in sorted(rows, key=lambda item: (1 if lower else -1) * item[1]["mean"]):
            cells = [
                name,
                f"{one['mean']:.4f}",
                *(difference(one.get(f"minus {other}")) for other in ("equal", "single-task")),
            ]
            lines.append("| " + " | ".join(cells) + " |")
        if found["left_out"]:
            lines += ["", f"Not run: {', '.join(found['left_out'])}."]
        lines.append("")
    return "\n".join(lines).rstrip()


def difference(found: dict[str, Any] | None) -> str:
    if found is None or found["delta"] == 0:
        return ""
    low, high = found["ci95"]
    return f"{found['delta']:+.4f} [{low:+.4f}, {high:+.4f}]"


def write_table() -> None:
    text = README.read_text() if README.is_file() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    given = sys.argv[1:]
    for data in (one for one in given if one != "--table"):
        compared(data)
    write_table()


if __name__ == "__main__":
    main()
