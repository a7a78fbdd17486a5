"""`metacli predict`: rows, one per input."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import typer

from metacli.cli import complete, early, errors, options, text, words
from metacli.cli.frame import Frame, Result, write_text
from metacli.cli.streams import is_terminal
from metacli.cli.views.block import Block, number_of
from metacli.engine.events import Reporter
from metacli.engine.models.named import dense_model_at
from metacli.engine.results.base import Json
from metacli.errors import DataError

MOST_RANKS = 100  # columns of labels that are there although the model has fewer
Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Files, folders or tables; - reads CSV or texts from stdin, or paths of images.",
        autocompletion=complete.paths,
        show_default=False,
    ),
]
Format = Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="Output format.")]
Top = Annotated[int, typer.Option("--top", metavar="K", min=1, help="The K most likely labels.")]
Reject = Annotated[
    str | None,
    typer.Option(
        "--reject",
        metavar="auto|P",
        help="No label for what is unlike every class, or less likely than P.",
    ),
]

Together = Annotated[
    bool,
    typer.Option(
        "--together", help="Let all inputs have a part in each answer: models of bd-cspn and tim."
    ),
]


def predict(
    frame: Frame,
    model: options.Model,
    inputs: Inputs,
    format_: Format = "csv",
    top: Top = 1,
    reject: Reject = None,
    together: Together = False,
) -> None:
    """Label new inputs with an adapted model, one row each.

    Of a folder of models each answers for the files and folders that are called like it. A model
    of dense tasks writes maps into the folder -o.

    \b
      metacli predict my_model image.png
      metacli predict my_model new_images/ --top 3 -o labels.csv
      metacli predict my_model table.csv
      metacli predict runs/adult rows.csv
    """
    maps = dense_model_at(model) is not None
    target, limit = None if maps else frame.text_target(), words.probability(reject)
    early.require_models([model])
    early.require_paths(inputs)

    def work(report: Reporter) -> Result:
        from metacli.engine.predict import predict as verb

        return verb(
            *(model, inputs),
            stdin=read_stdin(inputs),
            top=top,
            reject=limit,
            together=together,
            out=frame.place if maps else None,
            force=frame.force,
            dry_run=frame.dry_run,
            device=frame.device,
            seed=frame.seed,
            report=report,
        )

    def deliver(result: Result) -> None:
        rows = Block(result).blocks("rows")
        level = Block(result).number("coverage")
        written = jsonl(rows) if format_ == "jsonl" else table(rows, top, level)
        if target is not None and not frame.dry_run:
            write_text(target, written)
            written = f"{target}\n"
        elif format_ == "csv" and is_terminal(sys.stdout):
            written = "".join(f"{text.visible(line)}\n" for line in written.splitlines())
        frame.print_result(result, lambda: single(result) if frame.quiet else written)

    try:
        result = frame.run(work)
    except DataError as error:
        if error.result and not frame.json:  # the good rows first, then what was wrong
            deliver(error.result)
        raise
    deliver(result)


def read_stdin(inputs: Sequence[str]) -> bytes | None:
    """What `-` stands for; None where it is not among the inputs."""
    if "-" not in inputs or sys.stdin is None:
        return None
    return sys.stdin.buffer.read()


def single(result: Result) -> str:
    """`-q`: the prediction alone, one a line; of maps the folder."""
    if result.get("folder"):
        return f"{text.visible(str(result['folder']))}\n"
    rows = Block(result).blocks("rows")
    return "".join(f"{text.visible(row.text('prediction'))}\n" for row in rows)


def jsonl(rows: Sequence[Block]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(errors.plain(row.values)) + "\n" for row in rows)


def table(rows: Sequence[Block], top: int, level: float | None = None) -> str:
    """CSV. Classification: input, prediction, probability (and the next ones), error.

    Regression: input, prediction, low_90, high_90, error. Several tasks: both, after input and
    task.

    Args:
        level: share of the truth that the intervals are made to hold, which their header names.
    """
    if any(row.flag("task") for row in rows):
        return task_table(rows, level)
    if any(row.has("files") for row in rows):
        return map_table(rows)
    numeric = any(row.has("low") or _is_number(row) for row in rows)
    most = max((len(row.block("probabilities").values) for row in rows), default=0)
    top = min(top, max(most, MOST_RANKS))  # a header of 10^9 columns would take all memory
    middle = _ends(level) if numeric else _ranks(top)
    lines = [_line(["input", "prediction", *middle, "error"])]
    for row in rows:
        ranked = [row.value("low"), row.value("high")] if numeric else _ranked(row, top)
        cells = [row.value("input"), row.value("prediction"), *ranked, _error(row)]
        lines.append(_line(map(guarded, cells)))
    return "".join(lines)


def _ends(level: float | None) -> list[str]:
    """`low_90` and `high_90`; without a level where no interval is known."""
    at = "" if level is None else f"_{100 * level:g}"
    return [f"low{at}", f"high{at}"]


def task_table(rows: Sequence[Block], level: float | None = None) -> str:
    """CSV of a model of several tasks, some of which may be numbers and some labels."""
    lines = [_line(["input", "task", "prediction", "probability", *_ends(level), "error"])]
    for row in rows:
        first = [row.value(name) for name in ("input", "task", "prediction")]
        ends = [row.value(name) for name in ("low", "high")]
        lines.append(_line(map(guarded, [*first, *_ranked(row, 1), *ends, _error(row)])))
    return "".join(lines)


def map_table(rows: Sequence[Block]) -> str:
    """CSV of a model of dense tasks: the files of each input, in the folder of -o."""
    names = list(dict.fromkeys(name for row in rows for name in row.block("files").values))
    lines = [_line(["input", *names, "error"])]
    for row in rows:
        files = [row.block("files").value(name) for name in names]
        lines.append(_line(map(guarded, [row.value("input"), *files, _error(row)])))
    return "".join(lines)


def _line(cells: Iterable[str]) -> str:
    """One CSV line, ended by LF; the writer quotes a CR only if its own lines end with one."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n") + "\n"


def _is_number(row: Block) -> bool:
    return isinstance(row.value("prediction"), float) and not row.flag("probabilities")


def _ranks(top: int) -> list[str]:
    more = [f"{name}_{k}" for k in range(2, top + 1) for name in ("prediction", "probability")]
    return ["probability", *more]


def _ranked(row: Block, top: int) -> list[Json]:
    """The probability of the best label, then label and probability of the next ones."""
    known = {k: number_of(v) or 0.0 for k, v in row.block("probabilities").values.items()}
    ranked = sorted(known.items(), key=lambda item: -item[1])[:top]
    cells: list[Json] = [ranked[0][1] if ranked else None]
    for k in range(1, top):
        cells += ranked[k] if k < len(ranked) else (None, None)
    return cells


def _error(row: Block) -> str | None:
    return row.block("error").name("message") or row.name("error")


def guarded(cell: Json) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers."""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
    if isinstance(cell, float):
        return "" if cell != cell else f"{cell:.6g}"
    return "" if cell is None else str(cell)
