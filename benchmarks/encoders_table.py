"""The paragraphs of docs/results/ on pretrained encoders, from results/encoders-*.json.

python benchmarks/encoders_table.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGES = ROOT / "benchmarks" / "results", ROOT / "docs" / "results"
BEGIN, END = "<!-- encoders: made by benchmarks/encoders_table.py -->", "<!-- end of encoders -->"
Estimate = Mapping[str, float]


def main() -> None:
    for name, page, made in (("photos", "few-shot", photos), ("texts", "texts", texts)):
        path = RESULTS / f"encoders-{name}.json"
        if path.is_file():
            put(PAGES / f"{page}.md", made(json.loads(path.read_text())))


def put(page: Path, text: str) -> None:
    """Between the two marks, which go to the end of a page that has none."""
    old = page.read_text()
    before, mark, rest = old.partition(BEGIN)
    after = rest.partition(END)[2] if mark else "\n"
    page.write_text(f"{before.rstrip()}\n\n{BEGIN}\n{text.strip()}\n{END}{after}")


def photos(result: Mapping[str, object]) -> str:
    rows: list[dict[str, dict[str, Estimate]]] = result["rows"]  # type: ignore[assignment]
    lines = [
        "## Meta-learning on a pretrained encoder",
        "",
        "CIFAR-FS, test classes, 5-way, 600 episodes, the same for every row; meta-trained on",
        "features of the 64 training classes",
        "([results](../../benchmarks/results/encoders-photos.json),",
        "[protocol](../../benchmarks/protocols/encoders.md)). These classes are not unseen by the",
        "encoder:",
        f"{result['note']}.",
        "",
        "| shots | method | accuracy | minus logistic regression |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        minus = row["minus logistic regression"]
        for name, value in sorted(row["accuracy"].items(), key=lambda one: -one[1]["mean"]):
            gain = points(minus[name]) if name in minus else ""
            lines.append(f"| {row['shot']} | {name} | {percent(value)} | {gain} |")
    lines += [
        "",
        "Conv4 trained on the same images alone reaches 45.8 to 48.7 and 59.5 to 63.5 % (above).",
    ]
    return "\n".join(lines)


def texts(result: Mapping[str, object]) -> str:
    rows: list[dict[str, dict[str, Estimate]]] = result["rows"]  # type: ignore[assignment]
    lines = [
        "## What was meta-learned on other intents",
        "",
        "CLINC150, the test intents of each of the five published folds, a head for each fold,",
        "meta-trained on its training and validation intents alone",
        "([results](../../benchmarks/results/encoders-texts.json),",
        "[protocol](../../benchmarks/protocols/encoders.md)); logistic regression on each kind of",
        "features, tuned in the same way. Fold 1 is the one whose head comes with metacli.",
        "",
        "| classes, examples each | features | accuracy | minus `texts+ngrams` | fold 1 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        minus, apart = row["minus texts+ngrams"], row["by division"]
        for name, value in sorted(row["accuracy"].items(), key=lambda one: -one[1]["mean"]):
            gain = points(minus[name]) if name in minus else ""
            own = 100 * apart["accuracy"][name][0]  # type: ignore[index]
            size = f"{row['way']}, {row['shot']}"
            lines.append(f"| {size} | `{name}` | {percent(value)} | {gain} | {own:.1f} % |")
    every = rows[0]["by division"]["intents+ngrams minus texts+ngrams"]
    count = rows[0]["accuracy"]["texts+ngrams"]["n"]
    lines += [
        "",
        f"{count:g} draws: the protocol names four for each fold, and the machine allowed no more.",
        "Over the five folds `intents+ngrams` differs from `texts+ngrams` by",
        f"{points(every)} at 50 classes.",
    ]
    return "\n".join(lines)


def percent(value: Estimate) -> str:
    return f"{100 * value['mean']:.1f} ± {100 * value['ci95']:.1f} %"


def points(value: Estimate) -> str:
    return f"{100 * value['mean']:+.1f} ± {100 * value['ci95']:.1f} points"


if __name__ == "__main__":
    main()
