"""Whether what is said of sharing before test rows are read is what test rows say: `python
benchmarks/sharing_said.py`, with the data fetched; `--table` makes the table alone.

For each set of `RECIPES`, division 0: what relatedness says of the training rows before anything is
trained; what `guard=true` decides on inner folds of the training rows; and the verdicts of
`evaluate` on the test rows of the recipe trained without the guard and with it, each task beside
the same network by itself, trained as often (paired t interval, false discovery rate 5 %). Nothing
is chosen here; that a warning needs a tenth of the tasks was set with these sets in view (`MANY` in
relatedness.py).
Writes results/tasks/sharing-said.json after each set and goes on with what is not there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import result_pages
import torch

from metacli.engine.evaluate import evaluate
from metacli.engine.events import Notice
from metacli.engine.multitask import multitask
from metacli.engine.scoring import multi_task_baselines

ROOT = Path(__file__).resolve().parent
BUILD, FILE = ROOT.parent / "build" / "sharing", ROOT / "results" / "tasks" / "sharing-said.json"
BEGIN, END = "<!-- sharing: made by benchmarks/sharing_said.py -->", "<!-- end of sharing -->"
RECIPES: dict[str, tuple[str, ...]] = {
    "task-families-hard": (),
    "task-families-hard, twelve unrelated": ("data.groups=0", "data.unrelated=12"),
    "computer-buyers-mixed": (),
    "school-soft": (),
    "landmine-mean": (),
    "landmine-hard": (),
    "sarcos-hard": (),
    "fdu-mtl-mean": (),
    "school-mixed": (),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only write the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    multi_task_baselines.suited = lambda table: iter(())  # simple models are not asked
    if not given.table:
        for name, words in RECIPES.items():
            document = read()
            if name not in document:
                document[name] = measured(name.partition(",")[0], words, BUILD / name)
                FILE.write_text(json.dumps(document, indent=1) + "\n")
                sys.stderr.write(f"{name} {row(name, document[name])}\n")
    result_pages.replace(result_pages.MULTI_TASK, BEGIN, END, table())


def read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {}
    return found


def measured(recipe: str, words: tuple[str, ...], out: Path) -> dict[str, Any]:
    started, warned = time.process_time(), []

    def report(event: object) -> None:
        if isinstance(event, Notice) and event.code == "tasks.unrelated":
            warned.append(event.message)

    plain = multitask(recipe, words, out=f"{out}-plain", force=True, report=report)
    groups = plain["relatedness"]["groups"] if plain["relatedness"] else None
    score = evaluate(f"{out}-plain")
    guarded = multitask(recipe, [*words, "guard=true"], out=f"{out}-guarded", force=True)
    decided = [task["guard"] for task in guarded["tasks"]]
    kept = evaluate(f"{out}-guarded")
    return {
        "recipe": recipe,
        "settings": list(words),
        "tasks": len(score["tasks"]),
        "groups": groups,
        "warned": warned,
        "shared_by": decided[0]["network"],
        "shares": sum(one["answer"] == "together" for one in decided),
        "metric": score["tasks"][0]["metric"],
        **told(score),
        "guarded": told(kept),
        "processor_seconds": round(time.process_time() - started, 1),
    }


def told(score: Any) -> dict[str, Any]:
    """What `evaluate` says of all tasks."""
    return {
        "verdicts": dict(Counter(task["verdict"] for task in score["tasks"])),
        "mean_delta": score["mean_delta"],
        "mean_delta_ci95": score["mean_delta_ci95"],
    }


def table() -> str:
    lines = [
        "| recipe | tasks related to no other | said before training | the guard shares | "
        "test rows, without it | test rows, with it |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    there = read()
    lines += [row(name, there[name]) for name in RECIPES if name in there]
    gone = [f"`{name}`" for name in RECIPES if name not in there]
    return "\n".join([*lines, *(["", f"Not measured yet: {', '.join(gone)}."] if gone else [])])


def row(name: str, found: dict[str, Any]) -> str:
    tasks, groups = found["tasks"], found["groups"] or []
    alone = sum(len(group) == 1 for group in groups)
    by = "" if found["shared_by"] in (None, "together") else f", by {found['shared_by']}"
    said = "sharing may hurt" if found["warned"] else "nothing"
    shares = f"{found['shares']} of {tasks}{by}"
    metric = f" ({found['metric']})"
    ends = (
        outcome(found) + metric,
        outcome(found["guarded"]) if found["shares"] else "each by itself",
    )
    return f"| {name} | {' | '.join((f'{alone} of {tasks}', said, shares, *ends))} |"


def outcome(found: dict[str, Any]) -> str:
    """Counts of verdicts, and the mean difference to each task by itself."""
    counts, (low, high) = found["verdicts"], found["mean_delta_ci95"]
    few = counts.get("too_few_to_say", 0)
    more = f", {few} with too few rows to say" if few else ""
    verdicts = f"{counts.get('helped', 0)} helped, {counts.get('hurt', 0)} hurt{more}"
    return f"{verdicts}; {found['mean_delta']:+.3g} [{low:+.3g}, {high:+.3g}]"


if __name__ == "__main__":
    main()
