"""`metacli evaluate`: how good is it, with an interval?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result, mapping
from metacli.engine.events import Reporter
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import signed
from metacli.errors import UsageProblem

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DATA] [KEY=VALUE]...",
        help="A data set, a folder of classes or labelled examples; the model's own when absent. "
        "Then fields of its learner, such as inner_steps=10.",
        autocompletion=complete.evaluated,
        show_default=False,
    ),
]
Split = Annotated[
    options.Split | None,
    typer.Option("--split", help="Which classes.", show_default="test"),
]
Way = Annotated[
    str | None,
    typer.Option("--way", metavar="N", help="Classes: 5 or 3-20.", callback=words.counts),
]
Shot = Annotated[
    str | None,
    typer.Option(
        "--shot",
        metavar="K",
        help="Support per class: 1; 1,2,5,10 for a curve; 1-10 for unbalanced.",
        callback=words.counts,
    ),
]
Query = Annotated[
    int | None, typer.Option("--query", metavar="Q", min=1, help="Queries per class.")
]
Episodes = Annotated[
    int, typer.Option("--episodes", metavar="N", min=1, help="How many tasks to draw.")
]
Expect = Annotated[
    bool, typer.Option("--expect", help="Exit 5 outside the recipe's expected score.")
]


def evaluate(
    frame: Frame,
    model: options.Model,
    words_: Words = None,
    split: Split = None,
    way: Way = None,
    shot: Shot = None,
    query: Query = None,
    episodes: Episodes = 600,
    expect: Expect = False,
    target: options.Target = None,
    input_: options.Input = None,
    fail_under: options.FailUnder = None,
    fail_over: options.FailOver = None,
    skip_bad: options.SkipBad = False,
    allow_duplicates: options.AllowDuplicates = False,
    follow_links: options.FollowLinks = False,
) -> None:
    """Measure a model on classes it has never seen, or an adapted one on labelled examples.

    \b
      metacli evaluate @last
      metacli evaluate @last --shot 1,2,5,10
    """
    data, overrides = what_to_measure_on(words_ or [])
    early.require_models([model])
    early.require_data(data)

    def work(report: Reporter) -> Result:
        from metacli.engine.evaluate import evaluate as verb

        return verb(
            *(model, data, tuple(overrides)),
            split=split,
            way=way,
            shot=shot,
            query=query,
            episodes=episodes,
            expect=expect,
            target=target,
            input=input_,
            fail_under=fail_under or (),
            fail_over=fail_over or (),
            skip_bad=skip_bad,
            allow_duplicates=allow_duplicates,
            follow_links=follow_links,
            **frame.shared(report),
        )

    frame.answer(work, lambda r: show(r, model), lambda r: text.number(r.get("mean"), 6))


def what_to_measure_on(given: list[str]) -> tuple[str | None, list[str]]:
    """(data, overrides) from the words after the model.

    Raises:
        UsageProblem: two words that are no overrides, or a key without its `=`.
    """
    others, overrides = words.split_overrides(given)
    words.refuse_key_without_value(others)
    if len(others) > 1:
        raise UsageProblem(f"one set of data at a time, found {', '.join(others)}")
    return (others[0] if others else None), overrides


def show(result: Result, model: str) -> Iterator[str]:
    """Lines for a person."""
    metric = result.get("metric")
    yield from text.fields(
        [
            (text.visible(metric or "score"), _inductive(result)),
            ("", _transductive(result)),
            ("", _by_class(result)),
            ("chance", text.score(metric, result["chance"]) if result.get("chance") else ""),
            ("expected", _expected(metric, result.get("expect"))),
            ("on", _data(result)),
            ("task", _shape(result)),
            ("episodes", _episodes(result)),
            ("normalised by", _statistics(result)),
            ("scores", text.path(result.get("scores")) if result.get("scores") else ""),
            ("plot", text.path(result.get("plot")) if result.get("plot") else ""),
        ]
    )
    yield from _tables(metric, result)
    yield from text.mean_difference(result, text.visible(result.get("split")))
    if result.get("episodes"):
        yield from text.next_line(result, "adapt", model, "YOUR_FOLDER")
    elif not result.get("num_tasks"):
        yield from text.next_line(result, "predict", model, "INPUT...")


def _inductive(result: Result) -> str:
    mean, ci95 = result.get("mean"), result.get("ci95")
    if not result.get("episodes"):  # an adapted or multi-task model on labelled rows
        return text.measured(result.get("metric"), mean, ci95, result.get("query"))
    score = text.score(result.get("metric"), mean, ci95)
    return f"{score}  inductive (each query answered alone)"


def _transductive(result: Result) -> str:
    both = mapping(result.get("transductive"))
    if not both:
        return ""
    score = text.score(result.get("metric"), both.get("mean"), both.get("ci95"))
    return f"{score}  transductive (statistics over all queries together)"


def _by_class(result: Result) -> str:
    """What counts every class the same, whatever the number of its examples."""
    if result.get("balanced_accuracy") is None:
        return ""
    balanced = text.score("accuracy", result["balanced_accuracy"])
    more = [("macro F1", result.get("macro_f1")), ("log loss", result.get("log_loss"))]
    told = [f"{name} {text.number(value, 3)}" for name, value in more if value is not None]
    return ", ".join([f"balanced {balanced}", *told])


def _data(result: Result) -> str:
    named = [f"{key} {text.visible(result[key])}" for key in ("split", "scheme") if result.get(key)]
    return ", ".join([text.inline(result["data"]), *named] if result.get("data") else named)


def _episodes(result: Result) -> str:
    if not result.get("episodes"):
        return ""
    seed = result.get("episodes_seed") or 0
    return f"{result['episodes']} (seed {seed}); ± is the half-width of the 95 % interval"


def _shape(result: Result) -> str:
    parts = []
    if result.get("way"):
        shot = f" {_range(result['shot'])}-shot" if result.get("shot") else ""
        parts.append(f"{_range(result['way'])}-way{shot}")
    if result.get("query"):
        what = "queries per class" if result.get("episodes") else "labelled rows"
        parts.append(f"{_range(result['query'])} {what}")
    return ", ".join(parts)


_STATISTICS = {
    "none": "",
    "support": "statistics of the support",
    "train": "statistics of the training data",
    "running": "running statistics of the training",
}


def _statistics(result: Result) -> str:
    name = result.get("statistics")
    return _STATISTICS.get(str(name), text.visible(name or ""))


def _range(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(text.number(end) for end in value)
    return text.number(value)


def _expected(metric: Any, expect: Any) -> str:
    if not isinstance(expect, dict):
        return ""
    ends = [text.score(metric, expect.get(end)) for end in ("min", "max")]
    return f"{ends[0]} to {ends[1]}: {'passed' if expect.get('passed') else 'not met'}"


def _paired(result: Result) -> bool:
    """Whether a baseline is compared with the model episode by episode."""
    found = mapping(result.get("baselines")).values()
    return any(isinstance(one, dict) and one.get("delta") is not None for one in found)


def _better(metric: Any, baseline: Any) -> str:
    """By how much the model is better than a baseline, with its interval."""
    if not isinstance(baseline, dict) or baseline.get("delta") is None:
        return ""
    low, high = (signed(metric, end) for end in baseline["delta_ci95"])
    shown = f"{signed(metric, baseline['delta'])} ({low} to {high})"
    word = text.verdict(baseline.get("verdict"), of="models")
    return f"{shown} {word}".rstrip()


def _minus(metric: Any) -> str:
    """The header of differences, which says what is subtracted and which sign is good."""
    better = "less" if metric in LOWER_IS_BETTER else "more"
    return f"this model minus baseline ({better} is better)"


def _tables(metric: Any, result: Result) -> Iterator[str]:
    blocks = [
        (
            ["baseline", "score", *([_minus(metric)] if _paired(result) else [])],
            [
                [
                    text.visible(k),
                    _mean(metric, v),
                    *([_better(metric, v)] if _paired(result) else []),
                ]
                for k, v in mapping(result.get("baselines")).items()
            ],
        ),
        (
            ["after steps", "score"],
            [[r.get("step"), _mean(metric, r)] for r in result.get("per_step") or []],
        ),
        (["shot", "score"], [[r.get("shot"), _mean(metric, r)] for r in result.get("curve") or []]),
        (
            ["task", "score", "alone", "difference", "verdict"],
            [_task(t) for t in result.get("tasks") or []],
        ),
    ]
    for header, rows in blocks:
        lines = text.table(header, rows)
        if lines:
            yield ""
            yield from (f"  {line}" for line in lines)
            if header[0] == "task":
                yield ""
    if any(rows for header, rows in blocks if header[0] != "task"):
        yield ""


def _mean(metric: Any, value: Any) -> str:
    block = mapping(value)
    return text.score(metric, block.get("mean"), block.get("ci95"))


def _task(task: Any) -> list[Any]:
    metric = task.get("metric")
    return [
        text.visible(task.get("name")),
        text.score(metric, task.get("value")),
        text.score(metric, task.get("single_task")),
        signed(metric, task.get("delta")),
        text.verdict(task.get("verdict")),
    ]
