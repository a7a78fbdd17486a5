"""The page of results on sets of functions, made from `results/meta_multitask/*.json`: `python
benchmarks/meta_multitask_table.py`. A test fails when it is stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "meta_multitask"
PAGE = HERE.parent / "docs" / "results" / "meta-multi-task.md"
POINTS = (5, 10, 20)
STRENGTHS = ("coupling", "pairs")
VARIANTS = ("shared", "noisy", "independent", "mixed")
NAMES = {
    "multi_task": "multi-task from scratch",
    "single_task": "single-task from scratch",
    "pretrained": "joint pretraining, new head",
}
HEAD = """# Sets of functions

Made by `python benchmarks/meta_multitask_table.py` from `benchmarks/results/meta_multitask`. The
protocol, `benchmarks/protocols/meta_multitask.md`, was written before a test set was read: 4,000
fixed sets (the guard: the first 1,000; arms without meta-learning: the first 200), query error with
its 95 % interval over sets, the run of seed 0; other seeds are in a table of their own.
*Separate* is the same model, each task from its own labels alone; *ratio* is the mean error of
joint over that of separate. {missing}
"""
RUNS = (
    *("mtnp-shared-0", "mtnp-pooled-0", "mmaml-shared-0", "mmaml-pooled-0", "coupled-shared-0"),
    *("coupled-pooled-0", "mcavia-shared-0", "mcavia-pooled-0", "manil-shared-0"),
    "mreptile-shared-0",
)


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    every = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-*.json"))]
    runs = [run for run in every if run["run"].endswith("-0")]
    parts = [
        HEAD.format(missing=missing(runs)),
        learners(runs),
        *seeds(every),
        *relatives(runs),
        *guards(),
        *map(section, runs),
    ]
    bounds = RESULTS / "bounds.json"
    if bounds.is_file():
        parts.append(bounds_of(json.loads(bounds.read_text())))
    return "\n".join(parts)


def missing(runs: list[dict[str, Any]]) -> str:
    """What of the protocol there is no file of."""
    there = {run["run"] for run in runs}
    gone = [f"`{name}`" for name in RUNS if name not in there]
    return f"Not measured: {', '.join(gone)}." if gone else ""


def learners(runs: list[dict[str, Any]]) -> str:
    """Every learner and arm on *shared*, by number of points."""
    lines = [
        "## Every learner and arm on *shared*",
        "",
        "| trained on | arm | minutes | 5 points | 10 points | 20 points |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        cells = cells_of(run, "shared")
        if not cells:
            continue
        for arm in ("joint", "separate"):
            shares = [mse(cells[m]["arms"][arm]) if m in cells else "-" for m in POINTS]
            name = run["run"].partition("-")[0]
            minutes = f"{run['seconds'] / 60:.1f}" if arm == "joint" else ""
            # The others on *pooled* go on from a run on *shared*.
            where = f"{run['variant']}{', from the start' * ('-whole-' in run['run'])}"
            lines.append(f"| {where} | `{name}` {arm} | {minutes} | {' | '.join(shares)} |")
    for path in sorted(RESULTS.glob("arms_*.json")):
        document = json.loads(path.read_text())
        cells = {c["points"]: c for c in document["cells"] if c["variant"] == "shared"}
        for arm, words in NAMES.items():
            shares = [mse(cells[m]["arms"][arm]) if m in cells else "-" for m in POINTS]
            lines.append(f"| {document['variant']} | {words} | | {' | '.join(shares)} |")
    return "\n".join([*lines, ""])


def seeds(runs: list[dict[str, Any]]) -> list[str]:
    """The runs that were trained from several seeds; nothing where there is none."""
    lines = []
    for name in dict.fromkeys(run["run"].rpartition("-")[0] for run in runs):
        same = [run for run in runs if run["run"].rpartition("-")[0] == name]
        if len(same) < 2:
            continue
        for variant in VARIANTS:
            for arm in ("joint", "separate"):
                cells = [cells_of(run, variant) for run in same]
                if all(len(one) == len(POINTS) for one in cells):
                    shares = [over_seeds([one[m]["arms"][arm] for one in cells]) for m in POINTS]
                    lines.append(
                        f"| `{name}` | {variant} | {arm} | {len(same)} | {' | '.join(shares)} |"
                    )
    if not lines:
        return []
    head = [
        "## Over seeds",
        "",
        "The mean over runs that differ in their start and in the sets they learned from, all on",
        "the same test sets; in brackets the smallest and the largest of them.",
        "",
        "| run | sets | arm | seeds | 5 points | 10 points | 20 points |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return ["\n".join([*head, *lines, ""])]


def cells_of(run: dict[str, Any], variant: str) -> dict[int, dict[str, Any]]:
    return {cell["points"]: cell for cell in run["cells"] if cell["variant"] == variant}


def over_seeds(arms: list[dict[str, Any]]) -> str:
    """The mean and the range; of medians where inner steps were too large for a few sets."""
    gone = any(arm.get("diverged") for arm in arms)
    values = [arm["median"] if gone else arm["mse"]["mean"] for arm in arms]
    low, mean, high = min(values), sum(values) / len(values), max(values)
    return f"{'median ' if gone else ''}{mean:.4f} ({low:.4f} to {high:.4f})"


def relatives(runs: list[dict[str, Any]]) -> list[str]:
    """How well the learners tell relatives from strangers; nothing before it was measured."""
    rows = [run for run in runs if any(key in run for key in STRENGTHS)]
    if not rows:
        return []
    lines = [
        "## Relatives and strangers",
        "",
        "*mixed*, 10 points: half of 6 to 8 tasks share their parameters. The area under the ROC",
        "curve is over all pairs of tasks, and the mean of that among the pairs of a set. A task",
        "is hurt where joint adaptation is worse than separate beyond noise (Bonferroni).",
        "",
        "| run | strength of a pair | area | within a set | sets | hurt | with guard |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    pairs = [(run, run[key]) for run in rows for key in STRENGTHS if key in run]
    once = {(run["run"], found["what"]): (run, found) for run, found in pairs}
    for run, found in once.values():
        lines.append(
            f"| {run['run']} | {found['what']} | {found['auc']:.3f} | "
            f"{found['within']['mean']:.3f} ± {found['within']['ci95']:.3f} | {found['sets']} | "
            f"{hurt(run, 'by_task')} | {hurt(run, 'by_task_guard')} |"
        )
    return ["\n".join([*lines, ""])]


RULES = {
    "error, task, 1 SE": "each task by its error, one standard error (`guard=true`)",
    "log-likelihood, set, mean": "all tasks of a set by their log-likelihood",
}


def guards() -> list[str]:
    """What the guard of `adapt` makes of sets, and strengths of a pair; nothing before they were
    measured."""
    path = RESULTS / "guard_test.json"
    if not path.is_file():
        return []
    document, tried = (json.loads(one.read_text()) for one in (path, RESULTS / "guard_tried.json"))
    lines = [
        "## The guard of adapt",
        "",
        f"`{document['run']}`, {document['steps']:,} steps "
        f"({document['train_seconds'] / 60:.1f} minutes of one core). 400 test sets of each",
        "variant; ratios are of mean errors to that of *separate* on the same sets, with the 95 %",
        "interval of the difference over the error of *separate*; *hurt* counts named tasks that",
        "are worse than with separate adaptation beyond noise (Bonferroni), together and with",
        "`guard=true`.",
        "",
        "| sets | points | separate | together | " + " | ".join(RULES.values()) + " | hurt |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in document["cells"]:
        arms = cell["arms"]
        ratios = [ratio_of(arms[name], arms["separate"]) for name in ("joint", *RULES)]
        harmed = [
            str(sum(one["verdict"] == "hurt" for one in cell["by_task"][name]))
            for name in ("joint", "error, task, 1 SE")
        ]
        lines.append(
            f"| {cell['variant']} | {cell['points']} | {shown(arms['separate']['mse'])} | "
            f"{' | '.join(ratios)} | {', '.join(harmed)} of {len(cell['by_task']['joint'])} |"
        )
    lines += [
        "",
        "Strengths of a pair with the same run, *mixed*, 10 points: the area under the ROC curve",
        "on 80 validation sets, and of three of them on 200 test sets.",
        "",
        "| strength of a pair | validation | test | within a set |",
        "| --- | --- | --- | --- |",
    ]
    for name in {**tried["pairs"], **document["pairs"]}:
        found, test = (one["pairs"].get(name) for one in (tried, document))
        cells = ["-" if one is None else f"{one['auc']:.3f}" for one in (found, test)]
        within = "-" if test is None else shown(test["within"])
        lines.append(f"| {name} | {' | '.join(cells)} | {within} |")
    return ["\n".join([*lines, ""])]


def ratio_of(arm: dict[str, Any], separate: dict[str, Any]) -> str:
    """The ratio to separate adaptation with its interval."""
    whole = separate["mse"]["mean"]
    _, low, high = arm["minus separate"]
    return f"{arm['ratio']:.3f} ({1 + low / whole:.3f} to {1 + high / whole:.3f})"


def hurt(run: dict[str, Any], key: str) -> str:
    """Tasks of *mixed*, 10 points, that are worse than with separate adaptation."""
    for cell in run["cells"]:
        if (cell["variant"], cell["points"]) == ("mixed", 10) and cell.get(key):
            named = [one["name"] for one in cell[key] if one["verdict"] == "hurt"]
            return f"{len(named)} of {len(cell[key])}" if named else "none"
    return "-"


def section(document: dict[str, Any]) -> str:
    """The cells of one run."""
    minutes = document["seconds"] / 60
    lines = [
        f"## {document['run']}",
        "",
        f"Trained on *{document['variant']}*, {document['steps']:,} steps{history(document)}: "
        f"{minutes:.1f} minutes of one core in all.",
        "",
        "| sets | points | joint | separate | ratio | guard | joint - separate | in 90 % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in sorted(document["cells"], key=lambda one: one["points"]):
        arms, joint = cell["arms"], cell["differences"]["joint - separate"]
        low, high = joint["ci95"]
        ratio, change = f"{joint['ratio']:.3f}", f"{low:.4f} to {high:.4f}"
        if any(arms[name].get("diverged") for name in ("joint", "separate")):
            ratio = change = "-"
        lines.append(
            f"| {cell['variant']} | {cell['points']} | {mse(arms['joint'])} | "
            f"{mse(arms['separate'])} | {ratio} | {guard_of(arms)} | "
            f"{change} | {arms['joint']['coverage90']:.2f} |"
        )
    return "\n".join([*lines, ""])


def guard_of(arms: dict[str, Any]) -> str:
    return mse(arms["guard"]) if "guard" in arms else "-"


def history(document: dict[str, Any]) -> str:
    """What the run began from, and whether it was stopped before its schedule ended."""
    begin = f" from the end of {document['begin']}" if document.get("begin") else ""
    planned = document.get("planned", document["steps"])
    return begin + (
        "" if planned == document["steps"] else f", stopped early ({planned:,} planned)"
    )


def bounds_of(document: dict[str, Any]) -> str:
    """What can be known without meta-learning."""
    lines = [
        "## Without meta-learning",
        "",
        f"On {document['rows'][0]['sets']} of the same sets of *{document['variant']}*: a Gaussian "
        "process per task; least squares that knows the activation; that also knows the sharing. A "
        "point fit is no lower bound.",
        "",
        "| points | Gaussian process | knows the family | knows family and sharing |",
        "| --- | --- | --- | --- |",
    ]
    for row in document["rows"]:
        cells = [row[name] for name in ("gp", "family", "family_and_sharing")]
        lines.append(f"| {row['points']} | {' | '.join(map(shown, cells))} |")
    return "\n".join([*lines, ""])


def mse(arm: dict[str, Any]) -> str:
    """The mean; the median where inner steps were too large for a few sets."""
    if arm.get("diverged"):
        gone, sets = arm["diverged"], arm["mse"]["n"]
        return f"median {arm['median']:.4f}, above 100 in {gone} of {sets:,} sets"
    return shown(arm["mse"])


def shown(score: dict[str, Any]) -> str:
    return f"{score['mean']:.4f} ± {score['ci95']:.4f}"


if __name__ == "__main__":
    main()
