"""The paragraph of docs/results/texts.md on `adapt DATA`, from results/own-data-clinc150.json and
own-data-hwu64.json. A test fails when it is stale.

python benchmarks/own_data_table.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import result_pages
from encoders_table import RESULTS, percent, points

BEGIN = "<!-- own data: made by benchmarks/own_data_table.py -->"
END = "<!-- end of own data -->"
DATA = ("clinc150", "hwu64")
RIVALS = ("logistic regression on wordllama", "logistic regression on TF-IDF")
SENTENCES = ("logistic regression on MiniLM", "SetFit on MiniLM")
HEAD = (
    "| data | task | `adapt DATA` | word embeddings | word and character TF-IDF "
    "| MiniLM | SetFit on MiniLM |"
)


def main() -> None:
    result_pages.replace(result_pages.TEXTS, BEGIN, END, table())


def table() -> str:
    """One row for every number of classes and examples."""
    lines = [HEAD, "|" + " --- |" * HEAD.count(" |")]
    for data in DATA:
        for row in json.loads((RESULTS / f"own-data-{data}.json").read_text())["rows"]:
            told, minus = row["accuracy"], row["adapt minus"]
            ours, sentences = told["adapt"], row.get("sentence encoder", {})
            cells = [
                f"[{data}]({result_pages.LINK}/own-data-{data}.json)",
                f"{row['way']}-way {row['shot']}-shot, {ours['n']} draws",
                percent(ours),
                *(cell(told[name], minus[name]) for name in RIVALS),
            ]
            for name in SENTENCES:
                known = sentences.get(name)
                shown = cell(known["accuracy"], known["adapt minus"]) if known else ""
                fewer = known and known["accuracy"]["n"] < ours["n"]
                cells.append(shown + (f" ({known['accuracy']['n']} draws)" if fewer else ""))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(value: Mapping[str, float], minus: Mapping[str, float]) -> str:
    """Its accuracy, and by how much `adapt DATA` is better."""
    return f"{100 * value['mean']:.1f} %: {points(minus)}"


if __name__ == "__main__":
    main()
