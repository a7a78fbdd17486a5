"""`metacli meta-train`: learn from many small tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.cli.views.shards import merge_next
from metacli.engine.events import Reporter
from metacli.engine.training.limits import MOST_SEEDS
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
    int | None,
    typer.Option(
        "--seeds", metavar="N", min=1, max=MOST_SEEDS, help="Train N times, seeds 0 to N-1."
    ),
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
    shard: options.Shard = None,
    max_time: MaxTime = None,
    track: options.Track = None,
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
            shard=shard,
            max_time=limit,
            track=track or [],
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
    read = Block(result)
    of = "seeds, validation" if read.has("runs") else "validation episodes"
    yield from text.fields(run_rows(read, of))
    if read.flag("dry_run"):
        yield from planned(read)
    else:
        yield from next_lines(read)


def run_rows(read: Block, of: str) -> list[tuple[str, str]]:
    """What every training says: its folders, how it ended, and its validation.

    Args:
        of: what the `n` of a score counts; empty: it is not shown.
    """
    at = f", best at step {read.text('best_step')}" if read.has("best_step") else ""
    status = f"{_ended(read)}{at}"
    rows = [
        ("run", text.path(read.name("run"))),
        ("model", text.path(read.name("model")) if read.has("model") else ""),
        ("takes", _takes(read.block("estimate"))),
        ("status", "" if read.flag("dry_run") else status),
    ]
    for name, score in read.named("metrics"):
        n = f" ({score.text('n')} {of})" if score.flag("n") and of else " (validation)"
        value = text.score(name, score.number("mean"), score.number("ci95"))
        rows.append((text.visible(name), value + n))
    return rows + [("one of them", text.path(run.name("run"))) for run in read.blocks("runs")]


SEEDS_SHOWN = 5  # runs whose evaluation is spelled out
LIMITS = {"max_time": "--max-time", "patience": "train.patience"}


def _ended(read: Block) -> str:
    """`finished after 800 steps`, or `stopped by --max-time after 90 of 800 steps`."""
    steps, planned = read.number("steps") or 0, read.number("planned_steps")
    if read.has("stopped_by"):
        limit = LIMITS[read.text("stopped_by")]
        return f"stopped by {limit} after {steps:g} of {text.number(planned)} steps"
    return f"{text.visible(read.text('status'))} after {text.steps(steps)}"


def _takes(estimate: Block) -> str:
    """`about 412 MB of memory and 3 min 30 s of processor time for the steps, plus about 62 s to
    make the program`."""
    if not estimate.values:
        return ""
    about = "about" if estimate.flag("whole") else "at least"
    memory, program = text.size(estimate.number("memory_bytes")), estimate.number("program_seconds")
    if program is not None and not estimate.flag("whole"):
        made = text.duration(program)
        return f"{about} {memory} of memory and {made} to make the program; no step was timed"
    time = text.duration(60 * (estimate.number("minutes") or 0))
    making = f", plus about {text.duration(program)} to make the program" if program else ""
    return f"{about} {memory} of memory and {time} of processor time for the steps{making}"


def planned(read: Block) -> Iterator[str]:
    """The recipe that a dry run would train."""
    yield from (text.visible(line) for line in read.text("recipe").splitlines())


def next_lines(read: Block) -> Iterator[str]:
    """What to type after training: continue when it stopped early, else measure and use it."""
    if stopped(read):
        yield f"next: {text.visible(read.text('resume_command'))}"
    elif read.has("runs"):
        yield from next_of_seeds(read)
    elif read.flag("run"):
        run = Path(read.text("run"))
        yield f"next: {text.command('evaluate', run)}"
        yield f"      {text.command('adapt', run, 'YOUR_FOLDER')}"


def next_of_seeds(read: Block) -> Iterator[str]:
    """Each run is evaluated by itself; together they are one item of a comparison. Those of a shard
    are put together with the others first."""
    if read.has("shard"):
        yield merge_next("FOLDER")
        return
    runs = [Path(run.text("run")) for run in read.blocks("runs")]
    first, *others = [text.command("evaluate", run) for run in runs[:SEEDS_SHOWN]]
    yield f"next: {first}"
    yield from (f"      {one}" for one in others)
    if len(runs) > SEEDS_SHOWN:
        yield f"      and the other {len(runs) - SEEDS_SHOWN} runs"
    if len(runs) > 1:
        alike = Path(str(runs[0]).rstrip("0123456789"))  # they differ in the seed at the end
        yield f"      {text.command('compare', alike)}* OTHER_RUNS..."


def stopped(read: Block) -> bool:
    return read.name("status") in ("interrupted", "failed") and read.flag("resume_command")
