"""What `evaluate` shows of classification tasks that are new."""

from __future__ import annotations

from collections.abc import Iterator

from metacli.cli import text
from metacli.cli.views import many
from metacli.cli.views.block import Block

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "ROC AUC",
    "delta_auprc": "precision-recall area minus positive rate",
}


def is_of_tasks(read: Block) -> bool:
    return read.has("measures")


def show(read: Block) -> Iterator[str]:
    """Lines for a person, before the tables of baselines."""
    metric, tasks = read.name("metric"), read.number("num_tasks") or 0
    over = f"over {tasks} unseen task{'' if tasks == 1 else 's'}"
    mean = text.score(metric, read.number("mean"), read.number("ci95"))
    yield from text.fields(
        [
            (NAMES.get(metric or "", text.visible(metric or "score")), f"{mean}  {over}"),
            *_others(read),
            ("chance", text.score(metric, read.number("chance"))),
            ("on", _data(read)),
            ("support", _support(read)),
            ("left out", ", ".join(map(text.visible, read.texts("left_out"))) or ""),
            ("scores", text.path(read.name("scores")) if read.has("scores") else ""),
        ]
    )
    rows = [_row(one) for one in many.worst_first(read.blocks("tasks"))]
    header = ["task", NAMES.get(metric or "", "score"), "rows", "rarest class"]
    lines = text.table(header, rows)
    if lines:
        yield ""
        yield from (f"  {line}" for line in lines)


def _others(read: Block) -> list[tuple[str, str]]:
    return [
        (
            NAMES.get(name, text.visible(name)),
            text.score(name, of.number("mean"), of.number("ci95")),
        )
        for name, of in read.named("measures")
        if name != read.name("metric")
    ]


def _data(read: Block) -> str:
    return f"{text.inline(read.value('data'))}, split {text.visible(read.text('split'))}"


def _support(read: Block) -> str:
    each = "of each class" if read.text("per") == "class" else "of the task"
    query = read.number("query")
    asked = "all other rows are asked" if query is None else f"{query} queries {each}"
    draws = f"{read.text('draws')} draws a task (seed {read.text('episodes_seed', '0')})"
    interval = "± is the half-width of the 95 % interval over the tasks"
    return f"{text.span(read.value('shot'))} rows {each}, {draws}; {asked}; {interval}"


def _row(task: Block) -> list[str]:
    metric = task.name("metric")
    rates = [value for value in task.block("rates").values.values() if isinstance(value, float)]
    return [
        text.visible(task.text("name")),
        text.score(metric, task.number("value"), task.number("ci95")),
        text.number(task.number("rows")),
        text.score("accuracy", min(rates)) if rates else "",
    ]
