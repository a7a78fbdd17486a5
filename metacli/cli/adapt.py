"""`metacli adapt`: a model for a user's own few examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result
from metacli.cli.views import many, sets
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.errors import UsageProblem, first_names

Method = Literal[
    "native",
    "prototype",
    "linear-probe",
    "fine-tune",
    "lp-ft",
    "l2-sp",
    "simpleshot",
    "ridge",
    "logistic",
    "setfit",
    "fine-tuned-prototype",
    "cosine-classifier",
    "bd-cspn",
    "tim",
    "nearest-neighbours",
    "boosted-trees",
    "random-forest",
    "blend",
    "in-context",
    "mean",
    "last-value",
]
Words = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL]... TASK [KEY=VALUE]...",
        help="One or more models, then the folder or table with your examples.",
        autocompletion=complete.sources_and_tasks,
        show_default=False,
    ),
]
How = Annotated[
    Method,
    typer.Option(
        "--method", help="How to transfer: the source's own adaptation, or a transfer method."
    ),
]
Type = Annotated[
    Literal["classification", "regression"] | None,
    typer.Option("--type", help="When the guess is wrong."),
]
Holdout = Annotated[
    str | None,
    typer.Option("--holdout", metavar="F", help="Keep this fraction aside to score on."),
]
Baseline = Annotated[
    bool, typer.Option("--baseline", help="Also train the same network from scratch.")
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", metavar="TIME", help="Time to choose in; over 30s it also tunes."),
]
Add = Annotated[bool, typer.Option("--add", help="Add the examples to an adapted model.")]


def adapt(
    frame: Frame,
    words_: Words,
    method: How = "native",
    target: options.Target = None,
    input_: options.Input = None,
    type_: Type = None,
    holdout: Holdout = None,
    baseline: Baseline = False,
    budget: Budget = None,
    add: Add = False,
    guard: options.Guard = False,
    folds: options.Folds = None,
    order: options.Order = None,
    compare: options.Compare = None,
    new_only: options.NewOnly = False,
    shard: options.Shard = None,
    fit_inputs: options.FitInputs = False,
    standalone: options.Standalone = False,
    skip_bad: options.SkipBad = False,
    allow_duplicates: options.AllowDuplicates = False,
    follow_links: options.FollowLinks = False,
    fail_under: options.FailUnder = None,
    fail_over: options.FailOver = None,
    fail_if: options.FailIf = None,
    strict: options.Strict = False,
) -> None:
    """Adapt a model to a folder or table of your own examples, and say how good it is.

    \b
      metacli adapt my_classes/ -o my_model
      metacli adapt @last my_classes/ --method lp-ft --baseline -o my_model
    """
    share, limit = words.fraction(holdout), words.seconds(budget, "--budget")
    model, task, overrides = what_is_there(words_)
    checks = words.checks_of(fail_under, fail_over, fail_if, strict=strict)
    how = words.how(folds, compare, new_only, shard, standalone)
    read = words.reading(skip_bad, allow_duplicates, follow_links, fit_inputs, order)

    def work(report: Reporter) -> Result:
        from metacli.engine.adapt import adapt as verb

        return verb(
            *(model, task, (*overrides, *(["guard=true"] if guard else []))),
            method=method,
            target=target,
            input=input_,
            type=type_,
            holdout=share,
            baseline=baseline,
            budget=limit,
            add=add,
            **how,
            **read,
            **checks,
            **frame.shared(report),
        )

    again = words.typed_again(target, input_, type_, read)
    frame.answer(work, lambda found: show(found, *again), lambda found: found.get("model"))


def what_is_there(given: list[str]) -> tuple[str | list[str] | None, str, tuple[str, ...]]:
    """What the engine's verb takes first, found before torch is imported; no model where the source
    is to be chosen.

    Raises:
        BundleError, DataError: a model or the task is not on this disk.
    """
    models, task, overrides = what_to_adapt(given)
    early.require_models(models)
    early.require_paths([task], "TASK is a folder or table with your examples")
    return models[0] if len(models) == 1 else models or None, task, tuple(overrides)


def what_to_adapt(given: list[str]) -> tuple[list[str], str, list[str]]:
    """(models, task, overrides) from the words of the command line; no models where the source is
    to be chosen.

    Raises:
        UsageProblem: no word at all, or a key without its `=`.
    """
    others, overrides = words.split_overrides(given)
    words.refuse_key_without_value(others)
    if not others:
        raise UsageProblem(
            "adapt needs a TASK: a folder or a table with your examples",
            hint="metacli adapt my_classes/, or with a MODEL before it",
        )
    return others[:-1], others[-1], overrides


def show(result: Result, stated: Sequence[str] = (), more: Sequence[str] = ()) -> Iterator[str]:
    """Lines for a person.

    Args:
        stated: the options that say how the task is read, for a next command that reads it again;
            `more` are those that `adapt` alone has.
    """
    read = Block(result)
    if read.has("tasks"):
        yield from (sets.show_set if read.has("coupling") else many.show_adapted)(result)
        return
    task, score, choice = read.block("task"), read.block("score"), read.block("choice")
    metric = score.name("metric")
    yield from text.fields(
        [
            ("model", text.path(read.name("model")) if read.has("model") else ""),
            ("from", f"{text.path(read.name('from'))}, method {many.method(read)}"),
            ("chosen", many.chosen(choice)),
            ("images", _changed(read.block("inputs"))),
            ("added", _added(read)),
            ("task", _task(task)),
            ("guessed", "; ".join(map(text.visible, task.texts("guessed")))),
            (text.visible(metric or "score"), _score(score)),
            ("", _measured(score)),
            ("", _by_class(score)),
            *_transfer(metric, read.block("transfer"), score.text("how", "none")),
            ("probabilities", _calibrated(read)),
            ("device", text.visible(read.text("device"))),
        ]
    )
    yield from text.table(["tried", "by itself, held out", "time"], many.tried(choice))
    sources = read.blocks("sources")
    if len(sources) > 1:
        header = ["source", "score on the support", *_MEASURES]
        yield from text.table(header, [_ranked(metric, one) for one in sources])
    if read.has("model"):
        yield from text.next_line(result, *_next(read, stated, more))


def _next(read: Block, stated: Sequence[str], more: Sequence[str]) -> tuple[str | Path, ...]:
    """What to type: of a model that something speaks against, what would help. Where the source was
    chosen from all there are, that is a look at the examples."""
    task = read.block("task")
    if not read.items("doubts") and not read.has("better_source"):
        return "predict", Path(read.text("model")), "INPUT..."
    path = Path(task.text("path"))
    if read.has("choice"):
        return "inspect", path, *stated
    return "adapt", path, *stated, *more


def _task(task: Block) -> str:
    labels = [text.visible(label) for label in task.texts("labels")]
    shown = first_names(labels, 10)
    counts = f"{task.text('support')} support"
    if task.flag("query"):
        counts += f", {task.text('query')} query"
    classes = f", {len(labels)} classes: {shown}" if labels else ""
    return f"{text.path(task.name('path'))}: {text.visible(task.text('type'))}, {counts}{classes}"


def _changed(inputs: Block) -> str:
    """What is done to images before the model sees them."""
    if "changes" not in inputs.values:
        return ""
    return ", ".join(map(text.visible, inputs.texts("changes"))) or "as they are"


def _added(read: Block) -> str:
    if not read.flag("onto"):
        return ""
    return f"{read.text('added')} examples to those of {text.path(read.name('onto'))}"


def _score(score: Block) -> str:
    if not score.has("value"):
        return f"not measured: {text.visible(score.name('why') or _how(score))}"
    unit = f" {text.visible(score.text('unit'))}" if score.flag("unit") else ""
    chance = score.number("chance")
    level = "" if chance is None else f", chance {text.score(score.name('metric'), chance)}"
    return f"{many.interval(score, score.number('n'))}{unit}{level}"


def _measured(score: Block) -> str:
    if not score.has("value"):
        return ""
    times = score.number("times") or 1
    return _how(score) + (f", {times} times" if times > 1 else "")


def _by_class(score: Block) -> str:
    """What counts every class the same, whatever the number of its examples."""
    if not (score.has("value") and score.has("balanced")):
        return ""
    macro = score.number("macro_f1")
    shown = f"balanced {text.score('accuracy', score.number('balanced'))}"
    return shown + ("" if macro is None else f", macro F1 {text.number(macro, 3)}")


def _calibrated(read: Block) -> str:
    found = read.block("calibration")
    if read.block("task").name("type") == "regression" or "calibration" not in read.values:
        return ""
    if not read.block("score").has("value"):
        return ""
    if not found.values:
        return "not calibrated: needs 20 held-out examples with 2 or more errors"
    before, after = (text.number(found.number(key), 2) for key in ("log_loss_before", "log_loss"))
    made = f"temperature {text.number(found.number('temperature'), 3)}"
    examples = f"calibrated on {found.text('examples')} held-out examples"
    return f"{examples}: {made}, log loss {before} to {after}"


def _how(score: Block) -> str:
    how = score.text("how", "none")
    kind, _, folds = how.partition(":")
    if kind == "order":
        return f"inductive, on the last rows, {folds} blocks, each after the rows before it"
    if kind == "kfold":
        return f"inductive, {folds}-fold over the support, re-adapted in each fold"
    return {
        "query": "inductive, on the query examples",
        "holdout": "inductive, on the examples held out",
        "none": "too few examples to hold any out",
    }.get(kind, text.visible(how))


def _transfer(metric: str | None, transfer: Block, how: str) -> Iterator[tuple[str, str]]:
    """Does the source help, by how much, and against what; adapted once, to one support, it says
    nothing of other supports.

    Args:
        how: the score was obtained, such as `query` or `kfold:5`.
    """
    verdict, delta = transfer.name("verdict"), transfer.number("delta")
    if not verdict:
        return
    line = many.helps(metric, transfer)
    name = transfer.block("baseline").name("name") or transfer.name("baseline")
    line += f" against {text.visible(name)}" if name else ""
    once = verdict != "too_few_to_say" and how.partition(":")[0] in ("query", "holdout")
    yield "source", line + (", for these examples alone" if once else "")
    interval = transfer.numbers("delta_ci95")
    if delta is not None and interval:
        yield "", many.difference(metric, interval)
    surer = transfer.block("log_loss")
    if surer.name("verdict") in ("helped", "hurt"):
        yield "", log_loss(surer)


def log_loss(found: Block) -> str:
    """`log loss 0.21 lower (95 % interval 0.05 to 0.37): helps`; of another source higher."""
    delta, ends = found.number("delta") or 0.0, found.numbers("delta_ci95") or []
    way, sign = ("lower", 1) if delta >= 0 else ("higher", -1)
    shown = sorted(sign * end for end in ends if end is not None)
    between = " to ".join(text.number(end, 3) for end in shown)
    size = text.number(abs(delta), 3)
    return f"log loss {size} {way} (95 % interval {between}): {text.verdict(found.name('verdict'))}"


_MEASURES = ("logme", "leep", "nce")


def _ranked(metric: str | None, source: Block) -> list[str]:
    """A row for a source."""
    measures = [source.number(name) for name in _MEASURES]
    shown = ["-" if value is None else f"{value:.3f}" for value in measures]
    score = source.block("score")
    if score.values:
        metric, value = score.name("metric") or metric, score.number("value")
    else:
        value = source.number("score")
    return [text.path(source.name("model")), text.score(metric, value), *shown]
