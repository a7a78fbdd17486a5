"""`metacli inspect`: what is this, and is it good?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import typer

from metacli.cli import complete, early, options, text
from metacli.cli.errors import finding_lines
from metacli.cli.frame import Frame, Result
from metacli.cli.views import sets
from metacli.cli.views.block import Block, block_of, items_of, number_of
from metacli.engine.events import Reporter
from metacli.engine.results.base import Json
from metacli.engine.storage.paths import NAMED
from metacli.errors import Finding

Target = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="A recipe, task, set of tasks, run, folder of runs, or model.",
        autocompletion=complete.sources_and_tasks,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Compare the look of images with what this model learned from.",
        autocompletion=complete.sources_and_tasks,
        show_default=False,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 5 on any problem.")]


def inspect(
    frame: Frame,
    path: Target,
    strict: Strict = False,
    target: options.Targets = None,
    input_: options.Input = None,
    follow_links: options.FollowLinks = False,
    model: Model = None,
) -> None:
    """Say what a path holds, every problem found in it, and what to type next.

    \b
      metacli inspect my_classes/
      metacli inspect my_recipe.yaml --strict
      metacli inspect my_classes/ --model @last
    """

    if path not in NAMED:
        early.require_paths([path])

    def work(report: Reporter) -> Result:
        from metacli.engine.inspect import inspect as verb

        return verb(
            path,
            strict=strict,
            target=target,
            input=input_,
            follow_links=follow_links,
            model=model,
            report=report,
        )

    frame.answer_into_file(work, show, lambda r: "valid" if r.get("valid") else "invalid")


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    state = "valid" if read.flag("valid") else "not valid"
    yield f"{text.visible(read.text('what'))}, {state}: {text.path(read.name('path'))}"
    yield from (f"  {line}" for line in text.fields(_details(read.block("details"))))
    yield from (f"  {line}" for line in _runs(read.block("details").blocks("runs")))
    problems = [_finding(problem) for problem in read.blocks("problems")]
    if problems:
        yield f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}:"
        yield from finding_lines(problems)
    for command in read.texts("next"):
        yield f"next: {text.visible(command)}"


def _details(found: Block) -> Iterator[tuple[str, str]]:
    """A row for each, and below the scores one for each task of a set."""
    for key, value in found.values.items():
        if key == "runs":  # a table of its own
            continue
        if key == "best" and block_of(value).has("metric"):
            yield "best", f"validation {_validated(block_of(value))}"
            continue
        ends = _ends(value) if key in _RANGES else None
        yield text.visible(key).replace("_", " "), ends or text.inline(_short(value))
        if key == "scores":
            yield from (("", sets.task_line(one)) for one in block_of(value).blocks("tasks"))


_RANGES = ("tasks_per_set", "labels", "classes", "target_range")  # least and most, where numbers


def _ends(value: Json) -> str | None:
    """`3` where least and most are the same, else `2 to 3`; None of anything but two numbers."""
    numbers = [number_of(one) for one in items_of(value)]
    if len(numbers) != 2 or None in numbers:
        return None
    return " to ".join(map(text.number, dict.fromkeys(numbers)))


def _validated(best: Block) -> str:
    """`accuracy 93.10 % ± 0.40 (n 600)`."""
    metric = best.name("metric")
    n = f" (n {best.text('n')})" if best.has("n") else ""
    score = text.score(metric, best.number("mean"), best.number("ci95"))
    return f"{text.visible(metric or 'score')} {score}{n}"


def _runs(runs: list[Block]) -> list[str]:
    """A row for each run of a folder of runs."""
    rows = [
        [
            *(text.visible(run.text(key)) for key in ("name", "status", "recipe", "seed", "steps")),
            _validated(run.block("best")) if run.has("best") else "",
            "yes" if run.flag("evaluated") else "no",
        ]
        for run in runs
    ]
    return text.table(
        ["run", "status", "recipe", "seed", "steps", "best validation", "evaluated"], rows
    )


def _short(value: Json) -> Json:
    """Without what is empty, and without tables in tables, which one line cannot show: the JSON
    document has them."""
    if not isinstance(value, Mapping):
        return value
    return {key: _short(one) for key, one in value.items() if not (_empty(one) or _table(one))}


def _empty(value: Json) -> bool:
    return value is None or (isinstance(value, str | list | tuple | Mapping) and not value)


def _table(value: Json) -> bool:
    return any(isinstance(one, list | tuple | Mapping) for one in items_of(value))


_LEVELS: dict[str, Literal["error", "warning", "note"]] = {"warning": "warning", "note": "note"}


def _finding(problem: Block) -> Finding:
    return Finding(
        level=_LEVELS.get(problem.text("level"), "error"),
        code=problem.text("code"),
        message=problem.text("message"),
        where=problem.name("where"),
        hint=problem.name("hint"),
    )
