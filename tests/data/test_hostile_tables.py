"""Damaged and odd tables, texts, task files and folders: rows, or one clear error."""

from __future__ import annotations

import json
import os
import random
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.reader import parse_table
from metacli.data.tables.targets import target_numbers
from metacli.data.tables.text import HashedText
from metacli.data.user.listing import Listing
from metacli.data.user.open import load_task, survey_task
from metacli.data.user.row_loading import RowSpec, numbers_of
from metacli.engine.inspect import inspect
from metacli.engine.predicting.inputs import lines
from metacli.errors import MetacliError

ROWS = [
    ("size", "kind", "text", "when", "label"),
    ("1.5", "flat", "hello, there", "", "a"),
    ("-2e3", "house", 'he said "no"', "4", "b"),
    ("", "flat", "zwölf\nlines", "5", "a"),
    ("7", "", "=1+1", "6", "b"),
    ("8", "house", "so it is", "7", "a"),
]
WORDS = (
    *("\0", "\ufeff", '"', '""', ",", "\t", ";", "\r", "\r\n", "\n", "\n\n", "'", "\\", "\u2028"),
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-999",
        "NA",
        "null",
        "true",
        "0x1F",
        "١٢",
        "1_000",
        "-",
        "+",
    ),
    *("label", "text", "size", "task", "y", "{", "}", "[", "]", ":", "[1]", '{"a":1}', "\ud800"),
    *("a" * 3000, "9" * 400, "[" * 2000, "💥", "\x1b[31m", "2020-01-01", "pic.png", "../x", "\x85"),
)
SPEC = RowSpec(HashedText(64), "text", "classification")


