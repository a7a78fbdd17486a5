"""The page of results of `adapt DATA` on small tables, made from `results/tables.json`: `python
benchmarks/tables_page.py`. A test fails when it is stale."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tables_prior_page import pm

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "results" / "small-tables.md"
HEAD = """# A small table, without a source

Made by `python benchmarks/tables_page.py` from
[`benchmarks/results/tables.json`](../../benchmarks/results/tables.json). The
[protocol](../../benchmarks/protocols/tables.md) was written before the first run: `metacli adapt
train.csv --target T` as a user calls it, and what she would take of scikit-learn instead, each with
its settings chosen by cross-validation, on the same training and test rows. What was changed after
the first draws, on development tables alone, is said there. ± is the half-width of the 95 %
interval over tables.
"""
OURS = "adapt"


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    found = json.loads((RESULTS / "tables.json").read_text())
    return "\n".join([HEAD, ranks(found), differences(found), beside(found["AutoGluon"])])


def ranks(found: Mapping) -> str:
    """Mean ranks for every number of rows, and seconds."""
    runs, sizes = list(found["runs"].values()), list(found["mean rank by rows"])
    counts = ", ".join(f"{sum(run['rows'] == int(n) for run in runs)} with {n} rows" for n in sizes)
    lines = [
        "## Ranks",
        "",
        f"{len(runs)} draws of {len({run['table'] for run in runs})} targets ({counts}). Mean rank "
        "(1 is best) by accuracy or by root mean squared error, and seconds of processor time with "
        "everything that is chosen and the test rows, on a machine that was busy with other work:",
        "",
        f"| | {' | '.join(f'{n} rows' for n in sizes)} | all | seconds |",
        "| --- |" + " --- |" * (len(sizes) + 2),
    ]
    for name, spent in found["seconds"].items():
        cells = [pm(found["mean rank by rows"][n][name]) for n in sizes]
        title = "`adapt DATA`" if name == OURS else name
        lines.append(
            f"| {title} | {' | '.join(cells)} | {pm(found['mean rank'][name])} | {spent:.1f} |"
        )
    return "\n".join([*lines, ""])


def differences(found: Mapping) -> str:
    """What a user gains over each."""
    apart = found["adapt minus"]
    lines = [
        "## Differences",
        "",
        "`adapt DATA` minus each, paired by draw: accuracy in points, error in standard deviations "
        "of the test targets (less is better).",
        "",
        "| | accuracy | error |",
        "| --- | --- | --- |",
    ]
    for name in apart["accuracy"]:
        cells = pm(points(apart["accuracy"][name]), 1), pm(apart["error"][name], 3)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def beside(told: Mapping) -> str:
    """AutoGluon on those of the draws that it had time for."""
    if not told:
        return ""
    apart = told["adapt minus it"]
    return "\n".join(
        [
            "## Beside AutoGluon",
            "",
            f"AutoGluon-tabular {told['version']} with its defaults (`TabularPredictor.fit`), on "
            f"{told['draws']} of the draws, {told['seconds']:.1f} s each: `adapt DATA` minus it is "
            f"{pm(points(apart['accuracy']), 1)} points of accuracy and {pm(apart['error'], 3)} "
            f"standard deviations of error. `adapt` was better in {told['better']} of the draws "
            f"and worse in {told['worse']} (`python benchmarks/tables_autogluon.py`, "
            "[results](../../benchmarks/results/tables-autogluon.json)).",
            "",
        ]
    )


def points(one: Mapping[str, float]) -> dict[str, float]:
    return {key: 100 * value for key, value in one.items()}


if __name__ == "__main__":
    main()
