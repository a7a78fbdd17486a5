"""The documentation's table of applications, made from results files: `python
benchmarks/applications.py`. A test fails when it is stale, and each command is one that metacli
knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "results" / "applications.md"
LINK = "../../benchmarks/results"
HEAD = """# Applications

Made by `python benchmarks/applications.py` from results files, which the numbers link to; each
names its protocol. ± is the half-width of a 95 % interval: over draws or episodes for new classes,
over splits, tasks or rotations elsewhere. Of molecules, grasps and hospitals it is over draws of
the examples with these tasks fixed; over tasks it is far wider. *Instead* is the best of what a
user would do without sharing anything between tasks or classes, with the same examples and the same
tuning; *pooled* is one model of all tasks, which is what sharing has to be better than.

`metacli fetch NAME` brings a set by name. Where a row has two commands, the first makes a folder
like your own; with yours in its place the second is all there is to type.
"""
NAMES = {
    "single-task": "the same network for each task",
    "per-task": "a tuned linear model for each task",
    "pooled": "one tuned linear model",
    "logistic regression": "tuned logistic regression on the same features",
    "logistic regression on the encoder": "tuned logistic regression on the same features",
    "logistic regression on wordllama": "tuned logistic regression on the same features",
    "random-slopes": "random intercepts and slopes",
    "photos-protonet": "`photos-protonet`",
}


class Row(NamedTuple):
    """One application.

    Args:
        what: for people. commands: what to type. file: below `results`.
        metric: of all numbers of the row. ours, instead, pooled: (name, mean, ci95).
    """

    what: str
    commands: tuple[str, ...]
    file: str
    metric: str
    ours: tuple[str, float, float | None]
    instead: tuple[str, float, float | None]
    pooled: tuple[str, float, float | None] | None = None


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page."""
    lines = [
        HEAD,
        "| what | command | metacli | instead | pooled |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in rows():
        commands = "<br>".join(f"`{command}`" for command in one.commands)
        ours = f"{one.metric} [{shown(one, one.ours)}]({LINK}/{one.file})"
        pooled = shown(one, one.pooled) if one.pooled else ""
        lines.append(f"| {one.what} | {commands} | {ours} | {shown(one, one.instead)} | {pooled} |")
    return "\n".join([*lines, ""])


def shown(row: Row, score: tuple[str, float, float | None]) -> str:
    """`87.0 % ± 0.5, tuned logistic regression`."""
    name, mean, half = score
    name = NAMES.get(name, name)
    if row.metric == "accuracy":
        return f"{100 * mean:.1f} %{'' if half is None else f' ± {100 * half:.1f}'}, {name}"
    return f"{mean:.3f}{'' if half is None else f' ± {half:.3f}'}, {name}"


def rows() -> list[Row]:
    """In the order of the page."""
    return [
        own_data(
            "Flowers: 5 species, 5 photographs of each",
            "flowers12",
            (5, 5),
            ("logistic regression on the encoder",),
        ),
        photographs(),
        digits(),
        own_data(
            "Intents: 10 kinds of requests to an assistant, 5 examples of each",
            "clinc150",
            (10, 5),
            ("logistic regression on wordllama", "logistic regression on TF-IDF"),
        ),
        together(
            "Reviews of 16 kinds of things, good or bad",
            "fdu-mtl",
            "accuracy",
            ("single-task", "per-task"),
            ("pooled",),
        ),
        tasks(
            "Molecules: 3 assays that are new, 10 active and 10 inactive molecules",
            "tox21-10shot-r2d2",
            "tox21",
            "meta-trained, fingerprints",
            ("random forest, fingerprints", "logistic regression, fingerprints"),
        ),
        tasks(
            "Grasps: 41 objects that were never held, 10 grasps of each",
            "grasps-10shot-maml",
            "grasps",
            "MAML, 10 grasps",
            ("logistic regression, 10 grasps", "random forest, 10 grasps"),
        ),
        tasks(
            "Hospitals: each of 4 left out, 10 of its patients known",
            "heart-10shot-maml",
            "heart",
            "MAML, 10 patients",
            ("logistic regression, 10 patients", "random forest, 10 patients"),
        ),
        together(
            "Pupils: examination scores of 139 schools",
            "school",
            "explained_variance",
            ("single-task", "per-task"),
            (
                *("pooled", "pooled-task-column", "random-slopes"),
                *("random-intercepts", "trees-task-column"),
            ),
        ),
        handwriting(),
    ]


def read(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / file).read_text(encoding="utf-8"))
    return found