def quoted(cell: str, mark: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('"\n' + mark) else cell


def separated(mark: str) -> bytes:
    return "\n".join(mark.join(quoted(cell, mark) for cell in row) for row in ROWS).encode()


def seeds() -> dict[str, bytes]:
    """A table of every column kind in each format that is text."""
    rows = [dict(zip(ROWS[0], row, strict=True)) for row in ROWS[1:]]
    typed = [{**row, "size": number, "when": None} for number, row in enumerate(rows)]
    both = [json.dumps(row) for row in (*rows, *typed)]
    return {
        "csv": separated(","),
        "tsv": separated("\t"),
        "jsonl": "\n".join(both).encode(),
        "txt": b"one line\nanother\n\r\nthird",
        "yaml": b"support: s.csv\nquery: q.csv\ntarget: label\ninput: [text]\nunit: EUR\n",
    }


def mutated(content: bytes, draw: random.Random, most: int = 4) -> bytes:
    """Some edits: bits, cuts, copies, and words that mean something to a reader."""
    data = bytearray(content)
    for _ in range(draw.randint(1, most)):
        place, edit = draw.randrange(len(data)), draw.randrange(6)
        if edit == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif edit == 1:
            del data[place : place + draw.randint(1, 12)]
        elif edit == 2:
            data[place:place] = data[place // 2 : place // 2 + draw.randint(1, 40)]
        elif edit == 3 and draw.random() < 0.3:
            del data[place:]
        else:
            word = draw.choice(WORDS).encode("utf-8", "surrogatepass")
            end = place + (draw.randint(0, 8) if draw.random() < 0.5 else 0)
            data[place:end] = word
        data = data or bytearray(b"\n")
    return bytes(data)


def read_all(path: Path) -> None:
    """Everything that a command does with a table before it computes."""
    found = survey_task(path)
    for one in found.children or (found,):
        numbers(one)
    load_task(path, SPEC, allow_duplicates=True)


def numbers(found: Listing) -> None:
    content = found.content
    if found.what != "task" or content is None or content.roles.kind == "images":
        return
    if content.type == "regression":
        assert np.isfinite(target_numbers(content.support, content.target)).all()
    text = content.roles.kind == "text"
    kinds = {name: content.roles.kinds[name] for name in content.roles.inputs}
    encoder = HashedText(64) if text else fit_encoding([content.support], kinds)
    spec = RowSpec(encoder, "text" if text else "table", content.type)
    x = numbers_of(content.support, content, spec)
    assert x.shape == (len(content.support), encoder.width)
    assert np.isfinite(x).all()


def fit_to_print(char: str) -> bool:
    """No control character, half of a pair, or mark that turns the direction of a line. Joiners and
    spaces of every script are letters of names; the command line shows those as escapes."""
    turns = "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"
    return not turns and unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


class Outcomes:
    """Counts, and that every refusal is fit to print."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.words: set[str] = set()

    def of(self, act, what: bytes | str) -> None:  # type: ignore[no-untyped-def]
        try:
            act()
        except MetacliError as error:
            self.counts["refused"] += 1
            self.words |= {error.message, str(error.where or ""), error.hint or ""}
        except Exception as error:
            raise AssertionError(f"{error!r} of {what!r}") from error
        else:
            self.counts["read"] += 1

    def require(self, count: int, share: float = 1 / 30) -> None:
        """The mutations were neither all harmless nor all hopeless, and errors are fit to print."""
        assert min(self.counts["read"], self.counts["refused"]) > share * count, self.counts
        assert [one for one in self.words if not all(map(fit_to_print, one))] == []


def many(slow: int) -> pytest.MarkDecorator:
    marks = [pytest.mark.slow, pytest.mark.timeout(1800)]
    return pytest.mark.parametrize("count", [60, pytest.param(slow, marks=marks)])


@many(20_000)
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_mutated_tables_give_rows_or_an_error(ending: str, count: int, tmp_path: Path) -> None:
    draw, seed, found = random.Random(7), seeds()[ending], Outcomes()
    path = tmp_path / f"t.{ending}"
    for _ in range(count):
        content = mutated(seed, draw)
        path.write_bytes(content)
        found.of(lambda: read_all(path), content)
    found.require(count)


@many(20_000)
def test_mutated_lines_of_text_give_rows_or_an_error(count: int) -> None:
    draw, seed, found = random.Random(8), seeds()["txt"], Outcomes()
    for _ in range(count):
        content = mutated(seed, draw)
        found.of(lambda: HashedText(64).encode(lines(content, "x").texts("text")), content)  # noqa: B023
    found.require(count, 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_mutated_parquet_gives_rows_or_an_error(tmp_path: Path) -> None:
    import polars as pl

    columns = dict(zip(ROWS[0], zip(*ROWS[1:], strict=True), strict=True))
    pl.DataFrame(columns).write_parquet(tmp_path / "seed.parquet")
    seed = (tmp_path / "seed.parquet").read_bytes()
    draw, found = random.Random(9), Outcomes()
    for _ in range(300):
        content = mutated(seed, draw)
        found.of(lambda: parse_table(content, "parquet", "t.parquet"), content)  # noqa: B023
    found.require(300)


@many(5_000)
def test_mutated_task_files_give_a_task_or_an_error(count: int, tmp_path: Path) -> None:
    for name in ("s.csv", "q.csv"):
        (tmp_path / name).write_text(f"text,label\nhello {name},a\nbye {name},b\n")
    draw, seed, found = random.Random(10), seeds()["yaml"], Outcomes()
    for _ in range(count):
        content = mutated(seed, draw, 1)
        (tmp_path / "task.yaml").write_bytes(content)
        found.of(lambda: read_all(tmp_path), content)
    found.require(count)


NAMES = (
    "support",
    "query",
    "train",
    "test",
    "val",
    "cat",
    "dog",
    "Cat",
    ".hidden",
    "a b",
    "ü",
    "[x]",
)
FILES = ("t.csv", "support.csv", "query.tsv", "task.yaml", "a.png", "b.jpg", "c.txt", "Thumbs.db")


def grown(folder: Path, draw: random.Random, depth: int = 0) -> None:
    """A random tree of things that a user's folder may hold, and of things that it had better
    not."""
    folder.mkdir(exist_ok=True)
    for name in draw.sample(NAMES, draw.randint(0, 4)):
        if depth < 3 and draw.random() < 0.8:
            grown(folder / name, draw, depth + 1)
    contents = [*seeds().values(), b"", b"\x89PNG", PIXEL]
    for name in draw.sample(FILES, draw.randint(0, 4)):
        kind = draw.randrange(12)
        if kind == 0:
            (folder / name).symlink_to(draw.choice(["..", "nowhere", "/etc/passwd", name]))
        elif kind == 1:
            os.mkfifo(folder / name)
        else:
            seed = seeds()["csv"] if name.endswith("csv") else draw.choice(contents)
            seed = PIXEL if kind > 4 and name.endswith(("png", "jpg")) else seed
            (folder / name).write_bytes(mutated(seed, draw) if kind == 2 and seed else seed)


def pixel() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (4, 4), 9).save(buffer, "PNG")
    return buffer.getvalue()


PIXEL = pixel()


@many(3_000)
def test_random_folders_are_listed_or_refused(count: int, tmp_path: Path) -> None:
    from metacli.data.images import ImageSpec

    draw, found = random.Random(11), Outcomes()
    for number in range(count):
        folder = tmp_path / f"{number % 3}"
        shutil.rmtree(folder, ignore_errors=True)
        grown(folder, draw)
        said = str(sorted(str(one) for one in folder.rglob("*")))
        found.of(lambda: survey_task(folder), said)  # noqa: B023
        found.of(lambda: load_task(folder, ImageSpec(1, 8, 8), skip_bad=True), said)  # noqa: B023
        found.of(lambda: load_task(folder, SPEC), said)  # noqa: B023
        if number % 4 == 0:
            found.of(lambda: inspect(str(folder)), said)  # noqa: B023
    found.require(count, 0)
