"""`metacli multitask`: learn many related tasks together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result, mapping
from metacli.cli.meta_train import Data, MaxTime, Resume, Seeds
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
    max_time: MaxTime = None,
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
            max_time=limit,
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
    dry, best = result.get("dry_run"), result.get("best_step")
    at = f", best at step {best}" if best is not None else ""
    rows = [
        ("run", text.path(result.get("run"))),
        ("model", text.path(result.get("model")) if result.get("model") else ""),
        (
            "status",
            ""
            if dry
            else f"{text.visible(result.get('status'))} after {result.get('steps')} steps{at}",
        ),
    ]
    for name, metric in mapping(result.get("metrics")).items():
        values = mapping(metric)
        value = text.score(name, values.get("mean"), values.get("ci95"))
        rows.append((text.visible(name), f"{value} (validation)"))
    rows += [
        ("one of them", text.path(mapping(run).get("run"))) for run in result.get("runs") or []
    ]
    yield from text.fields(rows)
    if dry:
        yield from (text.visible(line) for line in str(result.get("recipe") or "").splitlines())
        return
    yield from tables(result)
    yield from next_lines(result)


def tables(result: Result) -> Iterator[str]:
    """Each task beside its single-task model, then the baselines over all tasks; validation."""
    tasks = [task_row(mapping(task)) for task in result.get("tasks") or []]
    baselines = [
        [text.visible(name), text.score("", mapping(v).get("mean"), mapping(v).get("ci95"))]
        for name, v in mapping(result.get("baselines")).items()
    ]
    header = ["task", "metric", "together", "alone", "difference"]
    for block in (text.table(header, tasks), text.table(["baseline", "score"], baselines)):
        if block:
            yield ""
            yield from (f"  {line}" for line in block)
    if tasks:
        yield ""
        yield from text.mean_difference(result, "validation")
        yield from related_lines(result)


def related_lines(result: Result) -> Iterator[str]:
    """The groups that are suggested, and how to train them."""
    related = mapping(result.get("relatedness"))
    groups = [group for group in related.get("groups") or [] if len(group) > 1]
    if groups:
        shown = " | ".join(" ".join(map(text.visible, group)) for group in groups[:8])
        more = f" | {len(groups) - 8} more groups" if len(groups) > 8 else ""
        yield f"belong together ({text.visible(related.get('measure'))}): {shown}{more}"
        yield "to train these groups: groups=auto; to share only where it helps: guard=true"


def task_row(task: Any) -> list[Any]:
    metric = task.get("metric")
    return [
        text.visible(task.get("name")),
        text.visible(metric),
        text.score(metric, task.get("value")),
        text.score(metric, task.get("single_task")),
        signed(metric, task.get("delta")),
    ]


def next_lines(result: Result) -> Iterator[str]:
    """What to type after training: go on when it stopped early, else measure."""
    if result.get("status") in ("interrupted", "failed") and result.get("resume_command"):
        yield f"next: {text.visible(result['resume_command'])}"
    elif result.get("run"):
        yield f"next: {text.command('evaluate', Path(str(result['run'])))}"
