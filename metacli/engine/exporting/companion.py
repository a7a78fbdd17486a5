"""What is written next to an exported file: a README.md and an example.py that runs it without
metacli, with onnxruntime or torch alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.data.image_changes import ENDS
from metacli.data.images import LONGEST
from metacli.data.tables.cells import MISSING
from metacli.data.tables.dates import patterns_of
from metacli.engine.exporting import companion_parts as parts
from metacli.engine.exporting.entrance import EMBEDDINGS
from metacli.engine.models.card import escape
from metacli.engine.results.export import ExportResult, Parity, TensorSpec, TextFeatures


@dataclass(frozen=True)
class Companion:
    """Two files, and the words after the example's name."""

    example: str
    readme: str
    usage: str


def tokenizer_of(result: ExportResult) -> str | None:
    """The encoder whose tokenizer the example reads; None where there are no tokens."""
    return next((one.tokenizer for one in result.inputs if one.tokenizer is not None), None)


def features_of(result: ExportResult) -> TextFeatures | None:
    """How n-grams of a text become numbers; None where there are none."""
    return next((one.text for one in result.inputs if one.text is not None), None)


def embeds(result: ExportResult) -> bool:
    """Whether the example embeds texts with a sentence-transformers model beside it."""
    return result.inputs[0].name == EMBEDDINGS


def encoder_folder(file: Path) -> Path:
    """The sentence-transformers model beside an exported file."""
    return file.with_name(f"{file.name}.encoder")


def tokenizer_file(file: Path) -> Path:
    """The tokenizer beside an exported file."""
    return file.with_name(f"{file.name}.tokenizer.json")


def names(file: Path) -> tuple[Path, Path]:
    """README and example of an exported file; the whole name, since `mine.pt2` and `mine.onnx` may
    stand side by side."""
    return file.with_name(f"{file.name}.README.md"), file.with_name(f"{file.name}.example.py")


def usage(result: ExportResult) -> str:
    """The words after the example's name."""
    given = given_as(result)
    asked = {"images": "IMAGE...", "cells": "TABLE.csv", "texts": '"A TEXT"...'}
    known = {"images": "CLASS_FOLDERS", "cells": "SUPPORT.csv TARGET", "texts": "SUPPORT.csv"}
    words = asked.get(given, "NUMBERS...")
    return f"{known.get(given, WAVE)} {words}" if adapts(result) else words


WAVE = '"X:Y X:Y X:Y"'


def adapts(result: ExportResult) -> bool:
    """Whether the file takes its support."""
    return len(result.inputs) == 3


def given_as(result: ExportResult) -> str:
    """What a user has: images, cells of a table, texts, or numbers."""
    first = result.inputs[0]
    if first.columns is not None:
        return "cells"
    if first.text is not None or first.tokenizer is not None or embeds(result):
        return "texts"
    return "images" if len(first.shape) == 4 else "numbers"


@dataclass(frozen=True)
class Script:
    """What differs between examples.

    Args:
        usage: the words after its name. main: what it does with them.
        table: whether it reads a table. facts: constants beside those of the inputs.
        pieces: functions beside those that read.
    """

    usage: str
    main: str
    table: bool
    facts: tuple[str, ...] = ()
    pieces: str = ""


def example(result: ExportResult) -> str:
    """The script that runs the file."""
    given = given_as(result)
    table = given == "cells" or (given == "texts" and adapts(result))
    whole = adapts(result) or result.outputs[0].task is not None
    pieces = "" if whole else "\n" + parts.GIVEN
    return script(result, Script(usage(result), main_of(result, given), table, (), pieces))


