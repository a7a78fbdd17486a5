"""The page of results on classification tasks, made from `results/class_tasks/*.json`: `python
benchmarks/class_tasks_page.py`. A test fails when it is stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "class_tasks"
PAGE = HERE.parent / "docs" / "results" / "classification-tasks.md"
HEAD = """# Classification tasks

Made by `python benchmarks/class_tasks_page.py` from `benchmarks/results/class_tasks`. The protocol,
`benchmarks/protocols/class_tasks.md`, was written before the test tasks were read: every arm has
the same supports, the same queries and one choice of settings by validation tasks. Tasks are what
is new: a label means the same in each. ROC AUC; one training seed.
"""
TITLES = {
    "tox21": "Tox21: 3 unseen assays, 10 molecules of each class",
    "sider": "SIDER: 6 unseen side effects, 10 drugs of each class",
    "grasps": "Grasps: 41 unseen objects",
    "heart": "Heart disease: each of four hospitals left out",
}
ALONE = ("random forest", "logistic regression")
POOLED = ("pooled logistic regression", "pooled random forest", "pooled network")
RIVALS = ALONE + POOLED


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    parts = [HEAD]
    for name, title in TITLES.items():
        if name in runs:
            rows = molecules(runs[name]) if name in ("tox21", "sider") else objects(runs[name])
            parts.append("\n".join([f"## {title}", "", *rows, "", cost(runs[name]), ""]))
    return "\n".join(parts)


def cost(run: dict[str, Any]) -> str:
    minutes = run["processor_seconds"] / 60
    return f"{minutes:.1f} minutes of one core for all arms, their choices and their measurement."


def molecules(run: dict[str, Any]) -> list[str]:
    """Each arm with its targets, and what it gains over the better baseline with its inputs."""
    lines = [
        "± is the half-width of the 95 % interval over the 20 draws of the supports, the targets "
        "being these; in brackets that over the targets. The difference is to the better of random "
        "forest and logistic regression with the same inputs, paired by draw. The molecules are "
        "the same for all targets, as GS-Meta has it: what is new is the target, so a meta-trained "
        "network has met most molecules, under other questions; random forest and logistic "
        "regression see the support alone. A *pooled* model is one of all training targets as if "
        "they were one, and sees no support: what a meta-trained arm gains over the best of them "
        "with the same inputs is what adaptation gains, the last difference."
        + "".join(f" Not measured: {gone(one)}." for one in run.get("not_measured", ())),
        "",
        f"| arm | mean | {' | '.join(f'`{one}`' for one in run['tasks'])} | to its baselines | "
        "to the best pooled | chosen |",
        "| --- | --- |" + " --- |" * (len(run["tasks"]) + 3),
    ]
    for arm, found in run["arms"].items():
        auc = found["auc"]
        inputs = "fingerprints and known labels" if "known" in arm else "fingerprints"
        gains = []
        for others in (ALONE, POOLED):
            rivals = [name for one in others if (name := f"{one}, {inputs}") in run["arms"]]
            asked = bool(rivals) and not arm.startswith(ALONE if others is ALONE else RIVALS)
            gains.append(gain(run, arm, rivals) if asked else "")
        mean = f"{auc['mean']:.3f} ± {auc['ci95_draws']:.3f} (± {auc['ci95_tasks']:.3f})"
        each = " | ".join(f"{value:.3f}" for value in auc["tasks"])
        chosen = run["choices"][arm]["chosen"]
        lines.append(f"| {arm} | {mean} | {each} | {' | '.join(gains)} | {chosen} |")
    joint = difference(run, "mmaml, joint", "mmaml, one by one", "ci95_draws")
    return [*lines, "", f"Joint minus one by one, the same model: {joint}."]


def gone(part: str) -> str:
    """A part that is missing, in words."""
    known = " and known labels" if part.endswith("True") else ""
    return f"pooled models with fingerprints{known} as inputs"


def gain(run: dict[str, Any], arm: str, rivals: list[str]) -> str:
    """What an arm has over the best of some others, paired by draw."""
    best = max(rivals, key=lambda one: run["arms"][one]["auc"]["mean"])
    return difference(run, arm, best, "ci95_draws")


def objects(run: dict[str, Any]) -> list[str]:
    """Each arm by the size of the support, and how MAML and the adapted multi-task network differ
    from the best of the tuned pooled and per-task models."""
    sizes = list(dict.fromkeys(name.rpartition(", ")[2] for name in run["arms"]))
    names = list(dict.fromkeys(name.rpartition(", ")[0] for name in run["arms"]))
    heads = [f"AUC, {size} | accuracy, {size}" for size in sizes]
    lines = [
        f"Means over the {len(run['tasks'])} tasks with Student's t interval over them.",
        "",
        f"| arm | {' | '.join(heads)} |",
        "| --- |" + " --- |" * (2 * len(sizes)),
    ]
    for name in names:
        cells = []
        for size in sizes:
            found = run["arms"][f"{name}, {size}"]
            cells += [
                f"{found[metric]['mean']:.3f} ± {found[metric]['ci95_tasks']:.3f}"
                for metric in ("auc", "accuracy")
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "Differences of AUC to the best pooled and to the best per-task model:", ""]
    rivals = {
        "pooled": ("pooled logistic regression", "pooled random forest"),
        "per task": ("logistic regression", "random forest"),
    }
    for name in ("MAML", "multi-task, adapted", "pulled to the pooled one"):
        for size in sizes:
            said = []
            for kind, arms in rivals.items():
                those = [f"{one}, {size}" for one in arms]
                best = max(those, key=lambda one: run["arms"][one]["auc"]["mean"])
                gain = difference(run, f"{name}, {size}", best, "ci95_tasks")
                said.append(f"{gain} to {best.rpartition(', ')[0]} ({kind})")
            lines.append(f"- {name}, {size}: {'; '.join(said)}")
    return lines


def difference(run: dict[str, Any], one: str, other: str, over: str) -> str:
    found = run["differences"][f"{one} minus {other}"]
    low, high = found[over]
    return f"{found['delta']:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
