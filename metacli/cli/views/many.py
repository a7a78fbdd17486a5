"""Results of many on the screen: the tasks of a folder, worst first, with the mean over them; the
sources that a choice was made among."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from metacli.cli import text
from metacli.cli.frame import Result
from metacli.cli.views.block import Block
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.spelling import ends_words, metric_name, signed


def show_adapted(result: Result) -> Iterator[str]:
    """A folder of tasks: a row for each, worst first, then the mean over them."""
    read = Block(result)
    metric = read.name("metric")
    counts = [(name, read.text(name)) for name in ("adapted", "kept", "failed") if read.flag(name)]
    mean = text.score(metric, read.number("mean"), read.number("ci95"))
    over = f"{mean}{_over(read, 'adapted')}"
    sources = ", ".join(map(text.path, read.texts("from")))
    yield from text.fields(
        [
            ("models", text.path(read.name("model")) if read.has("model") else ""),
            ("from", f"{sources}, method {method(read)}"),
            ("tasks", ", ".join(f"{count} {name}" for name, count in counts)),
            (text.visible(metric or ""), over if read.has("mean") else ""),
            *over_tasks(
                metric, read.block("transfer"), "new tasks" if read.flag("kept") else "tasks"
            ),
            ("device", text.visible(read.text("device"))),
        ]
    )
    rows = map(row_of, worst_first(read.blocks("tasks")))
    yield from text.table(["task", "score", "examples", "status"], rows)
    if read.has("model") and (read.number("adapted") or read.number("kept")):
        yield from text.next_line(result, "evaluate", Path(read.text("model")), "LABELLED_TASKS")


def show_evaluated(result: Result) -> Iterator[str]:
    """A folder of models on their tasks: as after `adapt`."""
    read = Block(result)
    metric = read.name("metric")
    counts = [(name, read.text(name)) for name in ("evaluated", "failed") if read.flag(name)]
    mean = text.score(metric, read.number("mean"), read.number("ci95"))
    over = f"{mean}{_over(read, 'evaluated')}"
    yield from text.fields(
        [
            ("models", text.path(read.name("model"))),
            ("on", text.path(read.name("data"))),
            ("tasks", ", ".join(f"{count} {name}" for name, count in counts)),
            (text.visible(metric or ""), over if read.has("mean") else ""),
            ("scores", text.path(read.name("scores")) if read.has("scores") else ""),
        ]
    )
    rows = map(row_of, worst_first(read.blocks("tasks")))
    yield from text.table(["task", "score", "examples", "status"], rows)
    yield from text.next_line(result, "predict", Path(read.text("model")), "INPUTS_BY_TASK/")


def _over(read: Block, counted: str) -> str:
    """What the mean is over; nothing where it is the score of the only task. Of models that were
    kept there is no score here."""
    count, kept = read.number(counted) or 0, read.number("kept") or 0
    if not (read.has("ci95") or kept):
        return ""
    new = "new task" if kept else "task"
    over = f" over {text.number(count)} {new}{'' if count == 1 else 's'}"
    over += f" alone, without the {text.number(kept)} kept" if kept else ""
    return f"{over}; worst {text.visible(read.text('worst'))}" if count > 1 else over


def show_exported(result: Result) -> Iterator[str]:
    """A folder of models as files: what failed first."""
    read = Block(result)
    counts = [(name, read.text(name)) for name in ("exported", "failed") if read.flag(name)]
    yield from text.fields(
        [
            ("files", text.path(read.name("folder")) if read.has("folder") else ""),
            ("format", text.visible(read.text("format"))),
            ("models", ", ".join(f"{count} {name}" for name, count in counts)),
        ]
    )
    rows = sorted(read.blocks("tasks"), key=lambda row: row.name("status") != "failed")
    header = ["task", "size", "largest difference to PyTorch", "status"]
    yield from text.table(header, map(_file, rows[:_SHOWN]))


def show_reported(result: Result) -> Iterator[str]:
    """A page for each model of a folder: what failed first."""
    read = Block(result)
    counts = [(name, read.text(name)) for name in ("reported", "failed") if read.flag(name)]
    yield from text.fields(
        [
            ("pages", text.path(read.name("folder"))),
            ("models", ", ".join(f"{count} {name}" for name, count in counts)),
        ]
    )
    rows = sorted(read.blocks("tasks"), key=lambda row: row.name("status") != "failed")
    shown = [[text.visible(row.text("name")), _status(row)] for row in rows[:_SHOWN]]
    yield from text.table(["task", "status"], shown)


def _file(row: Block) -> list[str]:
    size = text.size(row.number("bytes")) if row.has("bytes") else ""
    largest = row.block("parity").number("max_abs")
    shown = "" if largest is None else text.number(largest, 2)
    return [text.visible(row.text("name")), size, shown, _status(row)]


def _status(row: Block) -> str:
    error = row.block("error").name("message")
    return f"failed: {text.visible(error)}" if error else text.visible(row.text("status"))


_SHOWN = 20


def worst_first(rows: list[Block]) -> list[Block]:
    """What failed, then the lowest scores; as many as a screen holds."""
    failed = [row for row in rows if row.name("status") == "failed"]
    scored = [row for row in rows if row.has("value")]
    lower = any(row.name("metric") in LOWER_IS_BETTER for row in scored)
    scored.sort(key=lambda row: row.number("value") or 0.0, reverse=lower)
    return [*failed, *scored][:_SHOWN]


def row_of(row: Block) -> list[str]:
    score = interval(row) if row.has("value") else ""
    return [text.visible(row.text("name")), score, text.number(row.number("n")), _status(row)]


def helps(metric: str | None, found: Block) -> str:
    """Whether a source helps and by how much: `helps: +4.0 points`, or how large a difference would
    have had to be to be seen."""
    verdict, delta = found.name("verdict"), found.number("delta")
    line = text.verdict(verdict)
    if found.number("detectable") and verdict == "no_difference":  # 0: no example differs
        smaller = signed(metric, found.number("detectable")).lstrip("+")
        line += f" (smaller than {smaller} could not be detected)"
    return line if delta is None else f"{line}: {gain(metric, delta)}"


def gain(metric: str | None, delta: float) -> str:
    """`+3.1 points` of accuracy; of an error, whose `delta` is how much smaller it is, in words."""
    if metric not in LOWER_IS_BETTER:
        return signed(metric, delta)
    way = "smaller" if delta >= 0 else "larger"
    return f"{metric_name(metric)} {signed(metric, abs(delta)).lstrip('+')} {way}"


def difference(metric: str | None, ends: Sequence[float | None]) -> str:
    """The interval of a difference in words."""
    note = " (positive: smaller)" if metric in LOWER_IS_BETTER else ""
    words = ends_words(metric, ends)
    return f"95 % interval {words}{note}" if words else "no interval"


def over_tasks(metric: str | None, transfer: Block, noun: str = "tasks") -> list[tuple[str, str]]:
    """The source over a folder of tasks, where they were compared."""
    if not transfer.values:
        return []
    tasks = text.number(transfer.number("tasks"))
    what = f"over {tasks} {noun}, against the best of each that needs no source"
    ends = transfer.numbers("delta_ci95")
    return [
        ("source", f"{helps(metric, transfer)} {what}"),
        ("", difference(metric, ends) if ends else ""),
    ]


def interval(score: Block, n: float | None = None) -> str:
    """The score with its interval where it has one."""
    metric, value = score.name("metric"), score.number("value")
    low, high = score.number("low"), score.number("high")
    if value is None or low is None or high is None:
        return text.score(metric, value)
    return text.between(metric, value, low, high, n=n)


def method(read: Block) -> str:
    """`fine-tune (lr=0.001, steps=30)`: with what validation picked."""
    shown = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in read.block("options").values.items()
    ]
    name = text.visible(read.text("method"))
    return name + (f" ({text.visible(', '.join(shown))})" if shown else "")


def chosen(choice: Block) -> str:
    """What was tried, and for how long; and why another than the first of them was taken."""
    if not choice.values:
        return ""
    every = choice.blocks("tried")
    names = [(one.text("source"), one.text("method")) for one in every if one.has("value")]
    other = bool(names) and names[0] != (choice.text("source"), choice.text("method"))
    why = "; none is better by more than the folds can tell" if other else ""
    left_out = f", {len(choice.items('left_out'))} left out" if choice.flag("left_out") else ""
    seconds = text.number(choice.number("seconds"), 2)
    return f"from {len(every)} tried{left_out}, {seconds} s of processor time{why}"


def tried(choice: Block) -> list[list[str]]:
    """A row for each of them, best first."""
    metric = choice.name("metric") or "accuracy"
    return [
        [
            text.visible(f"{one.text('source')} + {one.text('method')}"),
            text.score(metric, one.number("value")),
            f"{one.number('seconds') or 0:.2f} s",
        ]
        for one in choice.blocks("tried")
    ]
