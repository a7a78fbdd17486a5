"""`metacli tune`: search for good settings on validation data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from metacli.cli import complete, early, text, words
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.engine.tuning.limits import Limits
from metacli.errors import UsageProblem

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE KEY=LOW..HIGH...",
        help="A recipe, then what to search: a range, or several values KEY=A,B.",
        autocompletion=complete.trainings,
        show_default=False,
    ),
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="DIR", help="Continue the search in a folder.")
]
Trials = Annotated[int, typer.Option("--trials", metavar="N", min=1, help="Trainings at most.")]
Budget = Annotated[
    str, typer.Option("--budget", metavar="T", help="Start no training that would end later.")
]


def tune(
    frame: Frame,
    words_: Words = None,
    resume: Resume = None,
    trials: Trials = 20,
    budget: Budget = "30m",
) -> None:
    """Search for the settings of a recipe that do best on validation data.

    \b
      metacli tune glyphs-5w1s-protonet train.lr=1e-4..1e-2 --budget 10m
      metacli tune landmine-hard train.lr=1e-4..1e-2 train.optimizer=adam,sgd -o tuned
    """
    recipe, settings = what_to_search(words_ or [], resume)
    seconds = words.seconds(budget) or 0.0

    def work(report: Reporter) -> Result:
        from metacli.engine.tune import tune as verb

        limits = Limits(trials, seconds)
        return dict(verb(recipe, settings, resume=resume, limits=limits, **frame.shared(report)))

    frame.answer(work, show, lambda result: result.get("recipe"))


def what_to_search(given: list[str], resume: str | None) -> tuple[str | None, list[str]]:
    """(recipe, settings) from the words of the command line. Raises UsageProblem."""
    others, settings = words.split_overrides(given)
    if len(others) > 1:
        raise words.no_equals(others[1], others[2] if len(others) > 2 else "VALUE")
    recipe = others[0] if others else None
    if recipe is None and resume is None:
        hint = "metacli tune RECIPE train.lr=1e-4..1e-2"
        raise UsageProblem("tune needs a RECIPE and settings to search", hint=hint)
    early.require_recipe(recipe, ())
    return recipe, settings


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read = Block(result)
    best, metric, trials = read.block("best"), read.name("metric"), read.blocks("trials")
    every = [set(one.texts("settings")) for one in trials]
    fixed = set.intersection(*every) if len(every) > 1 else set()
    yield from text.fields(
        [
            ("search", text.path(read.name("run"))),
            ("recipe", text.path(read.name("recipe")) if read.has("recipe") else ""),
            (text.visible(metric or ""), text.score(metric, best.number("value"))),
            ("settings", _settings(best, fixed)),
            ("fixed", text.visible(" ".join(sorted(fixed)))),
        ]
    )
    rows = [
        [
            text.number(one.number("number")),
            text.score(metric, one.number("value")),
            text.number(one.number("seconds"), 3),
            text.visible(one.text("error")) if one.has("error") else _settings(one, fixed),
        ]
        for one in trials
    ]
    yield from text.table(["training", "validation", "seconds", "settings"], rows)
    if read.has("recipe"):
        yield from text.next_line(result, "meta-train", Path(read.text("recipe")))


def _settings(trial: Block, fixed: set[str]) -> str:
    """What a training had that others had not."""
    own = [one for one in trial.texts("settings") if one not in fixed]
    return text.visible(" ".join(own))
