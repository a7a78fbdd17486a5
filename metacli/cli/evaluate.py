"""`metacli evaluate`: how good is it, with an interval?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import typer

from metacli.cli import complete, early, options, text, words
from metacli.cli.frame import Frame, Result
from metacli.cli.views import class_tasks, dense, many, sets, shards
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import ends_words, signed, typed
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
    Literal["train", "val", "test", "all"] | None,
    typer.Option("--split", help="Which classes; all: of your own data.", show_default="test"),
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
    order: options.Order = None,
    shard: options.Shard = None,
) -> None:
    """Measure a model on unseen classes, or an adapted one on labelled examples.

    Of a folder of models each is measured on the task that is called like it.

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
            order=order,
            shard=shard,
            **frame.shared(report),
        )

    stated = typed(target=target, input=input_)
    frame.answer(work, lambda r: show(r, model, stated), value)


def value(result: Result) -> str:
    """`-q`: the score."""
    return text.number(Block(result).number("mean"), 6)


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


def show(result: Result, model: str, stated: Sequence[str] = ()) -> Iterator[str]:
    """Lines for a person.

    Args:
        stated: the options that state columns, for a next command that reads such tables.
    """
    read = Block(result)
    if read.has("shard"):
        yield from shards.show_part(read)
        return
    if read.has("class_cells"):
        yield from sets.show_class_cells(read)
        return
    if read.has("cells"):
        yield from sets.show_cells(read)
        return
    if read.has("evaluated"):
        yield from many.show_evaluated(result)
        return
    metric = read.name("metric")
    if class_tasks.is_of_tasks(read) and not read.has("images"):
        yield from class_tasks.show(read)
        yield from _tables(metric, Block({**read.values, "tasks": ()}))
        yield from text.next_line(result, "adapt", model, "YOUR_TASK", *stated)
        return
    yield from text.fields(
        [
            (text.visible(metric or "score"), _inductive(read)),
            ("", _transductive(read)),
            ("", _by_class(read)),
            ("intervals", _coverage(read)),
            ("chance", text.score(metric, read.number("chance")) if read.flag("chance") else ""),
            ("expected", _expected(metric, read.block("expect"))),
            ("on", _data(read)),
            ("task", _shape(read)),
            ("episodes", _episodes(read)),
            ("normalised by", _statistics(read)),
            ("scores", text.path(read.name("scores")) if read.has("scores") else ""),
            ("plot", text.path(read.name("plot")) if read.has("plot") else ""),
        ]
    )
    yield from _tables(metric, read)
    if read.has("images"):
        yield from dense.show(read)
    yield from text.mean_difference(read, text.visible(read.text("split")) or "your rows")
    if read.flag("episodes"):
        yield from text.next_line(result, "adapt", model, "YOUR_FOLDER", *stated)
    elif not read.flag("num_tasks"):
        yield from text.next_line(result, "predict", model, "INPUT...")


def _inductive(read: Block) -> str:
    metric, mean, ci95 = read.name("metric"), read.number("mean"), read.number("ci95")
    if not read.flag("episodes"):  # an adapted or multi-task model on labelled rows
        low, high = read.number("low"), read.number("high")  # their middle is not the score
        if text.is_fraction(metric) and mean is not None and low is not None and high is not None:
            return text.between(metric, mean, low, high, n=read.number("query"))
        n, noun = _units(read)
        shown = text.measured(metric, mean, ci95, n, noun)
        return f"{shown} over {text.number(n)} {noun}" if n and "±" in shown else shown
    return f"{text.score(metric, mean, ci95)}  inductive (each query answered alone)"


def _units(read: Block) -> tuple[float | None, str]:
    """What the interval of a score on labelled rows is over: how many, and what they are."""
    if read.has("images"):  # of dense tasks
        return read.number("images"), "images"
    n = read.block("inductive").number("n") or read.number("rows") or read.number("query")
    return n, "rows" if read.flag("num_tasks") else "examples"


def _transductive(read: Block) -> str:
    if not read.has("transductive"):
        return ""
    score = _mean(read.name("metric"), read.block("transductive"))
    how = "statistics over all queries" if read.flag("episodes") else "all examples answered"
    return f"{score}  transductive ({how} together)"