def script(result: ExportResult, what: Script) -> str:
    """An example for what the user has."""
    given, kind = given_as(result), result.format
    hashed, tokens = features_of(result) is not None, tokenizer_of(result) is not None
    more = needs_of(result)
    extra = {
        "images": ["from PIL import Image, ImageOps"],
        "texts": [
            *(["from sklearn.feature_extraction.text import HashingVectorizer"] if hashed else []),
            *(["from tokenizers import Tokenizer"] if tokens else []),
            *(["from sentence_transformers import SentenceTransformer"] if embeds(result) else []),
        ],
    }
    dated = any(one.date is not None for one in result.inputs[0].columns or ())
    standard = [
        *(["import csv"] if what.table else []),
        *(["import datetime", "import re"] if dated else []),
        "import sys",
        "from pathlib import Path",
    ]
    imports = ["import numpy as np", parts.IMPORT[kind], *extra.get(given, [])]
    pieces = [
        f'"""Runs the exported model in this folder. It needs numpy, '
        f"{' and '.join([parts.NEEDS[kind], *more])}, and not metacli.\n\n"
        f'    python THIS_FILE {what.usage.replace(chr(34), chr(39))}\n"""\n',
        "\n".join(standard) + "\n",
        "\n".join(imports) + "\n",
        "\n".join([*facts(result, given), *what.facts]) + "\n",
        reading_of(result, given)
        + (parts.DATES if dated else "")
        + "\n"
        + parts.NAMED.get(given, parts.AS_GIVEN)
        + what.pieces
        + "\n"
        + parts.RUN[kind],
        parts.begin_main(what.usage) + what.main,
    ]
    return "\n".join(pieces)


def reading_of(result: ExportResult, given: str) -> str:
    """How the script reads what a user has."""
    if given == "images":
        return parts.images(result.inputs[0])
    if given == "texts":
        hashed = features_of(result) is not None
        tokens = tokenizer_of(result) is not None
        return parts.EMBEDDED if embeds(result) else parts.texts(tokens=tokens, hashed=hashed)
    return parts.READ[given]


def facts(result: ExportResult, given: str) -> list[str]:
    """The constants of the script."""
    first, outputs = result.inputs[0], result.outputs
    shape = first.shape[1:]
    found = [f"FILE = Path(__file__).with_name({json.dumps(file_of(result).name)})"]
    if given == "images":
        mode = "L" if shape[0] == 1 else "RGB"
        found.append(f'MODE, HEIGHT, WIDTH = "{mode}", {shape[1]}, {shape[2]}')
        if first.shorter is not None:
            found.append(f"SHORTER, LONGEST = {first.shorter}, {LONGEST}")
        if first.changes:
            found.append(f"CHANGES, ENDS = {first.changes!r}, {ENDS}")
    elif given == "cells":
        columns = [
            (one.name, listed(one.values), None if one.date is None else one.date.as_dict())
            for one in first.columns or ()
        ]
        orders = sorted({one.date.order for one in first.columns or () if one.date is not None})
        found += [f"SHAPES = { ({one: patterns_of(one) for one in orders})!r}"] if orders else []
        found += [f"MISSING = {MISSING!r}", f"COLUMNS = {columns!r}"]
    elif given == "texts":
        found += text_facts(result)
    else:
        found.append(f"SHAPE = {tuple(shape)}")
    if adapts(result):
        way = result.inputs[1].shape[1]
        found.append(f"WAY = {way if isinstance(way, int) else None}")
    if outputs[0].task is not None:
        found.append(f"TASKS = {[(one.task, listed(one.labels)) for one in outputs]!r}")
    elif outputs[0].labels is not None:
        found.append(f"LABELS = {listed(outputs[0].labels)!r}")
    return found


def text_facts(result: ExportResult) -> list[str]:
    """How texts are read."""
    found, hashed = [], features_of(result)
    if tokenizer_of(result) is not None:
        length = result.inputs[0].shape[1]
        file = json.dumps(tokenizer_file(file_of(result)).name)
        found.append(f"TOKENIZER = Path(__file__).with_name({file})")
        found.append(f"LENGTH = {length if isinstance(length, int) else None}")
    if embeds(result):
        folder = json.dumps(encoder_folder(file_of(result)).name)
        found.append(f"ENCODER = Path(__file__).with_name({folder})")
    if hashed is not None:
        found.append(f"FEATURES, WORDS = {hashed.features}, {tuple(hashed.words)}")
        found.append(f"CHARACTERS = {tuple(hashed.characters)}")
    return found


