"""`metacli adapt`: use what was learned on a user's own few examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result, mapping
from metacli.engine.events import Reporter
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import signed
from metacli.errors import UsageProblem

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
    "cosine-classifier",
]
Words = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL... TASK [KEY=VALUE]...",
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
Add = Annotated[bool, typer.Option("--add", help="Add the examples to an adapted model.")]
Folds = Annotated[
    int | None,
    typer.Option("--folds", metavar="K", min=2, help="Score by at most K folds, dealt once."),
]
Compare = Annotated[
    bool | None,
    typer.Option(
        "--compare/--no-compare",
        help="Compare with simple models; the default for one task, not for a folder of tasks.",
        show_default=False,
    ),
]
NewOnly = Annotated[
    bool, typer.Option("--new-only", help="Of a folder of tasks: those without a model yet.")
]


def adapt(
    frame: Frame,
    words_: Words,
    method: How = "native",
    target: options.Target = None,
    input_: options.Input = None,
    type_: Type = None,
    holdout: Holdout = None,
    baseline: Baseline = False,
    add: Add = False,
    folds: Folds = None,
    compare: Compare = None,
    new_only: NewOnly = False,
    skip_bad: options.SkipBad = False,
    allow_duplicates: options.AllowDuplicates = False,
    follow_links: options.FollowLinks = False,
    fail_under: options.FailUnder = None,
    fail_over: options.FailOver = None,
) -> None:
    """Adapt a model to a folder or table of your own examples, and say how good it is.

    \b
      metacli adapt @last my_classes/
      metacli adapt @last my_classes/ --method lp-ft --baseline -o my_model
      metacli adapt @last customers/ -o models      a folder of tasks: a model for each
    """
    models, task, overrides = what_to_adapt(words_)
    share = words.fraction(holdout)
    early.require_models(models)
    early.require_paths([task], "TASK is a folder or table with your examples")

    def work(report: Reporter) -> Result:
        from metacli.engine.adapt import adapt as verb

        return verb(
            *(models[0] if len(models) == 1 else models, task, tuple(overrides)),
            method=method,
            target=target,
            input=input_,
            type=type_,
            holdout=share,
            baseline=baseline,
            add=add,
            folds=folds,
            compare=compare,
            new_only=new_only,
            skip_bad=skip_bad,
            allow_duplicates=allow_duplicates,
            follow_links=follow_links,
            fail_under=fail_under or (),
            fail_over=fail_over or (),
            **frame.shared(report),
        )

    frame.answer(work, show, lambda result: result.get("model"))


def what_to_adapt(given: list[str]) -> tuple[list[str], str, list[str]]:
    """(models, task, overrides) from the words of the command line.

    Raises:
        UsageProblem: fewer than two words, or a key without its `=`.
    """
    others, overrides = words.split_overrides(given)
    words.refuse_key_without_value(others)
    if len(others) < 2:
        missing = f"only got {others[0]!r}" if others else "got neither"
        raise UsageProblem(
            f"adapt needs a MODEL and a TASK, {missing}", hint="metacli adapt @last my_classes/"
        )
    return others[:-1], others[-1], overrides


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    if "tasks" in result:
        yield from show_many(result)
        return
    task, score = mapping(result.get("task")), mapping(result.get("score"))
    yield from text.fields(
        [
            ("model", text.path(result.get("model")) if result.get("model") else ""),
            (
                "from",
                f"{text.path(result.get('from'))}, method {_method(result)}",
            ),
            ("added", _added(result)),
            ("task", _task(task)),
            ("guessed", "; ".join(text.visible(guess) for guess in task.get("guessed") or [])),
            (text.visible(score.get("metric") or "score"), _score(score)),
            ("", _measured(score)),
            ("", _by_class(score)),
            *_transfer(score, mapping(result.get("transfer"))),
            ("probabilities", _calibrated(result)),
            ("device", text.visible(result.get("device") or "")),
        ]
    )
    sources = result.get("sources") or []
    if len(sources) > 1:
        yield from text.table(
            ["source", "score on the support", *_MEASURES], _ranked(score, sources)
        )
    if result.get("model"):
        yield from text.next_line(result, "predict", Path(str(result["model"])), "INPUT...")


def show_many(result: Result) -> Iterator[str]:
    """A folder of tasks: a row for each, worst first, then the mean over them."""
    metric, rows = result.get("metric"), result.get("tasks") or []
    counts = [(name, result.get(name)) for name in ("adapted", "kept", "failed")]
    mean = text.score(metric, result.get("mean"), result.get("ci95"))
    over = f"{mean} over {result.get('adapted')} tasks; worst {text.visible(result.get('worst'))}"
    yield from text.fields(
        [
            ("models", text.path(result.get("model")) if result.get("model") else ""),
            ("from", f"{', '.join(map(text.path, result.get('from') or []))}, {_method(result)}"),
            ("tasks", ", ".join(f"{count} {name}" for name, count in counts if count)),
            (text.visible(metric or ""), over if result.get("mean") is not None else ""),
            ("device", text.visible(result.get("device") or "")),
        ]
    )
    yield from text.table(["task", "score", "examples", "status"], map(_row, _worst_first(rows)))
    if result.get("model"):
        yield from text.next_line(result, "evaluate", Path(str(result["model"])), "LABELLED_TASKS")


_SHOWN = 20


def _worst_first(rows: list[Any]) -> list[Any]:
    """What failed, then the lowest scores; as many as a screen holds."""
    failed = [row for row in rows if row.get("status") == "failed"]
    scored = [row for row in rows if row.get("value") is not None]
    lower = any(row.get("metric") in LOWER_IS_BETTER for row in scored)
    scored.sort(key=lambda row: row["value"], reverse=lower)
    return [*failed, *scored][:_SHOWN]


def _row(row: Any) -> list[str]:
    metric, value = row.get("metric"), row.get("value")
    known = row.get("low") is not None
    score = (
        text.between(metric, value, row["low"], row["high"]) if known else text.score(metric, value)
    )
    error = mapping(row.get("error")).get("message")
    status = f"failed: {text.visible(error)}" if error else text.visible(row.get("status"))
    return [text.visible(row.get("name")), score, text.number(row.get("n")), status]


def _method(result: Result) -> str:
    """`fine-tune (lr=0.001, steps=30)`: with what validation picked."""
    shown = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in mapping(result.get("options")).items()
    ]
    name = text.visible(result.get("method"))
    return name + (f" ({text.visible(', '.join(shown))})" if shown else "")


def _task(task: Any) -> str:
    labels = [text.visible(label) for label in task.get("labels") or []]
    shown = ", ".join(labels[:10]) + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")
    counts = f"{task.get('support')} support"
    if task.get("query"):
        counts += f", {task['query']} query"
    classes = f", {len(labels)} classes: {shown}" if labels else ""
    return f"{text.path(task.get('path'))}: {text.visible(task.get('type'))}, {counts}{classes}"


def _added(result: Result) -> str:
    if not result.get("onto"):
        return ""
    return f"{result.get('added')} examples to those of {text.path(result['onto'])}"


def _score(score: Any) -> str:
    if score.get("value") is None:
        return f"not measured: {text.visible(score.get('why') or _how(score.get('how')))}"
    metric = score.get("metric")
    value, low, high = score["value"], score.get("low"), score.get("high")
    if low is not None and high is not None:
        value = text.between(metric, value, low, high, n=score.get("n"))
    else:
        value = text.score(metric, value)
    value += f" {text.visible(score['unit'])}" if score.get("unit") else ""
    chance = score.get("chance")
    return value + (f", chance {text.score(metric, chance)}" if chance is not None else "")


def _measured(score: Any) -> str:
    if score.get("value") is None:
        return ""
    times = score.get("times") or 1
    return _how(score.get("how")) + (f", {times} times" if times > 1 else "")


def _by_class(score: Any) -> str:
    """What counts every class the same, whatever the number of its examples."""
    if score.get("value") is None or score.get("balanced") is None:
        return ""
    balanced = text.score("accuracy", score["balanced"])
    macro = score.get("macro_f1")
    return f"balanced {balanced}" + ("" if macro is None else f", macro F1 {text.number(macro, 3)}")


def _calibrated(result: Result) -> str:
    found = result.get("calibration")
    if mapping(result.get("task")).get("type") == "regression":
        return ""
    if "calibration" not in result or mapping(result.get("score")).get("value") is None:
        return ""
    if not found:
        return "not calibrated: needs 20 held-out examples with 2 or more errors"
    before, after = (text.number(found.get(key), 2) for key in ("log_loss_before", "log_loss"))
    made = f"temperature {text.number(found.get('temperature'), 3)}, log loss {before} to {after}"
    return f"calibrated on {found.get('examples')} held-out examples: {made}"


def _how(how: Any) -> str:
    kind, _, folds = str(how or "none").partition(":")
    if kind == "kfold":
        return f"inductive, {folds}-fold over the support, re-adapted in each fold"
    return {
        "query": "inductive, on the query examples",
        "holdout": "inductive, on the examples held out",
        "none": "too few examples to hold any out",
    }.get(kind, text.visible(how))


def _transfer(score: Any, transfer: Any) -> Iterator[tuple[str, str]]:
    """Does the source help, by how much, and against what."""
    verdict = transfer.get("verdict")
    if not verdict:
        return
    metric, delta, interval = score.get("metric"), transfer.get("delta"), transfer.get("delta_ci95")
    line = text.verdict(verdict)
    if transfer.get("detectable") is not None and verdict == "no_difference":
        smaller = signed(metric, transfer["detectable"]).lstrip("+")
        line += f" (smaller than {smaller} could not be detected)"
    if delta is not None:
        line += f": {signed(metric, delta)}"
    baseline = transfer.get("baseline")
    name = baseline.get("name") if isinstance(baseline, dict) else baseline
    yield "source", line + (f" against {text.visible(name)}" if name else "")
    if delta is not None and interval:
        yield "", f"95 % interval {' to '.join(signed(metric, end) for end in interval)}"


_MEASURES = ("logme", "leep", "nce")


def _ranked(score: Any, sources: Any) -> list[list[str]]:
    """A row for each source, the best first."""
    rows = []
    for one in sources:
        measures = [one.get(name) for name in _MEASURES]
        shown = ["-" if value is None else f"{value:.3f}" for value in measures]
        rows.append([text.path(one.get("model")), _source(score, one.get("score")), *shown])
    return rows


def _source(score: Any, value: Any) -> str:
    if isinstance(value, dict):
        return text.score(value.get("metric") or score.get("metric"), value.get("value"))
    return text.score(score.get("metric"), value)