def _by_class(read: Block) -> str:
    """What counts every class the same, whatever the number of its examples."""
    balanced = read.number("balanced_accuracy")
    if balanced is None:
        return ""
    more = [("macro F1", read.number("macro_f1")), ("log loss", read.number("log_loss"))]
    others = [f"{name} {text.number(value, 3)}" for name, value in more if value is not None]
    return ", ".join([f"balanced {text.score('accuracy', balanced)}", *others])


def _coverage(read: Block) -> str:
    """How many of the rows lie within the intervals of `predict`."""
    found, level = read.number("coverage"), read.number("level")
    if read.has("coverage90"):
        found, level = read.number("coverage90"), 0.9
    if found is None:
        return ""
    made = "" if level is None else f", which are made to hold {level:.0%}"
    return f"{found:.0%} of the rows within the intervals of predict{made}"


def _data(read: Block) -> str:
    named = [
        f"{key} {text.visible(read.text(key))}" for key in ("split", "scheme") if read.flag(key)
    ]
    return ", ".join([text.inline(read.value("data")), *named] if read.flag("data") else named)


def _episodes(read: Block) -> str:
    if not read.flag("episodes"):
        return ""
    seed = read.text("episodes_seed", "0")
    interval = "± is the half-width of the 95 % interval over episodes"
    return f"{read.text('episodes')} (seed {seed}); {interval}"


def _shape(read: Block) -> str:
    parts = []
    if read.flag("way"):
        shot = f" {text.span(read.value('shot'))}-shot" if read.flag("shot") else ""
        parts.append(f"{text.span(read.value('way'))}-way{shot}")
    if read.flag("query"):
        what = "queries per class" if read.flag("episodes") else "labelled rows"
        parts.append(f"{text.span(read.value('query'))} {what}")
    return ", ".join(parts)


_STATISTICS = {
    "none": "",
    "support": "statistics of the support",
    "train": "statistics of the training data",
    "running": "running statistics of the training",
}


def _statistics(read: Block) -> str:
    name = read.text("statistics")
    return _STATISTICS.get(name, text.visible(name))


def _expected(metric: str | None, expect: Block) -> str:
    if not expect.values:
        return ""
    low, high = (text.score(metric, expect.number(end)) for end in ("min", "max"))
    return f"{low} to {high}: {'passed' if expect.flag('passed') else 'not met'}"


def _better(metric: str | None, baseline: Block) -> str:
    """By how much the model is better than a baseline, with its interval."""
    if not baseline.has("delta"):
        return ""
    ends = ends_words(metric, baseline.numbers("delta_ci95")) or "no interval"
    shown = f"{signed(metric, baseline.number('delta'))} ({ends})"
    return f"{shown} {text.verdict(baseline.name('verdict'), of='models')}".rstrip()


def _minus(metric: str | None) -> str:
    """The header of differences, which says what is subtracted and which sign is good."""
    better = "less" if metric in LOWER_IS_BETTER else "more"
    return f"this model minus baseline ({better} is better)"


def _tables(metric: str | None, read: Block) -> Iterator[str]:
    baselines = dict(read.named("baselines"))
    paired = any(one.has("delta") for one in baselines.values())
    compared = [
        [text.visible(name), _mean(metric, one), *([_better(metric, one)] if paired else [])]
        for name, one in baselines.items()
    ]
    blocks = [
        (["baseline", "score", _minus(metric)] if paired else ["baseline", "score"], compared),
        (["after steps", "score"], _curve(metric, "step", read.blocks("per_step"))),
        (["shot", "score"], _curve(metric, "shot", read.blocks("curve"))),
        (
            ["task", "metric", "score", "separate", "difference", "verdict"],
            list(map(_task, read.blocks("tasks"))),
        ),
    ]
    for header, rows in blocks:
        lines = text.table(header, rows)
        if lines:
            yield ""
            yield from (f"  {line}" for line in lines)
    if any(rows for _, rows in blocks):
        yield ""


def _curve(metric: str | None, key: str, rows: list[Block]) -> list[list[str]]:
    return [[text.number(row.number(key)), _mean(metric, row)] for row in rows]


def _mean(metric: str | None, block: Block) -> str:
    return text.score(metric, block.number("mean"), block.number("ci95"))


def _task(task: Block) -> list[str]:
    metric = task.name("metric")
    return [
        text.visible(task.text("name")),
        text.visible(metric or ""),
        text.score(metric, task.number("value")),
        text.score(metric, task.number("single_task")),
        signed(metric, task.number("delta")),
        text.verdict(task.name("verdict")),
    ]