def best(scores: dict[str, dict[str, Any]], names: tuple[str, ...]) -> tuple[str, float, float]:
    """Of those that are there, the one with the highest mean."""
    name = max((one for one in names if one in scores), key=lambda one: scores[one]["mean"])
    return name, scores[name]["mean"], scores[name]["ci95"]


def own_data(what: str, data: str, size: tuple[int, int], others: tuple[str, ...]) -> Row:
    """`adapt` on a few examples, without training."""
    (way, shot), file = size, f"own-data-{data}.json"
    found = next(one for one in read(file)["rows"] if (one["way"], one["shot"]) == size)
    scores = found["accuracy"]
    ours = ("`adapt`, no training", scores["adapt"]["mean"], scores["adapt"]["ci95"])
    commands = (
        f"metacli sample {data} --way {way} --shot {shot} -o mine_in",
        "metacli adapt mine_in",
    )
    return Row(what, commands, file, "accuracy", ours, best(scores, others))


def photographs() -> Row:
    file = "encoders-photos.json"
    found = next(one for one in read(file)["rows"] if (one["way"], one["shot"]) == (5, 1))
    scores = found["accuracy"]
    ours = best(scores, ("photos-protonet",))
    instead = best(scores, ("logistic regression",))
    what = "Small photographs (CIFAR-FS): 5 classes, 1 example; the encoder's ImageNet knows most"
    return Row(what, ("metacli meta-train photos-protonet",), file, "accuracy", ours, instead)


def digits() -> Row:
    file = "class_sets/fsdd.json"
    scores = read(file)["table"]["1-shot"]["arms"]
    _, mean, half = best(scores, ("class-means/separate",))
    joint = scores["learner/joint"]
    ours = ("two speakers together", joint["mean"], joint["ci95"])
    what = "Spoken digits: 3 digits and 2 speakers that are new, 1 recording of each"
    commands = ("metacli meta-train fsdd-3w1s-mtnp",)
    instead = ("ProtoNet, each speaker alone", mean, half)
    return Row(what, commands, file, "accuracy", ours, instead)


def together(
    what: str, data: str, metric: str, others: tuple[str, ...], pooled: tuple[str, ...]
) -> Row:
    """Many related tasks trained together."""
    file = f"tasks/{data}.json"
    result = read(file)
    scores = {name: one[metric] for name, one in result["summary"].items()}
    own = scores[result["recipe"]]
    ours = (f"`{result['recipe']}`", own["mean"], own["ci95"])
    commands = (f"metacli multitask {result['recipe']}",)
    words = metric.replace("_", " ")
    return Row(what, commands, file, words, ours, best(scores, others), best(scores, pooled))


def tasks(what: str, recipe: str, data: str, arm: str, others: tuple[str, ...]) -> Row:
    """Classification tasks that are new, beside models of their own examples alone."""
    file = f"class_tasks/{data}.json"
    scores = {
        name: {"mean": one["auc"]["mean"], "ci95": one["auc"]["ci95_draws"]}
        for name, one in read(file)["arms"].items()
    }
    same = arm.partition(", ")[2]
    pooled = tuple(name for name in scores if name.startswith("pooled") and name.endswith(same))
    commands = (f"metacli meta-train {recipe}",)
    ours = best(scores, (arm,))
    return Row(what, commands, file, "ROC AUC", ours, best(scores, others), best(scores, pooled))


def handwriting() -> Row:
    file = "omniglot-20w1s-protonet.json"
    found = read(file)["evaluate"][0]
    ours = ("ProtoNet", found["mean"], found["ci95"])
    pixels = found["baselines"]["pixels"]
    instead = ("nearest class mean of pixels", pixels["mean"], pixels["ci95"])
    what = "Handwriting (Omniglot): 5 characters that are new, 1 drawing of each"
    commands = ("metacli meta-train omniglot-20w1s-protonet",)
    return Row(what, commands, file, "accuracy", ours, instead)


if __name__ == "__main__":
    main()
