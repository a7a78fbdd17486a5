"""Sections about a model that was adapted to a user's classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metacli.data.task import load_task
from metacli.engine.events import Notice, Reporter
from metacli.engine.reporting import on_pictures
from metacli.engine.reporting.blocks import (
    Block,
    Facts,
    Gallery,
    Picture,
    Row,
    Section,
    Table,
    Text,
    section,
)
from metacli.engine.reporting.pictures import picture, strip
from metacli.engine.reporting.subject import Subject
from metacli.engine.rows import picture_hash
from metacli.engine.spelling import metric_name, score, signed, visible
from metacli.errors import MetacliError

HOW = {
    "kfold": "each example was predicted by a model adapted without it ({} folds)",
    "query": "on the task's query examples",
    "holdout": "on a share of {} that was held out",
}
Pictures = Mapping[str, Sequence[np.ndarray]]
"""Class -> its support pictures."""


def of_adapted(subject: Subject, report: Reporter) -> list[Section]:
    pictures = support_pictures(subject, report)
    return [*scores(subject), *evaluated(subject, pictures), *support(pictures)]


def scores(subject: Subject) -> list[Section]:
    """What `adapt` measured on held-out examples, and whether the source helps."""
    found = subject.model.scores
    made, transfer = found.get("score") or {}, found.get("transfer") or {}
    blocks: list[Block] = []
    if made.get("value") is None:
        blocks.append(
            Text(f"Not measured while adapting: {visible(made.get('why') or 'too few examples')}.")
        )
    else:
        blocks.append(Facts(tuple(score_facts(made))))
    if transfer.get("all"):
        blocks.append(baselines(made.get("metric"), made.get("value"), transfer["all"]))
    counts = made.get("confusion")
    labels = subject.model.classes or ()
    if counts and len(labels) <= on_pictures.LARGEST_MATRIX:
        blocks.append(
            on_pictures.counts_matrix(
                labels, counts, "Held-out examples: what they are and what was said"
            )
        )
    return section("score", "How good it is on examples that it was not adapted on", *blocks)


def score_facts(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    metric = made.get("metric")
    kind, _, detail = str(made.get("how")).partition(":")
    ends = f"{score(metric, made.get('low'))} to {score(metric, made.get('high'))}"
    rows = [
        (metric_name(metric), f"{score(metric, made['value'])}, 95 % interval {ends}"),
        ("measured", HOW.get(kind, "{}").format(detail or made.get("how"))),
    ]
    for key, words in (
        ("balanced", "balanced accuracy"),
        ("macro_f1", "macro F1"),
        ("chance", "chance"),
    ):
        if made.get(key) is not None:
            rows.append((words, score("accuracy", made[key])))
    return rows


def baselines(metric: Any, mine: Any, rows: Sequence[Mapping[str, Any]]) -> Table:
    body = [("this model", score(metric, mine), "", "", "")]
    for one in rows:
        low, high = one.get("delta_ci95") or (None, None)
        body.append(
            (
                visible(one["baseline"]["name"]),
                score(metric, one["baseline"]["value"]),
                signed(metric, one.get("delta")),
                f"{signed(metric, low)} to {signed(metric, high)}" if low is not None else "",
                str(one.get("verdict", "")).replace("_", " "),
            )
        )
    header = (
        "predictor",
        metric_name(metric),
        "this model minus it",
        "95 % interval",
        "the source",
    )
    return Table("Beside simple models on the same examples", header, tuple(body))


def evaluated(subject: Subject, pictures: Pictures) -> list[Section]:
    """What `evaluate` said on labelled examples, the last time."""
    lines = [line for line in subject.evaluations if line.get("unit") == "example"]
    if not lines:
        return []
    line = lines[-1]
    metric = line.get("metric")
    rows = [
        (metric_name(metric), score(metric, line.get("mean"), line.get("ci95"))),
        ("examples", str(line.get("query"))),
    ]
    beside = [key for key in ("balanced_accuracy", "macro_f1", "chance") if line.get(key)]
    rows += [(metric_name(key), score("accuracy", line[key])) for key in beside]
    blocks: list[Block] = [Facts(tuple(rows))]
    labels, counts = line.get("labels") or (), line.get("confusion") or ()
    if counts and len(labels) <= on_pictures.LARGEST_MATRIX:
        blocks.append(
            on_pictures.counts_matrix(
                labels, counts, "Labelled examples: what they are and what was said"
            )
        )
    blocks += worst(labels, counts, pictures)
    return section("test", "On labelled examples, by evaluate", *blocks)


def worst(
    labels: Sequence[str], counts: Sequence[Sequence[int]], pictures: Pictures
) -> list[Block]:
    """The most confused pairs, with what either class looks like."""
    pairs = list(on_pictures.worst_counts(labels, counts))[:6]
    if not pairs:
        return []
    body = tuple(
        (visible(labels[a]), visible(labels[b]), f"{n} of {sum(counts[a])}") for a, b, n in pairs
    )
    found: list[Block] = [Table("Most confused classes", ("class", "taken for", "how often"), body)]
    rows = []
    for a, b, _ in pairs:
        shown = tuple(examples(label, pictures) for label in (labels[a], labels[b]))
        if any(shown):
            rows.append(Row(f"{visible(labels[a])} taken for {visible(labels[b])}", shown))
    if rows:
        note = (
            "Examples that the model was adapted on: left what it is, right what it was taken for."
        )
        found.append(Gallery("What they look like", tuple(rows), note))
    return found


def examples(label: str, pictures: Pictures) -> tuple[Picture, ...]:
    """Three of a class."""
    own = list(pictures.get(label, ()))[:3]
    return tuple(picture(x, f"an example of {visible(label)}") for x in own)


def support(pictures: Pictures) -> list[Section]:
    """What it was adapted on."""
    rows = []
    for label, own in pictures.items():
        shown = list(own)[:8]
        more = f"and {len(own) - 8} more" if len(own) > 8 else ""
        strips = strip(shown, f"{len(shown)} examples of {visible(label)}")
        rows.append(Row(visible(label), ((strips,),), more))
    gallery = Gallery("Examples by class", tuple(rows)) if rows else None
    return section("support", "What it was adapted on", gallery)


def support_pictures(subject: Subject, report: Reporter) -> Pictures:
    """The pictures of the task's folder that the model knows by their hashes; a model holds none
    itself."""
    model = subject.model
    task = model.provenance.get("task")
    known = set(model.answers.get("support") or ())
    if task is None or not known or model.inputs.kind != "image":
        return {}
    folder, *onto = (
        Path(os.path.normpath(subject.path / str(one)))
        for one in reversed([task, *model.provenance.get("added", ())])
    )
    try:
        read = load_task(
            folder, model.inputs.image(), onto=onto, skip_bad=True, allow_duplicates=True
        )
    except MetacliError as error:
        report(
            Notice(f"no pictures of the examples: {error.message} - {folder}", "report.no_pictures")
        )
        return {}
    pictures: dict[str, list[np.ndarray]] = {label: [] for label in read.labels}
    assert read.support.y is not None
    for number, x in zip(read.support.y, read.support.x, strict=True):
        if picture_hash(x) in known:
            pictures[read.labels[int(number)]].append(x)
    return {label: own for label, own in pictures.items() if own}
