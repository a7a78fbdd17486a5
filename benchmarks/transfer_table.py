"""The the documentation's tables of transfer, from `results/transfer/*.json`: `python
benchmarks/transfer_table.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_pages

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "transfer"
PAGE = result_pages.TRANSFER
BEGIN, END = "<!-- transfer: made by benchmarks/transfer_table.py -->", "<!-- end of transfer -->"
SCRATCH = "scratch"


def table() -> str:
    """The the documentation's tables: accuracy of each way, and the rank correlations."""
    lines: list[str] = []
    found = [(path, json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))]
    for path, result in found:
        if "shots" in result:
            lines += [*accuracies(path, result), ""]
    for path, result in found:
        if "errors" in result:
            lines += [*of_schools(path, result), ""]
    for path, result in found:
        if "measures" in result:
            lines += [*correlations(path, result), ""]
    return "\n".join(lines).strip()


def accuracies(path: Path, result: dict[str, Any]) -> Iterator[str]:
    shots = list(result["shots"])
    some = next(iter(result["shots"].values()))
    yield (
        f"{result['what']}. Source: {result['source']['name']}; mean accuracy over "
        f"{len(some['targets'])} target tasks in % with its 95 % interval, and in brackets the "
        f"paired difference to scratch ([results]({result_pages.LINK}/transfer/{path.name})):"
    )
    yield ""
    yield f"| way | {' | '.join(f'{shot} each' for shot in shots)} |"
    yield f"| --- |{' --- |' * len(shots)}"
    for name in some["ways"]:
        cells = [cell(result["shots"][shot]["ways"][name], name) for shot in shots]
        yield f"| {name} | {' | '.join(cells)} |"


def of_schools(path: Path, result: dict[str, Any]) -> Iterator[str]:
    count = next(iter(result["errors"].values()))["n"]
    yield (
        f"{result['what']}. Source: {result['source']['name']} of {result['source']['schools']} "
        f"schools; {result['metric']}, lower is better, over {count} new schools "
        f"([results]({result_pages.LINK}/transfer/{path.name})):"
    )
    yield ""
    yield "| way | squared error | difference to scratch |"
    yield "| --- | --- | --- |"
    for name, one in result["errors"].items():
        low, high = one["delta_ci95"]
        against = "" if name == SCRATCH else f"{low:+.2f} to {high:+.2f}"
        yield f"| {name} | {one['mean']:.2f} ± {one['ci95']:.2f} | {against} |"


def cell(one: dict[str, Any], name: str) -> str:
    text = f"{100 * one['mean']:.1f} ± {100 * one['ci95']:.1f}"
    if name == SCRATCH:
        return text
    low, high = (100 * end for end in one["delta_ci95"])
    return f"{text} ({low:+.1f} to {high:+.1f})"


def correlations(path: Path, result: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{result['what']} ([results]({result_pages.LINK}/transfer/{path.name})). Kendall's τ over "
        "the sources, mean over the tasks with its 95 % interval:"
    )
    yield ""
    yield "| measure | τ | tasks | picks the best source |"
    yield "| --- | --- | --- | --- |"
    names_ = {"score": "held-out accuracy on the support", "logme": "LogME"}
    for name, one in result["measures"].items():
        low, high = one["tau_ci95"]
        yield (
            f"| {names_[name]} | {one['tau']:.2f} ({low:.2f} to {high:.2f}) | {one['n']} | "
            f"{100 * one['best_picked']:.0f} % |"
        )


def write_table() -> None:
    result_pages.replace(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    write_table()
