"""What `evaluate` measured on data that no training reads."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from metacli.engine.models.model import AdaptedModel
from metacli.engine.reporting import plots
from metacli.engine.reporting.blocks import Commands, Plot, Section, Table, Text, section
from metacli.engine.reporting.settings import span
from metacli.engine.reporting.subject import Line, Subject
from metacli.engine.spelling import is_fraction, metric_name, score, visible

SAME = ("data_digest", "split", "way", "query", "seed", "episodes")  # points of one curve


def measured(subject: Subject) -> list[Section]:
    """The results table, with a curve over the examples per class where there is one."""
    episodes = [
        line
        for line in subject.evaluations
        if line.get("unit") == "episode" or line.get("measures")
    ]
    command = f"metacli evaluate {shlex.quote(subject.name)}"
    if isinstance(subject.model, AdaptedModel):
        command += " LABELLED_EXAMPLES/"
    if not subject.evaluations:
        return section(
            "test",
            "Results",
            Text("Not evaluated yet. To measure it on data that it has not seen:"),
            Commands((command,)),
        )
    if not episodes:
        return []
    rows = [result_row(line) for line in episodes]
    header = ("tasks", "score", "all queries together", "chance", "untrained", "other baselines")
    caption = "On tasks that training never saw; ± is half of a 95 % interval over tasks"
    table = Table(caption, *without_empty(header, rows))
    steps = [block for line in episodes[-1:] for block in per_step(line)]
    tasks = [block for line in episodes[-1:] for block in of_each_task(line)]
    return section("test", "Results", table, *tasks, *curve(episodes), *steps)


def of_each_task(line: Line) -> Iterator[Table]:
    """Every measure over classification tasks that are new, and every task by itself."""
    if not line.get("measures"):
        return
    metric = line.get("metric")
    over = tuple((visible(name), scored(name, one)) for name, one in line["measures"].items())
    yield Table("Over the tasks", ("measure", "score"), over)
    rows = tuple(
        (
            visible(one["name"]),
            score(metric, one["value"], one.get("ci95")),
            str(one["rows"]),
            score("accuracy", min(one["rates"].values())),
        )
        for one in sorted(line["tasks"], key=lambda one: one["value"])
    )
    header = ("task", metric_name(metric), "rows", "rarest class")
    yield Table("Task by task, the lowest first", header, rows)


def without_empty(
    header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows without the columns that hold nothing."""
    keep = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return tuple(header[i] for i in keep), tuple(tuple(row[i] for i in keep) for row in rows)


def result_row(line: Line) -> tuple[str, ...]:
    metric, others = line.get("metric"), dict(line.get("baselines") or {})
    first = others.pop("untrained", None)
    rest = "; ".join(f"{visible(name)} {scored(metric, value)}" for name, value in others.items())
    together = line.get("transductive")
    return (
        on_what(line),
        score(metric, line.get("mean"), line.get("ci95")),
        scored(metric, together) if together else "",
        score(metric, line["chance"]) if line.get("chance") else "",
        scored(metric, first) if first else "",
        rest,
    )


def scored(metric: str | None, value: Line) -> str:
    """A score with half of its interval."""
    return score(metric, value.get("mean"), value.get("ci95"))


def on_what(line: Line) -> str:
    """`test: 5-way 1-shot, 15 queries, 600 episodes, seed 0`."""
    shape = f"{span(line['way'])}-way {span(line['shot'])}-shot" if line.get("way") else ""
    points = f"{span(line['shot'])} points" if line.get("shot") else ""
    words = [
        shape if line.get("metric") == "accuracy" else points,
        f"{line.get('query')} queries" if line.get("query") else "",
        f"{line.get('episodes')} episodes" if line.get("episodes") else "",
        f"seed {line.get('seed')}" if line.get("seed") else "",
        f"scheme {line['scheme']}" if line.get("scheme") else "",
    ]
    data = line.get("data")
    where = f"{visible(Path(str(data)).name)} " if data else ""
    return f"{where}{line.get('split') or ''}: {', '.join(word for word in words if word)}"


def curve(lines: Sequence[Line]) -> Iterator[Plot]:
    """How many labels are needed: evaluations that differ in the shot alone."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        if isinstance(line.get("shot"), int):
            key = tuple(
                str(line.get(name))
                for name in ("data_digest", "split", "way", "query", "seed", "episodes")
            )
            groups.setdefault(key, []).append(line)
    for count, same in enumerate(
        sorted(one, key=lambda line: line["shot"]) for one in groups.values()
    ):
        if len(same) < 3:
            continue
        metric = same[0].get("metric")
        points = [(line["shot"], line["mean"], line.get("ci95")) for line in same]
        svg = plots.steps(
            f"shots-{count}",
            points,
            "examples per class",
            metric_name(metric),
            percent=is_fraction(metric),
        )
        said = "; ".join(f"{p[0]}: {score(metric, p[1], p[2])}" for p in points)
        rows = tuple((str(p[0]), score(metric, p[1], p[2])) for p in points)
        table = Table(
            "By examples per class", ("examples per class", metric_name(metric)), rows, folded=True
        )
        yield Plot(
            "Score by examples per class", svg, f"{metric} by examples per class: {said}.", table
        )


def per_step(line: Line) -> Iterator[Plot]:
    """The score after each adaptation step, as `evaluate` measured it."""
    found = [row for row in line.get("per_step") or [] if row.get("mean") is not None]
    if len(found) > 1:
        points = [(row["step"], row["mean"], row.get("ci95")) for row in found]
        yield steps_plot(
            "steps-test", line.get("metric"), points, f"on the test tasks ({on_what(line)})"
        )


def steps_plot(name: str, metric: str | None, points: Sequence[plots.Point], where: str) -> Plot:
    """A score after each adaptation step."""
    svg = plots.steps(
        name, points, "adaptation steps", metric_name(metric), percent=is_fraction(metric)
    )
    rows = tuple((f"{p[0]:g}", score(metric, p[1], p[2])) for p in points)
    ends = f"from {rows[0][1]} before any step to {rows[-1][1]} after {rows[-1][0]}"
    says = f"{metric_name(metric)} after each adaptation step {where}: {ends}."
    table = Table("By adaptation steps", ("steps", metric_name(metric)), rows, folded=True)
    return Plot(f"After each adaptation step, {where}", svg, says, table)
