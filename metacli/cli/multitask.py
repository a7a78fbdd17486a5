"""`metacli multitask`: learn many related tasks together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result
from metacli.cli.meta_train import (
    Data,
    MaxTime,
    Resume,
    Seeds,
    next_of_seeds,
    planned,
    run_rows,
    stopped,
)
from metacli.cli.views.block import Block, items_of
from metacli.engine.events import Reporter
from metacli.engine.spelling import signed
from metacli.errors import UsageProblem

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE|DATA [KEY=VALUE]...",
        help="A recipe of kind multitask, or a table or folder of tasks.",
        autocompletion=complete.trainings,
        show_default=False,
    ),
]


def multitask(
    frame: Frame,
    words_: Words = None,
    data: Data = None,
    resume: Resume = None,
    target: options.Targets = None,
    input_: options.Input = None,
    seeds: Seeds = None,
    shard: options.Shard = None,
    max_time: MaxTime = None,
    track: options.Track = None,
    fail_under: options.FailUnder = None,
    fail_over: options.FailOver = None,
) -> None:
    """Learn many related tasks together, and each alone for comparison.

    \b
      metacli multitask school-soft
      metacli multitask sarcos-hard weighting.name=uncertainty
      metacli multitask pupils.csv data.task=school data.target=score
      metacli multitask people.csv data.target=income,hours
    """
    recipe, overrides = what_to_train(words_ or [], resume, data)
    overrides += words.columns(target, input_)
    limit = words.seconds(max_time)
    early.require_data(data)
    early.require_recipe(recipe, overrides)

    def work(report: Reporter) -> Result:
        from metacli.engine.multitask import multitask as verb

        return verb(
            *(recipe, tuple(overrides)),
            data=data,
            resume=resume,
            seeds=seeds,
            shard=shard,
            max_time=limit,
            track=track or [],
            fail_under=fail_under or (),
            fail_over=fail_over or (),
            **frame.shared(report),
        )

    frame.answer(work, show, lambda result: result.get("run"))


def what_to_train(
    given: list[str], resume: str | None, data: str | None = None
) -> tuple[str | None, list[str]]:
    """(recipe, overrides) from the words of the command line. Raises UsageProblem."""
    others, overrides = words.split_overrides(given)
    if len(others) > 1:
        raise words.no_equals(others[1], others[2] if len(others) > 2 else "VALUE")
    first = others[0] if others else None
    if resume is not None and first:
        hint = f"metacli multitask --resume {resume}"
        raise UsageProblem("--resume takes the run's own recipe and data", hint=hint)
    if first is None and resume is None and data is None:
        raise UsageProblem("multitask needs a RECIPE", hint="metacli recipes lists what there is")
    return first, overrides


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    yield from text.fields(run_rows(read, "seeds, validation" if read.has("runs") else ""))
    if read.flag("dry_run"):
        yield from planned(read)
        return
    yield from tables(read)
    if stopped(read):
        yield f"next: {text.visible(read.text('resume_command'))}"
    elif read.has("runs"):
        yield from next_of_seeds(read)
    elif read.flag("run"):
        yield f"next: {text.command('evaluate', Path(read.text('run')))}"


def tables(read: Block) -> Iterator[str]:
    """Each task compared with its single-task model; the baselines over all tasks; validation."""
    tasks = [task_row(task) for task in read.blocks("tasks")]
    metric = next((name.removeprefix("val_") for name, _ in read.named("metrics")), "")
    baselines = [
        [text.visible(name), text.score(metric, score.number("mean"), score.number("ci95"))]
        for name, score in read.named("baselines")
    ]
    header = ["task", "metric", "together", "separate", "difference"]
    if read.has("runs") and (tasks or baselines):  # the tables are not those of all seeds
        yield ""
        yield f"of {text.path(read.name('run'))}:"
    for block in (text.table(header, tasks), text.table(["baseline", "score"], baselines)):
        if block:
            yield ""
            yield from (f"  {line}" for line in block)
    if tasks:
        yield ""
        yield from text.mean_difference(read, "validation")
        guarded = [task for task in read.blocks("tasks") if task.block("guard").has("answer")]
        yield from guard_lines(guarded)
        yield from related_lines(read.block("relatedness"), guarded=bool(guarded))


def guard_lines(tasks: list[Block]) -> Iterator[str]:
    """Which tasks share, where a guard decided that."""
    sharing = [task for task in tasks if task.block("guard").text("answer") == "together"]
    names = [text.visible(task.text("name")) for task in sharing]
    if sharing:
        network = sharing[0].block("guard").text("network")
        by = "" if network == "together" else f", by {network.replace('-', ' ')}"
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        yield f"guard: {len(names)} of {len(tasks)} tasks share{by}: {' '.join(names[:8])}{more}"
    elif tasks:
        yield "guard: no task shares; each is answered by its own network"


def related_lines(related: Block, *, guarded: bool = False) -> Iterator[str]:
    """The groups that are suggested, and how to train them where no guard has tried them."""
    groups = [group for group in map(items_of, related.items("groups")) if len(group) > 1]
    if groups:
        shown = " | ".join(" ".join(map(text.visible, group)) for group in groups[:8])
        more = f" | {len(groups) - 8} more groups" if len(groups) > 8 else ""
        yield f"belong together ({text.visible(related.text('measure'))}): {shown}{more}"
        train = "" if related.flag("trained") else "to train these groups: groups=auto; "
        if not guarded:
            yield f"{train}to share only where it helps: guard=true"


def task_row(task: Block) -> list[str]:
    metric = task.name("metric")
    return [
        text.visible(task.text("name")),
        text.visible(metric or ""),
        text.score(metric, task.number("value")),
        text.score(metric, task.number("single_task")),
        signed(metric, task.number("delta")),
    ]
