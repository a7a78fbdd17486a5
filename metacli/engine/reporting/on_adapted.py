"""Sections about a model that was adapted to a user's classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.data.plain import record_in
from metacli.engine.events import Reporter
from metacli.engine.models.model import AdaptedModel
from metacli.engine.reporting.blocks import (
    Block,
    Facts,
    Gallery,
    Image,
    Row,
    Section,
    Table,
    Text,
    section,
)
from metacli.engine.reporting.confusions import LARGEST_MATRIX, counts_matrix, worst_counts
from metacli.engine.reporting.examples import Example, Examples, support_examples
from metacli.engine.reporting.images import shown as image
from metacli.engine.reporting.images import strip
from metacli.engine.reporting.subject import Line, Subject
from metacli.engine.spelling import metric_name, score, signed, verdict_words, visible

HOW = {
    "kfold": "in {} folds: each example was predicted by a model adapted without it",
    "query": "on the task's query examples",
    "holdout": "on a share of {} that was held out",
}
IMAGES, ROWS, NUMBERS = 8, 3, 10  # that are shown: of a class, of a class, and of all


def of_adapted(subject: Subject, model: AdaptedModel, report: Reporter) -> list[Section]:
    found = support_examples(subject, model, report)
    about = support(found) if model.inputs.kind == "image" else support_in_words(found)
    return [*scores(subject, model, found), *evaluated(subject, found), *about]


def scores(subject: Subject, model: AdaptedModel, found: Examples) -> list[Section]:
    """What `adapt` measured on held-out examples, and whether the source helps."""
    made: Line = record_in(model.scores, "score")
    transfer: Line = record_in(model.scores, "transfer")
    blocks: list[Block] = []
    if made.get("value") is None:
        blocks.append(
            Text(f"Not measured while adapting: {visible(made.get('why') or 'too few examples')}.")
        )
    else:
        blocks += [Facts(tuple(score_facts(made))), Text(how_measured(made))]
    if transfer.get("all"):
        blocks.append(baselines(made.get("metric"), made.get("value"), transfer["all"]))
    counts = made.get("confusion")
    labels = model.classes or ()
    if counts and not examples_were_evaluated(subject):  # then their matrix says more
        if len(labels) <= LARGEST_MATRIX:
            blocks.append(counts_matrix(labels, counts, "Held-out examples: true and predicted"))
        blocks += worst(labels, counts, found)
    return section("score", "How good it is on examples that it was not adapted on", *blocks)


def examples_were_evaluated(subject: Subject) -> bool:
    """Whether `evaluate` has counted confusions, on more examples than those that were held out."""
    return any(line.get("unit") == "example" for line in subject.evaluations)


def score_facts(made: Line) -> list[tuple[str, str]]:
    """The score, how it was measured, and other readings of it."""
    metric = made.get("metric")
    ends = f"{score(metric, made.get('low'))} to {score(metric, made.get('high'))}"
    rows = [
        (metric_name(metric), f"{score(metric, made['value'])}, 95 % interval {ends}"),
    ]
    for key, words in (
        ("balanced", "balanced accuracy"),
        ("macro_f1", "macro F1"),
        ("chance", "chance"),
    ):
        if made.get(key) is not None:
            rows.append((words, score("accuracy", made[key])))
    return rows


def how_measured(made: Line) -> str:
    """In a sentence."""
    kind, _, detail = str(made.get("how")).partition(":")
    words = HOW.get(kind, "{}").format(detail or made.get("how")) + again(made)
    once = " Adapted once, to one support: comparisons hold for these examples alone."
    return f"Measured {words}.{once if kind in ('query', 'holdout') else ''}"


def again(made: Line) -> str:
    """Repeated folds count every example more than once."""
    times = made.get("times") or 1
    return "" if times == 1 else f", {times} times over, so that each counts {times} times below"


def baselines(metric: str | None, value: float | None, rows: Sequence[Line]) -> Table:
    """Simple methods on the same examples, and how the model compares with each."""
    body = [("this model", score(metric, value), "", "", "")]
    for one in rows:
        low, high = one.get("delta_ci95") or (None, None)
        body.append(
            (
                visible(one["baseline"]["name"]),
                score(metric, one["baseline"]["value"]),
                signed(metric, one.get("delta")),
                f"{signed(metric, low)} to {signed(metric, high)}" if low is not None else "",
                verdict_words(one.get("verdict"), metric, one.get("detectable")),
            )
        )
    header = (
        "method",
        metric_name(metric),
        "better by",
        "95 % interval",
        "this model is",
    )
    return Table("Compared with simple methods on the same examples", header, tuple(body))


def evaluated(subject: Subject, found: Examples) -> list[Section]:
    """The last result of `evaluate` on labelled examples."""
    lines = [line for line in subject.evaluations if line.get("unit") == "example"]
    if not lines:
        return []
    line = lines[-1]
    metric = line.get("metric")
    rows = [
        (metric_name(metric), score(metric, line.get("mean"), line.get("ci95"))),
        ("examples", str(line.get("query"))),
    ]
    more = [key for key in ("balanced_accuracy", "macro_f1", "chance") if line.get(key)]
    rows += [(metric_name(key), score("accuracy", line[key])) for key in more]
    blocks: list[Block] = [Facts(tuple(rows))]
    labels, counts = line.get("labels") or (), line.get("confusion") or ()
    if counts and len(labels) <= LARGEST_MATRIX:
        blocks.append(counts_matrix(labels, counts, "Labelled examples: true and predicted"))
    blocks += worst(labels, counts, found)
    return section("test", "On labelled examples, by evaluate", *blocks)


def worst(labels: Sequence[str], counts: Sequence[Sequence[int]], found: Examples) -> list[Block]:
    """The most confused pairs, with what either class looks like or says."""
    pairs = list(worst_counts(labels, counts))[:6]
    if not pairs:
        return []
    names = [(visible(labels[a]), visible(labels[b])) for a, b, _ in pairs]
    often = [f"{n} of {sum(counts[a])}" for a, _, n in pairs]
    body: list[tuple[str, ...]] = [(*two, n) for two, n in zip(names, often, strict=True)]
    header: tuple[str, ...] = ("class", "taken for", "how often")
    if in_words(found):
        spoken = [(said(labels[a], found), said(labels[b], found)) for a, b, _ in pairs]
        body = [(*row, *two) for row, two in zip(body, spoken, strict=True)]
        header = (*header, "an example of the class", "and of the other")
        return [Table("Most confused classes", header, tuple(body))]
    blocks: list[Block] = [Table("Most confused classes", header, tuple(body))]
    rows = []
    for (mine, other), (a, b, _) in zip(names, pairs, strict=True):
        shown = tuple(examples(label, found) for label in (labels[a], labels[b]))
        if any(shown):
            rows.append(Row(f"{mine} taken for {other}", shown))
    if rows:
        note = (
            "Examples that the model was adapted on: left what it is, right what it was taken for."
        )
        blocks.append(Gallery("What they look like", tuple(rows), note))
    return blocks


def in_words(found: Examples) -> bool:
    return any(isinstance(one, str) for own in found.values() for one in own[:1])


def said(label: str, found: Examples) -> str:
    return next((one for one in found.get(label, ()) if isinstance(one, str)), "")


def examples(label: str, found: Examples) -> tuple[Image, ...]:
    """Three of a class."""
    own = images_of(found.get(label, ()))[:3]
    return tuple(image(x, f"an example of {visible(label)}") for x in own)


def images_of(examples: Sequence[Example]) -> list[np.ndarray]:
    return [one for one in examples if isinstance(one, np.ndarray)]


def support_in_words(found: Examples) -> list[Section]:
    """What it was adapted on: some texts or rows of each class, or rows with their numbers."""
    rows = []
    for label, own in found.items():
        most = ROWS if label else NUMBERS
        more = f"and {len(own) - most} more" if len(own) > most else ""
        rows += [(visible(label), one) for one in own[:most] if isinstance(one, str)]
        rows += [(visible(label), more)] if more else []
    if "" in found:
        counted = tuple(
            (str(n) if n <= NUMBERS else "", text) for n, (_, text) in enumerate(rows, 1)
        )
        table = Table("Examples", ("", "example"), counted)
    else:
        table = Table("Examples by class", ("class", "example"), tuple(rows))
    return section("support", "What it was adapted on", table if rows else None)


def support(images: Examples) -> list[Section]:
    """What it was adapted on."""
    rows = []
    for label, own in images.items():
        shown = images_of(own)[:IMAGES]
        more = f"and {len(own) - IMAGES} more" if len(own) > IMAGES else ""
        strips = strip(shown, f"{len(shown)} examples of {visible(label)}")
        rows.append(Row(visible(label), ((strips,),), more))
    gallery = Gallery("Examples by class", tuple(rows)) if rows else None
    return section("support", "What it was adapted on", gallery)
