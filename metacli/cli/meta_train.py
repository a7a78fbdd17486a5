"""`metacli meta-train`: learn from many small tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result, mapping
from metacli.engine.events import Reporter
from metacli.errors import UsageProblem

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE|DATA [KEY=VALUE]...",
        help="A shipped recipe, a YAML file, a run, or a folder of classes.",
        autocompletion=complete.trainings,
        show_default=False,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Your own classes to learn from.",
        autocompletion=complete.paths,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="RUN", help="Continue a run.", autocompletion=complete.runs),
]
Seeds = Annotated[
    int | None, typer.Option("--seeds", metavar="N", min=1, help="Train N times, seeds 0 to N-1.")
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        "--max-time", metavar="T", help="Stop training after 90s, 15m or 2h and save the model."
    ),
]


def meta_train(
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
    """Learn from many small tasks drawn from a pool of classes.

    \b
      metacli meta-train glyphs-5w1s-protonet
      metacli meta-train omniglot-5w1s-maml train.steps=2000 --device cuda
    """
    recipe, overrides = what_to_train(words_ or [], data, resume)
    overrides += words.columns(target, input_)
    limit = words.seconds(max_time)
    early.require_data(data)
    early.require_recipe(recipe, overrides)

    def work(report: Reporter) -> Result:
        from metacli.engine.meta_train import meta_train as verb

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
    given: list[str], data: str | None, resume: str | None
) -> tuple[str | None, list[str]]:
    """(recipe or folder of data, overrides) from the words of the command line.

    Raises:
        UsageProblem: nothing or too much to train.
    """
    others, overrides = words.split_overrides(given)
    if len(others) > 1:
        raise words.no_equals(others[1], others[2] if len(others) > 2 else "VALUE")
    first = others[0] if others else None
    if resume is not None and (first or data):
        hint = f"metacli meta-train --resume {resume}"
        raise UsageProblem("--resume takes the run's own recipe and data", hint=hint)
    if first is None and data is None and resume is None:
        hint = "metacli recipes lists what there is"
        raise UsageProblem("meta-train needs a RECIPE or a folder of classes", hint=hint)
    return first, overrides


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    best, steps, dry = result.get("best_step"), result.get("steps"), result.get("dry_run")
    at = f", best at step {best}" if best is not None else ""
    seeds = result.get("runs") or []
    rows = [
        ("run", text.path(result.get("run"))),
        ("model", text.path(result.get("model")) if result.get("model") else ""),
        ("status", "" if dry else f"{text.visible(result.get('status'))} after {steps} steps{at}"),
    ]
    for name, metric in mapping(result.get("metrics")).items():
        values = mapping(metric)
        of = "seeds, validation" if seeds else "validation episodes"
        n = f" ({values['n']} {of})" if values.get("n") else " (validation)"
        value = text.score(name, values.get("mean"), values.get("ci95"))
        rows.append((text.visible(name), value + n))
    rows += [("one of them", text.path(mapping(run).get("run"))) for run in seeds]
    yield from text.fields(rows)
    if dry:
        yield from (text.visible(line) for line in str(result.get("recipe") or "").splitlines())
    else:
        yield from next_lines(result)


def next_lines(result: Result) -> Iterator[str]:
    """What to type after training: go on when it stopped early, else measure and use it."""
    if result.get("status") in ("interrupted", "failed") and result.get("resume_command"):
        yield f"next: {text.visible(result['resume_command'])}"
    elif result.get("run"):
        run = Path(str(result["run"]))
        yield f"next: {text.command('evaluate', run)}"
        yield f"      {text.command('adapt', run, 'YOUR_FOLDER')}"