def needs_of(result: ExportResult) -> list[str]:
    """Packages of the example beside numpy and what runs the file."""
    if given_as(result) == "images":
        return ["Pillow"]
    if embeds(result):
        return ["sentence-transformers"]
    hashed, tokens = features_of(result) is not None, tokenizer_of(result) is not None
    return [*(["scikit-learn"] if hashed else []), *(["tokenizers"] if tokens else [])]


def main_of(result: ExportResult, given: str) -> str:
    output = result.outputs[0]
    if adapts(result):
        labels = output.name == "probabilities"
        return parts.SUPPORT[given] + (parts.ADAPT_LABELS if labels else parts.ADAPT_VALUES)[1:]
    if output.task is not None:
        return parts.TASKS
    return parts.LABELS if output.labels is not None else parts.VALUES


def readme(
    result: ExportResult,
    name: str,
    words: str | None = None,
    notes: Sequence[str] | None = None,
) -> str:
    """What the file is, what goes in and comes out, how to run it.

    Args:
        words: after the example's name. notes: of the file; None: those of a model of one task.
    """
    file, kind, parity = file_of(result), result.format, result.parity
    lines = [f"# {escape(file.name)}", "", f"Exported from the metacli model {escape(name)}.", ""]
    lines += ["| | name | type | shape | values |", "| --- | --- | --- | --- | --- |"]
    lines += [row_of("input", one) for one in result.inputs]
    lines += [row_of("output", one) for one in result.outputs]
    lines += ["", *(_notes(result) if notes is None else notes), "", "## Run it", "", "```"]
    lines += [
        f"pip install numpy {parts.NEEDS[kind]}"
        + "".join(f" {one.lower()}" for one in needs_of(result))
    ]
    lines += [f"python {names(file)[1].name} {words or usage(result)}", "```", ""]
    return "\n".join([*lines, compared(parity), ""])


def compared(parity: Parity) -> str:
    """How the file's answers were checked."""
    return (
        f"Compared with PyTorch on {parity.n} inputs ({parity.inputs}): the largest difference "
        f"was {parity.max_abs:.1e}; at most {parity.tolerance:g} was allowed."
    )


def file_of(result: ExportResult) -> Path:
    """The exported file."""
    assert result.file is not None  # companions are written with it
    return result.file


def listed(words: tuple[str, ...] | None) -> list[str] | None:
    """As the script has them."""
    return None if words is None else list(words)


def row_of(side: str, one: TensorSpec) -> str:
    shape = ", ".join(map(str, one.shape))
    name = one.name if one.task is None else f"{one.name}: {escape(one.task)}"
    values = one.values or ", ".join(escape(label) for label in one.labels or ())
    if one.columns is not None:
        values = f"{', '.join(escape(column.name) for column in one.columns)}: {values}"
    return f"| {side} | {name} | {one.dtype} | [{shape}] | {values} |"


def _notes(result: ExportResult) -> list[str]:
    notes = ["Sizes that are words may be any number."]
    given = given_as(result)
    if given == "cells":
        notes.append("Scaling is inside; reading a table and looking words up is in the example.")
    if given == "texts":
        how = ["hashes the words"] if features_of(result) is not None else []
        if tokenizer_of(result) is not None:
            how.append("reads the tokenizer file beside it")
        if embeds(result):
            how.append("embeds texts with the sentence-transformers model in the folder beside it")
        notes.append(
            f"A text model starts from its features: the example {' and '.join(how)}."
            if how
            else "A text model starts from its features."
        )
    if given == "images":
        notes.append(
            "Scaling of the pixels is inside; decoding an image and resizing it are not: the "
            "example does both as metacli does."
        )
    if adapts(result):
        notes.append(
            "The file adapts by itself: give it the labelled examples and the queries together. "
            "Its probabilities are not calibrated."
        )
    return notes


def companion_of(result: ExportResult, name: str) -> Companion:
    """Of the model called `name`."""
    return Companion(example(result), readme(result, name), usage(result))
