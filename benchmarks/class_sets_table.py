"""The page of results on sets of classifications, made from `results/class_sets/*.json`: `python
benchmarks/class_sets_table.py`. A test fails when it is stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "class_sets"
PAGE = HERE.parent / "docs" / "results" / "sets-of-classifications.md"
ARMS = {
    "learner/joint": "joint",
    "learner/separate": "separate",
    "class-means/joint": "class means, merged",
    "class-means/separate": "class means, separate",
    "multi_task": "multi-task from scratch",
    "single_task": "single-task from scratch",
    "pretrained": "joint pretraining, new head",
}
FEATURES = {
    "clinc150-words": "pretrained embeddings of words",
    "clinc150": "hashed n-grams",
}
HEAD = """# Sets of classifications

Made by `python benchmarks/class_sets_table.py` from `benchmarks/results/class_sets`, which
`benchmarks/class_sets.py` wrote by the protocol `benchmarks/protocols/class_sets.md`. Accuracy with
its 95 % interval; one training each, the same encoder, sets and steps for every arm. *Joint* adapts
to all tasks of a set together, *separate* is the same model on each task alone; *class means* is a
ProtoNet trained on the same sets, with the supports of all tasks merged, or each task's own. Arms
from scratch are measured on the first 40 sets, and compared with joint adaptation on those;
differences are paired by set, or by rotation. The protocol says what was changed on the way.
"""


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    if (RESULTS / "fsdd.json").is_file():
        parts.append(speakers(json.loads((RESULTS / "fsdd.json").read_text())))
    for name, features in FEATURES.items():
        if (RESULTS / f"{name}.json").is_file():
            parts.append(domains(json.loads((RESULTS / f"{name}.json").read_text()), features))
    parts += [
        characters(json.loads(path.read_text())) for path in sorted(RESULTS.glob("omniglot-*.json"))
    ]
    return "\n".join(parts)


def speakers(found: dict[str, Any]) -> str:
    folds = found["folds"]
    seconds = [one[arm]["seconds"] for one in folds for arm in ("learner", "class-means")]
    lines = [
        "## Speakers who say the same digits (FSDD, `mtnp`)",
        "",
        f"Two unseen speakers, three of five unseen digits, {len(folds)} rotations of speakers and "
        f"digits; intervals are over rotations. Training took {min(seconds):.0f} to "
        f"{max(seconds):.0f} processor seconds.",
        "",
        "| examples | arm | accuracy | joint minus it |",
        "| --- | --- | --- | --- |",
    ]
    for shot, table in found["table"].items():
        for arm, name in ARMS.items():
            if arm in table["arms"]:
                lines.append(row([shot, name], table["arms"][arm], table["joint minus"].get(arm)))
    return "\n".join([*lines, ""])


def domains(found: dict[str, Any], features: str) -> str:
    folds = found["folds"]
    seconds = [one[arm]["seconds"] for one in folds for arm in ("learner", "class-means")]
    lines = [
        f"## Intents of unseen domains (CLINC150, `mtnp`, {features})",
        "",
        f"Three disjoint 5-way 1-shot problems of one domain, {len(folds)} rotations of the ten "
        f"domains, each tested once; every arm stands on {features}. Intervals are over rotations. "
        f"Training took {min(seconds):.0f} to {max(seconds):.0f} processor seconds.",
    ]
    return "\n".join([*lines, *table(found), ""])


def table(found: dict[str, Any]) -> list[str]:
    """A row for each arm."""
    rows = [
        row([name], found["arms"][arm], found["joint minus"].get(arm))
        for arm, name in ARMS.items()
        if arm in found["arms"]
    ]
    return ["", "| arm | accuracy | joint minus it |", "| --- | --- | --- |", *rows]


OF_CHARACTERS = {
    "alphabets": "Disjoint characters of one unseen alphabet",
    "styles": "The same characters of an unseen alphabet in several styles",
}


def characters(found: dict[str, Any]) -> str:
    minutes = found["learner"]["seconds"] / 60
    lines = [
        f"## {OF_CHARACTERS[found['recipe'].split('-')[1]]}: `{found['recipe']}`",
        "",
        f"{found['sets']} sets of {found['tasks']} tasks, 5-way 1-shot; intervals are over sets. "
        f"Training took {minutes:.1f} processor minutes.",
    ]
    return "\n".join([*lines, *table(found), ""])


def row(names: list[str], score: dict[str, float], against: dict[str, Any] | None) -> str:
    value = f"{100 * score['mean']:.1f} ± {100 * score['ci95']:.1f} %"
    change = ""
    if against is not None:
        low, high = against["delta_ci95"]
        change = f"{100 * against['delta']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"| {' | '.join([*names, value, change])} |"


if __name__ == "__main__":
    main()
