"""What each shipped recipe was measured to reach, for `metacli recipes`: `python
benchmarks/measured.py` writes recipes/measured.json from the results files. No number is made here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS, TARGET = ROOT / "benchmarks" / "results", ROOT / "recipes" / "measured.json"
FAMILIES = {"task-families-hard": "hard", "task-families-meta": "meta"}


def main() -> None:
    TARGET.write_text(json.dumps(measured(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def measured() -> dict[str, dict[str, Any]]:
    """One row for each recipe that has a results file."""
    names = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    readers = (
        few_shot,
        multi_task,
        family,
        on_encoder,
        of_functions,
        of_class_sets,
        rotated,
        alone,
    )
    found = {name: next(filter(None, (read(name) for read in readers)), None) for name in names}
    return {name: row for name, row in found.items() if row is not None}


def few_shot(name: str) -> dict[str, Any] | None:
    """The first evaluation of a file that `run.py` wrote; of a regression, after one step."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    first = result["evaluate"][0]
    score, task = first, f"{first['way']}-way {first['shot']}-shot"
    if first["metric"] == "mse":
        steps = {one["step"]: one for one in first.get("per_step") or []}
        score, after = (steps[1], ", 1 step") if 1 in steps else (first, "")
        task = f"{first['shot']} points{after}"
    if isinstance(first["shot"], list):
        task = f"{first['way']}-way {first['shot'][0]}-{first['shot'][1]}-shot"
    return row(first["metric"], score, task, result["hours"])


def multi_task(name: str) -> dict[str, Any] | None:
    """The recipe's own row, or its row as an arm, in a file that `tasks.py` wrote."""
    for path in sorted((RESULTS / "tasks").glob("*.json")):
        result = json.loads(path.read_text())
        summary = result.get("summary")
        if not isinstance(summary, dict) or name not in summary or "metric" not in result:
            continue
        score = summary[name].get(result["metric"], summary[name])
        # Hours are of every division and every arm of the file.
        hours = result["hours"] if result.get("recipe") == name else None
        divided = result.get("splits") or result.get("divisions") or 1
        divisions = divided if isinstance(divided, int) else len(divided)
        task = f"test rows, {divisions} splits" if divisions > 1 else "test rows"
        return row(result["metric"], score, task, hours and hours / max(1, divisions))
    return None


def family(name: str) -> dict[str, Any] | None:
    path = RESULTS / "tasks" / "families.json"
    if name not in FAMILIES or not path.is_file():
        return None
    result = json.loads(path.read_text())
    kind = next(iter(result["summary"]))
    score = result["summary"][kind]["ways"][FAMILIES[name]]["nmse"]
    low, high = score["ci95"]
    return row("nmse", {"mean": score["mean"], "ci95": (high - low) / 2}, kind, None)


def on_encoder(name: str) -> dict[str, Any] | None:
    """A recipe on the features of a pretrained encoder, in a file that `encoders.py` wrote."""
    for path in sorted(RESULTS.glob("encoders-*.json")):
        for one in json.loads(path.read_text())["rows"]:
            if name in one["accuracy"]:
                task = f"{one['way']}-way {one['shot']}-shot"
                return row("accuracy", one["accuracy"][name], task, None)
    return None


FUNCTIONS = {"functions-4t-mtnp": "mtnp-shared-0"}


def of_functions(name: str) -> dict[str, Any] | None:
    """Sets of functions, 10 points, in a file that `meta_multitask.py` wrote."""
    path = RESULTS / "meta_multitask" / f"{FUNCTIONS.get(name)}.json"
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    cells = (one for one in result["cells"] if (one["variant"], one["points"]) == ("shared", 10))
    score = next(cells)["arms"]["joint"]["mse"]
    return row("mse", score, "10 points, joint", result["seconds"] / 3600)


def of_class_sets(name: str) -> dict[str, Any] | None:
    """Sets of classifications, in a file of that name that `class_sets.py` wrote."""
    path = RESULTS / "class_sets" / f"{name}.json"
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    score = result["arms"]["learner/joint"]
    return row("accuracy", score, "unseen alphabets, joint", result["learner"]["seconds"] / 3600)


def rotated(name: str) -> dict[str, Any] | None:
    """Sets of spoken digits, over the rotations of digits and speakers."""
    if name != "fsdd-3w1s-mtnp":
        return None
    table = json.loads((RESULTS / "class_sets" / "fsdd.json").read_text())["table"]
    score = table["1-shot"]["arms"]["learner/joint"]
    return row("accuracy", score, f"{score['n']} rotations, joint", None)


def alone(name: str) -> dict[str, Any] | None:
    """One training and one evaluation, in a file that `recipe_scores.py` wrote; of dense tasks the
    mean gain on a network for each."""
    path = RESULTS / "recipes" / f"{name}.json"
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    found, hours = result["evaluate"], result["minutes"] / 60
    if found.get("delta_p") is not None:
        return row("delta_p", {"mean": found["delta_p"]}, "over a network for each task", hours)
    return row(found["metric"], found, result.get("tested", "test rows"), hours)


def row(metric: str, score: dict[str, Any], task: str, hours: float | None) -> dict[str, Any]:
    return {
        "metric": metric,
        "mean": score["mean"],
        "ci95": score.get("ci95"),
        "task": task,
        "minutes": None if hours is None else round(60 * hours, 1),
    }


if __name__ == "__main__":
    main()
