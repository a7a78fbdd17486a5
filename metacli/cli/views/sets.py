"""Results of models of sets as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from metacli.cli import text
from metacli.cli.frame import Result
from metacli.cli.views.block import Block, block_of, items_of, number_of
from metacli.engine.results.base import Json


def show_cells(read: Block) -> Iterator[str]:
    """`evaluate`: joint and separate adaptation, by number of points and tasks."""
    yield from text.fields(
        [
            ("on", f"{text.visible(read.text('data'))}, fresh sets"),
            ("sets", f"{read.text('episodes')} (seed {read.text('episodes_seed')})"),
        ]
    )
    rows = [
        [
            cell.text("points"),
            cell.text("tasks"),
            _mse(cell.block("joint")),
            _mse(cell.block("separate")),
            " to ".join(text.number(end, 3) for end in cell.numbers("delta_ci95")),
            text.verdict(cell.name("verdict")),
            f"{cell.block('joint').number('coverage90') or 0:.2f}",
        ]
        for cell in read.blocks("cells")
    ]
    yield ""
    head = ["points", "tasks", "joint", "separate", "joint - separate", "", "in 90 %"]
    yield from (f"  {line}" for line in text.table(head, rows))
    yield from _arms(read.blocks("cells"))
    yield from _pairs(read.blocks("cells"))


def _arms(cells: list[Block]) -> Iterator[str]:
    """The other arms, on the sets that they were measured on."""
    rows = [
        [
            cell.text("points"),
            cell.text("tasks"),
            text.visible(name.replace("_", "-")),
            _mse(arm),
            text.number(arm.number("joint"), 3),
            " to ".join(text.number(end, 3) for end in arm.numbers("delta_ci95")),
            text.verdict(arm.name("verdict")),
        ]
        for cell in cells
        for name, arm in cell.named("arms")
        if name != "separate"
    ]
    if rows:
        yield ""
        head = ["points", "tasks", "arm", "its error", "joint there", "joint - arm", ""]
        yield from (f"  {line}" for line in text.table(head, rows))


def _pairs(cells: list[Block]) -> Iterator[str]:
    """How well related tasks are told from unrelated ones, and which tasks are hurt."""
    rows = []
    for cell in cells:
        hurt = [one for one in cell.blocks("by_task") if one.name("verdict") == "hurt"]
        pairs = cell.block("coupling")
        if pairs.values or hurt:
            area = text.number(pairs.number("auc"), 3) if pairs.values else "-"
            names = ", ".join(text.visible(one.text("name")) for one in hurt) or "none"
            rows.append([cell.text("points"), cell.text("tasks"), area, names])
    if rows:
        yield ""
        head = ["points", "tasks", "AUC of related pairs", "tasks that joint adaptation hurts"]
        yield from (f"  {line}" for line in text.table(head, rows))


def show_class_cells(read: Block) -> Iterator[str]:
    """`evaluate` on sets of classifications, by number of examples and tasks."""
    variant = read.text("variant")
    source = text.visible(read.text("data")) + (f", {variant}" if variant else "")
    yield from text.fields(
        [
            ("on", f"{source}, unseen sets"),
            ("sets", f"{read.text('episodes')} (seed {read.text('episodes_seed')})"),
        ]
    )
    cells = read.blocks("class_cells")
    sizes = ("way", "shot") if all(cell.has("way") for cell in cells) else ("points",)
    metric = read.text("metric")
    rows = [
        [
            cell.text("tasks"),
            *(cell.text(one) for one in sizes),
            _estimate(cell.block("joint"), metric),
            _estimate(cell.block("separate"), metric),
            " to ".join(_change(end, metric) for end in cell.numbers("delta_ci95")),
            text.verdict(cell.name("verdict")),
        ]
        for cell in cells
    ]
    yield ""
    unit = " (points)" if metric == "accuracy" else f" ({metric})"
    head = ["tasks", *sizes, "joint", "separate", f"joint - separate{unit}", ""]
    yield from (f"  {line}" for line in text.table(head, rows))
    yield from _class_arms(cells, sizes, metric, unit)


def _class_arms(
    cells: list[Block], sizes: tuple[str, ...], metric: str, unit: str
) -> Iterator[str]:
    """The arms that are trained, on the sets that they were measured on."""
    rows = [
        [
            cell.text("tasks"),
            *(cell.text(one) for one in sizes),
            text.visible(name.replace("_", "-")),
            arm.text("sets"),
            _estimate(Block({metric: arm.block("score").values}), metric),
            " to ".join(_change(end, metric) for end in arm.numbers("delta_ci95")),
            text.verdict(arm.name("verdict")),
        ]
        for cell in cells
        for name, arm in cell.named("arms")
    ]
    if rows:
        yield ""
        head = ["tasks", *sizes, "arm", "sets", "its score", f"joint - arm{unit}", ""]
        yield from (f"  {line}" for line in text.table(head, rows))


def show_set(result: Result) -> Iterator[str]:
    """`adapt`: whether the tasks of a set help each other, and how they are coupled."""
    read = Block(result)
    task, score = read.block("task"), read.block("score")
    inputs = ", ".join(map(text.visible, task.texts("inputs")))
    count = len(read.blocks("tasks"))
    tasks = f"{count} {'task' if count == 1 else 'tasks'}"
    what = f"{task.text('support')} labels of {tasks}" + (f", inputs {inputs}" if inputs else "")
    yield from text.fields(
        [
            ("model", text.path(read.name("model")) if read.has("model") else ""),
            ("from", text.path(read.name("from"))),
            ("added", ", ".join(map(text.visible, read.texts("added")))),
            ("set", f"{text.path(task.name('path'))}: {what}"),
            (
                score.text("metric"),
                f"{_score(score.number('value'), score)}, {_over(read)}",
            ),
            ("", _overall(score)),
        ]
    )
    yield from _tasks(read)
    yield from _coupling(read.block("coupling"))
    yield ""
    if read.has("model"):
        yield from text.next_line(result, "predict", Path(read.text("model")), "ROWS.csv")


def _over(read: Block) -> str:
    """What the score is the mean over: of tasks of both kinds those of its own metric alone."""
    metric, tasks = read.block("score").name("metric"), read.blocks("tasks")
    counted = sum(one.name("metric") == metric for one in tasks)
    if counted == len(tasks):
        return "mean over tasks of held-out rows"
    noun = "classification" if metric == "accuracy" else "regression"
    if counted == 1:
        return f"of its one {noun}, on held-out rows"
    return f"mean over its {counted} {noun}s of held-out rows"


def _overall(score: Block) -> str:
    """Whether adapting to the tasks together helps, over all of their rows."""
    ends = score.numbers("delta_ci95")
    if not ends:
        return ""
    between = _between(ends, score)
    words = text.verdict(score.name("verdict"))
    alone = _score(score.number("alone"), score)
    change = f"joint - separate over all held-out labels {between}: {words}"
    return f"{alone} with each task alone; {change}"


def task_line(one: Block) -> str:
    """A task on one line: `sick, 14 labels: accuracy 71.4 %, alone 71.4 %: no clear difference`."""
    line = f"{text.visible(one.text('name'))}, {one.text('labels')} labels"
    if one.has("value"):
        value, alone = (_score(one.number(key), one) for key in ("value", "alone"))
        line += f": {text.visible(one.text('metric'))} {value}, alone {alone}"
    verdict = text.verdict(one.name("verdict"))
    return f"{line}: {verdict}" if verdict else line


def _tasks(read: Block) -> Iterator[str]:
    rows = []
    for one in read.blocks("tasks"):
        ends = one.numbers("delta_ci95")
        rows.append(
            [
                text.visible(one.text("name")),
                one.text("labels"),
                _score(one.number("value"), one),
                _score(one.number("alone"), one),
                _between(ends, one) if ends else "-",
                text.verdict(one.name("verdict"))
                + ("" if one.flag("joint") else ", answered alone"),
            ]
        )
    yield ""
    head = ["task", "labels", "joint", "separate", "joint - separate", ""]
    yield from (f"  {line}" for line in text.table(head, rows))


def _coupling(coupling: Block) -> Iterator[str]:
    names = [text.visible(one) for one in coupling.texts("tasks")]
    if len(names) < 2:
        return
    yield ""
    yield f"  {text.visible(coupling.text('what'))}"
    rows = [
        [name, *("" if t == s else _signed(value) for s, value in enumerate(items_of(row)))]
        for t, (name, row) in enumerate(zip(names, coupling.items("matrix"), strict=True))
    ]
    yield from (f"  {line}" for line in text.table(["", *names], rows))


def _mse(arm: Block) -> str:
    score = block_of(arm.value("mse"))
    return f"{text.number(score.number('mean'), 3)} ± {text.number(score.number('ci95'), 2)}"


def _estimate(arm: Block, metric: str) -> str:
    score = block_of(arm.value(metric))
    mean, half = score.number("mean"), score.number("ci95")
    if metric == "accuracy":
        return f"{100 * (mean or 0):.1f} ± {100 * (half or 0):.1f} %"
    return f"{text.number(mean, 3)} ± {text.number(half, 2)}"


def _change(end: float | None, metric: str) -> str:
    if end is None:
        return "-"
    return f"{100 * end:+.1f}" if metric == "accuracy" else text.number(end, 3)


def _score(value: float | None, of: Block) -> str:
    """A score in the unit of its metric."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if of.text("metric") == "accuracy" else text.number(value, 3)


def _between(ends: list[float | None], of: Block) -> str:
    """The interval of a difference, in points of an accuracy."""
    words = " to ".join(_change(end, of.text("metric")) for end in ends)
    return f"{words} points" if of.text("metric") == "accuracy" else words


def _signed(value: Json) -> str:
    return f"{number_of(value) or 0:+.2f}"
