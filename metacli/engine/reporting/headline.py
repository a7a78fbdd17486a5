"""The first sentences of a report: the score, what guessing or the simplest method reaches, and
which of both is better."""

from __future__ import annotations

import math

from metacli.data.plain import Record, record_in
from metacli.engine.reporting.measured import on_what, scored
from metacli.engine.reporting.subject import Line, Subject
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import is_fraction, metric_name, score, verdict_words, visible

SINGLE = "single-task"


def headline(subject: Subject) -> str:
    """The last result on data that training never read; else that there is none."""
    if subject.evaluations:
        of_a_whole = [line for line in subject.evaluations if not is_a_measure(line)]
        line = (of_a_whole or list(subject.evaluations))[-1]
        match line.get("unit"):
            case "task" if line.get("measures"):
                return of_episodes(line)
            case "task":
                return of_tasks(line)
            case "example":
                return of_examples(line)
            case _:
                return of_episodes(line)
    scores = subject.model.scores
    made = record_in(scores, "score")
    if made.get("value") is not None:
        return of_held_out(made, record_in(scores, "transfer"))
    for name in scores:
        if name.startswith("val_") and (value := measured(scores, name)):
            shown = score(name, value.get("mean"), value.get("ci95"))
            return f"{named(name)} {shown} on validation; not evaluated on test tasks yet."
    return "Not measured yet."


def is_a_measure(line: Line) -> bool:
    """Whether it is one of several measures of the same tasks, whose result stands with another."""
    return line.get("unit") == "task" and "draws" in line and not line.get("measures")


def measured(scores: Record, name: str) -> Line:
    """A score with its interval; empty where there is none."""
    return record_in(scores, name)


def of_episodes(line: Line) -> str:
    """A few-shot model on tasks that it has never seen."""
    metric = line.get("metric")
    first = f"{named(metric)} {score(metric, line.get('mean'), line.get('ci95'))} on new tasks "
    first += f"({on_what(line)})."
    if line.get("chance"):
        low, high = ends(line.get("mean"), line.get("ci95"))
        return f"{first} {against_chance(metric, low, high, line['chance'])}"
    fresh = (line.get("baselines") or {}).get("untrained")
    if not fresh:
        return first
    return f"{first} An untrained network reaches {scored(metric, fresh)}: {better(line, fresh)}."


def better(line: Line, other: Line) -> str:
    """`clearly better`, or `no clear difference` where the two intervals meet."""
    low, high = ends(line.get("mean"), line.get("ci95"))
    from_, to = ends(other.get("mean"), other.get("ci95"))
    if line.get("metric") in LOWER_IS_BETTER:
        low, high, from_, to = -high, -low, -to, -from_
    if low > to:
        return "training makes it clearly better"
    return "training makes it worse" if high < from_ else "no clear difference"


def of_examples(line: Line) -> str:
    """An adapted model on labelled examples."""
    metric = line.get("metric")
    low, high = line.get("low"), line.get("high")
    if low is None or high is None:
        low, high = ends(line.get("mean"), line.get("ci95"))
    first = f"{named(metric)} {rough(metric, line.get('mean'))} on {line.get('query')} labelled "
    first += f"examples (95 % interval {span(metric, low, high)})."
    if not line.get("chance"):
        return first
    return f"{first} {against_chance(metric, low, high, line['chance'])}"


def of_held_out(made: Line, transfer: Line) -> str:
    """An adapted model on the examples that were held out, and whether its source helped."""
    metric, low, high = made["metric"], made.get("low"), made.get("high")
    interval = ""
    if low is not None and high is not None:
        interval = f" (95 % interval {span(metric, low, high)})"
    words = [f"{named(metric)} {rough(metric, made['value'])} on held-out examples{interval}."]
    if made.get("chance") and low is not None and high is not None:
        words.append(against_chance(metric, low, high, made["chance"]))
    words += [one for one in [against_simple(metric, transfer)] if one]
    return " ".join(words)


def rough(metric: str | None, value: float | None) -> str:
    """`27.8 %`: few examples say no more."""
    if value is None or not is_fraction(metric):
        return score(metric, value)
    return f"{100 * value:.3g} %"


def span(metric: str | None, low: float, high: float) -> str:
    """`10 to 56 %`."""
    if is_fraction(metric):
        return f"{100 * low:.0f} to {100 * high:.0f} %"
    return f"{score(metric, low)} to {score(metric, high)}"


def against_chance(metric: str | None, low: float, high: float, chance: float) -> str:
    """Whether an interval is above what guessing reaches."""
    level = f"{100 * chance:.3g} %" if metric != "mse" else score(metric, chance)
    if low > chance:
        return f"That is clearly better than guessing, which reaches {level}."
    if high < chance:
        return f"That is worse than guessing, which reaches {level}."
    return f"That is no better than guessing, which reaches {level}."


def against_simple(metric: str | None, transfer: Line) -> str:
    """How the model compares with the best simple method on the same examples."""
    verdict = transfer.get("verdict")
    if verdict is None:
        return ""
    best = transfer.get("baseline")
    name = visible(best.get("name") if isinstance(best, dict) else best or "the best simple method")
    smallest = transfer.get("detectable")
    if verdict in ("helped", "hurt"):
        return f"It is {verdict_words(verdict)} than {name}."
    return f"Compared with {name}: {verdict_words(verdict, metric, smallest)}."


def of_tasks(line: Line) -> str:
    """A multi-task model on rows of its tasks, compared with one network for each."""
    metric, count = line.get("metric"), len(line.get("tasks") or [])
    split = line.get("split")
    rows = f"the {split} rows" if split else f"the rows of {visible(line.get('data'))}"
    first = f"{named(metric)} {scored(metric, line)} on {rows} of {count} tasks."
    alone = (line.get("baselines") or {}).get(SINGLE)
    if not alone:
        return first
    verdict = alone.get("verdict")
    words = verdict_words(verdict, metric, alone.get("detectable"))
    clear = verdict in ("helped", "hurt")
    end = f"learning together is {words}" if clear else words
    return f"{first} Each task learned alone reaches {scored(metric, alone)}: {end}."


def ends(mean: float | None, half: float | None) -> tuple[float, float]:
    """Of an interval; the mean twice where it has none."""
    if mean is None:
        return math.nan, math.nan
    width = half if half is not None and math.isfinite(half) else 0.0
    return mean - width, mean + width


def named(metric: str | None) -> str:
    words = metric_name(metric)
    return f"{words[:1].upper()}{words[1:]}"
