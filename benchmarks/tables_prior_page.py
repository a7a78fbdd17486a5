"""The page of results of `tables-prior`, made from `results/tables_prior*.json`: `python
benchmarks/tables_prior_page.py`. A test fails when it is stale."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "results" / "tables-prior.md"
HEAD = """# A learner that knows tables

Made by `python benchmarks/tables_prior_page.py` from `benchmarks/results/tables_prior*.json`. The
protocol, `benchmarks/protocols/tables_prior.md`, was written before the first run: 20 targets of 19
small public tables, the same training and test rows for every method, settings of the others chosen
by cross-validation. [`tables-prior`](../explanation/tables-prior.md) has no settings and was
trained on generated tables alone. ± is the half-width of the 95 % interval over tables.
"""
Found = Mapping[str, float]
OURS = "tables-prior"


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    parts = [HEAD, training()]
    path = RESULTS / "tables_prior.json"
    if path.exists():
        found = json.loads(path.read_text())
        parts += [small_tables(found)]
    path = RESULTS / "tables_prior-choice.json"
    if path.exists():
        parts += [choice(json.loads(path.read_text()))]
    path = RESULTS / "tables_prior-own.json"
    if path.exists():
        parts += [own_world(json.loads(path.read_text()))]
    return "\n".join(parts)


def own_world(told: Mapping) -> str:
    """The network trained further on related tables, beside other learners."""
    names = {
        OURS: "`tables-prior`, trained further",
        "fresh": "the same network, from nothing",
        "maml": "MAML (a network with 40 units)",
        "joint": "one such network of all schools, fine-tuned on each",
    }
    ours = told["arms"][OURS]
    lines = [
        "## Trained further on related tables",
        "",
        f"{told['data']}: mean squared error over {told['episodes']} episodes, the same for all; "
        f"{told['steps']} steps each, the rate of each is the best of {len(ours['validation'])} on "
        "the validation schools. Differences are paired, over episodes between learners and over "
        "schools to the others, with 95 % intervals.",
        "",
        "| | squared error | `tables-prior` minus it | rate |",
        "| --- | --- | --- | --- |",
    ]
    for arm, name in names.items():
        one = told["arms"][arm]
        lines.append(f"| {name} | {pm(one, 1)} | {less(one.get('compared'))} | {one['rate']} |")
    others = {
        "`tables-prior`, not trained further (100 episodes)": "untrained",
        "ridge regression of the same 10 pupils": "ridge on the same rows",
        "ridge regression of all training schools": "ridge on all training tasks",
        "the same with a shrunken intercept": "ridge on all training tasks + shrunken intercept",
    }
    for name, key in others.items():
        one = ours["baselines"][key]
        lines.append(f"| {name} | {pm(one, 1)} | {less(one)} | |")
    return "\n".join([*lines, ""])


def less(one: Mapping | None) -> str:
    """The error of `tables-prior` minus that of another; a baseline's delta is what it gains."""
    if one is None or one.get("delta") is None:
        return ""
    low, high = sorted(-end for end in one["delta_ci95"])
    return f"{-one['delta']:+.1f} [{low:+.1f}, {high:+.1f}]"


def pm(one: Found, digits: int = 2) -> str:
    return f"{one['mean']:.{digits}f} ± {one['ci95']:.{digits}f}" if one else ""


def training() -> str:
    """What the network reached on generated tables of another stream."""
    run = json.loads((RESULTS / "tables_prior-training.json").read_text())
    last = run["validation"]
    lines = [
        "## On generated tables",
        "",
        f"{run['steps']} steps, {run['tables']} tables, {run['seconds'] / 60:.0f} minutes "
        "on one core. Means over tables that it was not trained on, 5 to 200 rows; "
        "no setting of the others is tuned. The squared error is in variances of the support's "
        "values.",
        "",
        "| | log loss | classes wrong | squared error |",
        "| --- | --- | --- | --- |",
    ]
    for name in ("network", "linear", "random forest", "nearest neighbours"):
        cells = [last[f"{key}: {name}"] for key in ("log loss", "error", "squared error")]
        title = "`tables-prior`" if name == "network" else name
        lines.append(f"| {title} | {cells[0]:.3f} | {cells[1]:.3f} | {cells[2]:.3f} |")
    return "\n".join([*lines, ""])


def small_tables(found: Mapping[str, Mapping]) -> str:
    """Ranks, differences, calibration and coverage."""
    told, tables = found["summary"], {run["table"] for run in found["runs"].values()}
    sizes = [key for key in told["rank by quality"] if key != "all"]
    rows = [run["rows"] for run in found["runs"].values() if OURS in run["methods"]]
    counts = ", ".join(f"{rows.count(int(n))} with {n} rows" for n in sizes)
    lines = [
        "## On small tables",
        "",
        f"{told['draws']} draws of {len(tables)} targets in which every method has answered "
        f"({counts}). Mean rank (1 is best) by accuracy or root mean squared error, and by "
        "log-likelihood:",
        "",
        f"| | {' | '.join(f'{n} rows' for n in sizes)} | all | by log-likelihood | seconds |",
        "| --- |" + " --- |" * (len(sizes) + 3),
    ]
    for name in told["seconds"]:
        cells = [pm(told["rank by quality"][key].get(name, {})) for key in (*sizes, "all")]
        cells.append(pm(told["rank by likelihood"]["all"][name]))
        lines.append(f"| {name} | {' | '.join(cells)} | {told['seconds'][name]:.2f} |")
    lines += [
        "",
        "`tables-prior` minus each, paired by draw: accuracy in points, error in standard "
        "deviations of the test targets, log-likelihood of a row in nats:",
        "",
        "| | accuracy | error | log-likelihood, classes | log-likelihood, values |",
        "| --- | --- | --- | --- | --- |",
    ]
    quality, likely = told["minus, quality"], told["minus, likelihood"]
    for name in quality["classification"]:
        points = {k: 100 * v for k, v in quality["classification"][name].items()}
        cells = [pm(points, 1), pm(quality["regression"][name], 3)]
        cells += [pm(likely[kind][name]) for kind in ("classification", "regression")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Expected calibration error over all test rows, and coverage of central 90 % intervals:",
        "",
        "| | calibration error | coverage |",
        "| --- | --- | --- |",
    ]
    for name, error in told["calibration error"].items():
        lines.append(f"| {name} | {error:.3f} | {pm(told['coverage'][name])} |")
    return "\n".join([*lines, ""])


def choice(found: Mapping[str, Mapping]) -> str:
    """The default choice with the network and without."""
    apart, runs = found["with minus without"], found["runs"].values()
    chosen = sum(run["chosen"] == "in-context" for run in runs)
    points = {k: 100 * v for k, v in apart["classification"].items()}
    return "\n".join(
        [
            "## As a candidate of `adapt`",
            "",
            f"`adapt DATA` with it among the candidates minus without it, on {len(runs)} draws of "
            f"development tables: accuracy {pm(points, 1)} points, error "
            f"{pm(apart['regression'], 3)} standard deviations. It was chosen in {chosen} of "
            "them: it comes first, and is left for a candidate whose losses on folds are smaller "
            "by 30 / rows standard errors. By its name it is always taken.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
