"""What is written beside an exported file: a README.md and an example.py that runs it without
metacli, with onnxruntime or torch alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metacli.data.tables.dates import patterns_of
from metacli.data.tables.reader import MISSING
from metacli.engine.exporting import companion_parts as parts
from metacli.engine.models.card import escape


def names(file: Path) -> tuple[Path, Path]:
    """README and example of an exported file; the whole name, since `mine.pt2` and `mine.onnx` may
    stand side by side."""
    return file.with_name(f"{file.name}.README.md"), file.with_name(f"{file.name}.example.py")


def usage(result: Mapping[str, Any]) -> str:
    """The words after the example's name."""
    given = given_as(result)
    asked = {"pictures": "PICTURE...", "cells": "TABLE.csv", "texts": '"A TEXT"...'}
    known = {"pictures": "CLASS_FOLDERS", "cells": "SUPPORT.csv TARGET", "texts": "SUPPORT.csv"}
    words = asked.get(given, "NUMBERS...")
    return f"{known.get(given, WAVE)} {words}" if adapts(result) else words


WAVE = '"X:Y X:Y X:Y"'


def adapts(result: Mapping[str, Any]) -> bool:
    """Whether the file takes its support."""
    return len(result["inputs"]) == 3


def given_as(result: Mapping[str, Any]) -> str:
    """What a user has: pictures, cells of a table, texts, or numbers."""
    first = result["inputs"][0]
    if "columns" in first:
        return "cells"
    if "text" in first:
        return "texts"
    return "pictures" if len(first["shape"]) == 4 else "numbers"


def example(result: Mapping[str, Any]) -> str:
    """The script that runs the file."""
    given, kind = given_as(result), result["format"]
    more = {"pictures": ["Pillow"], "texts": ["scikit-learn"]}.get(given, [])
    extra = {
        "pictures": ["from PIL import Image, ImageOps"],
        "texts": ["from sklearn.feature_extraction.text import HashingVectorizer"],
    }
    table = given == "cells" or (given == "texts" and adapts(result))
    dated = given == "cells" and any("date" in one for one in result["inputs"][0]["columns"])
    standard = [
        *(["import csv"] if table else []),
        *(["import datetime", "import re"] if dated else []),
        "import sys",
        "from pathlib import Path",
    ]
    imports = ["import numpy as np", parts.IMPORT[kind], *extra.get(given, [])]
    pieces = [
        f'"""Runs the exported model beside this file. It needs numpy, '
        f"{' and '.join([parts.NEEDS[kind], *more])}, and not metacli.\n\n"
        f'    python THIS_FILE {usage(result).replace(chr(34), chr(39))}\n"""\n',
        "\n".join(standard) + "\n",
        "\n".join(imports) + "\n",
        "\n".join(facts(result, given)) + "\n",
        parts.READ[given]
        + (parts.DATES if dated else "")
        + "\n"
        + parts.NAMED.get(given, parts.AS_GIVEN)
        + "\n"
        + parts.RUN[kind],
        '\nif __name__ == "__main__":' + main_of(result, given),
    ]
    return "\n".join(pieces)


def facts(result: Mapping[str, Any], given: str) -> list[str]:
    """The constants of the script."""
    first, outputs = result["inputs"][0], result["outputs"]
    shape = first["shape"][1:]
    found = [f"FILE = Path(__file__).with_name({json.dumps(Path(result['file']).name)})"]
    if given == "pictures":
        mode = "L" if shape[0] == 1 else "RGB"
        found.append(f'MODE, HEIGHT, WIDTH = "{mode}", {shape[1]}, {shape[2]}')
    elif given == "cells":
        columns = [(one["name"], one["values"], one.get("date")) for one in first["columns"]]
        found += [f"MISSING = {MISSING!r}", f"COLUMNS = {columns!r}"]
        orders = sorted({date["order"] for _, _, date in columns if date})
        found += [f"SHAPES = { ({one: patterns_of(one) for one in orders})!r}"] if orders else []
    elif given == "texts":
        text = first["text"]
        found.append(f"FEATURES, WORDS = {text['features']}, {tuple(text['words'])}")
        found.append(f"CHARACTERS = {tuple(text['characters'])}")
    else:
        found.append(f"SHAPE = {tuple(shape)}")
    if adapts(result):
        way = result["inputs"][1]["shape"][1]
        found.append(f"WAY = {way if isinstance(way, int) else None}")
    if "task" in outputs[0]:
        found.append(f"TASKS = {[(one['task'], one.get('labels')) for one in outputs]!r}")
    elif "labels" in outputs[0]:
        found.append(f"LABELS = {outputs[0]['labels']!r}")
    return found


def main_of(result: Mapping[str, Any], given: str) -> str:
    output = result["outputs"][0]
    if adapts(result):
        labels = output["name"] == "probabilities"
        return parts.SUPPORT[given] + (parts.ADAPT_LABELS if labels else parts.ADAPT_VALUES)[1:]
    if "task" in output:
        return parts.TASKS
    return parts.LABELS if "labels" in output else parts.VALUES


def readme(result: Mapping[str, Any], name: str) -> str:
    """What the file is, what goes in and comes out, how to run it."""
    file, kind = Path(result["file"]), result["format"]
    parity = result["parity"]
    lines = [f"# {escape(file.name)}", "", f"Exported from the metacli model {escape(name)}.", ""]
    lines += ["| | name | type | shape | values |", "| --- | --- | --- | --- | --- |"]
    for side in ("inputs", "outputs"):
        lines += [_row(side.removesuffix("s"), one) for one in result[side]]
    lines += ["", *_notes(result), "", "## Run it", "", "```"]
    lines += [
        f"pip install numpy {parts.NEEDS[kind]}"
        + {"pictures": " pillow", "texts": " scikit-learn"}.get(given_as(result), "")
    ]
    lines += [f"python {names(file)[1].name} {usage(result)}", "```", ""]
    lines += [
        f"Compared with PyTorch on {parity['n']} inputs ({parity['inputs']}): the largest "
        f"difference was {parity['max_abs']:.1e}, of at most {parity['tolerance']:g}.",
        "",
    ]
    return "\n".join(lines)


def _row(side: str, one: Mapping[str, Any]) -> str:
    shape = ", ".join(map(str, one["shape"]))
    if "task" in one:
        one = {**one, "name": f"{one['name']}: {escape(one['task'])}"}
    if "columns" in one:
        names_of = ", ".join(escape(column["name"]) for column in one["columns"])
        one = {**one, "values": f"{names_of}: {one['values']}"}
    values = one.get("values") or ", ".join(escape(label) for label in one.get("labels") or ())
    return f"| {side} | {one['name']} | {one['dtype']} | [{shape}] | {values} |"


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = ["Sizes that are words may be any number."]
    given = given_as(result)
    if given == "cells":
        notes.append("Scaling is inside; reading a table and looking words up is in the example.")
    if given == "texts":
        notes.append("A text model starts from its features: the example hashes the words.")
    if given == "pictures":
        notes.append(
            "Scaling of the pixels is inside; decoding a picture and resizing it are not: the "
            "example does both as metacli does."
        )
    if adapts(result):
        notes.append(
            "The file adapts by itself: give it the labelled examples and the queries together. "
            "Its probabilities are not calibrated."
        )
    return notes
