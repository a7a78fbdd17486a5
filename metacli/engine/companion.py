"""What is written beside an exported file: a README.md and an example.py that runs it without
metacli, with onnxruntime or torch alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metacli.data.table import MISSING
from metacli.engine.card import escape

_RUN = {
    "onnx": '''
def run(*inputs):
    """Arrays in the order of the inputs to arrays in the order of the outputs."""
    session = onnxruntime.InferenceSession(str(FILE), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs)))
''',
    "pt2": '''
def run(*inputs):
    """Arrays in the order of the inputs to arrays in the order of the outputs."""
    program = torch.export.load(FILE).module()
    with torch.no_grad():
        found = program(*(torch.from_numpy(one) for one in inputs))
    return [one.numpy() for one in ([found] if isinstance(found, torch.Tensor) else found)]
''',
}
_IMPORT = {"onnx": "import onnxruntime", "pt2": "import torch"}
_NEEDS = {"onnx": "onnxruntime", "pt2": "torch"}

_PICTURES = '''
def read(paths):
    """Pictures as float32 pixels 0 to 255, [number, channels, height, width]."""
    return np.stack([picture(path) for path in paths])


def picture(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:  # transparency is laid on white
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert(MODE)
    if image.size != (WIDTH, HEIGHT):
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.float32).reshape(HEIGHT, WIDTH, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
'''
_NUMBERS = '''
def read(words):
    """Each word is one example: its numbers with commas between them."""
    rows = [[float(one) for one in word.split(",")] for word in words]
    return np.array(rows, dtype=np.float32).reshape(len(rows), *SHAPE)
'''
_CELLS = '''
def read(paths):
    """The rows of a table as float64 cells, [rows, columns]."""
    with open(paths[0], newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    return np.array([[cell(row[name], values) for name, values in COLUMNS] for row in rows])


def cell(text, values):
    """A number, NaN where it is missing; or the place of a word among its column's values."""
    text = text.strip()
    if values is None:
        return float("nan") if text in MISSING else float(text)
    return float(values.index(text)) if text in values else -1.0
'''

_LABELS = """
    words = sys.argv[1:]
    (found,) = run(read(words))
    for word, row in zip(words, found):
        print(f"{word}\\t{LABELS[row.argmax()]}\\t{row.max():.4f}")
"""
_VALUES = """
    words = sys.argv[1:]
    (found,) = run(read(words))
    for word, row in zip(words, found):
        print(word, *(f"{one:.6g}" for one in row), sep="\\t")
"""
_CLASSES = """
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    labels = sorted(one.name for one in folder.iterdir() if one.is_dir())
    known = [(path, n) for n, one in enumerate(labels) for path in sorted((folder / one).iterdir())]
    support_y = np.eye(len(labels), dtype=np.float32)[[n for _, n in known]]
    (found,) = run(read([path for path, _ in known]), support_y, read(words))
    for word, row in zip(words, found):
        print(f"{word}\\t{labels[row.argmax()]}\\t{row.max():.4f}")
"""
_POINTS = """
    known, words = sys.argv[1].split(), sys.argv[2:]  # such as "0.5:1.2 0.7:1.9" and 0.6
    x, y = zip(*(point.split(":") for point in known))
    support_y = np.array([[float(one) for one in word.split(",")] for word in y], np.float32)
    (found,) = run(read(x), support_y, read(words))
    for word, row in zip(words, found):
        print(word, *(f"{one:.6g}" for one in row), sep="\\t")
"""

_TASKS = """
    words = sys.argv[1:]
    outputs = run(read(words))
    for number in range(len(outputs[0])):
        for (name, labels), found in zip(TASKS, outputs):
            row = found[number]
            said = labels[row.argmax()] if labels else f"{row:.6g}"
            print(words[number] if len(words) > 1 else number + 1, name, said, sep="\\t")
"""


def names(file: Path) -> tuple[Path, Path]:
    """README and example of an exported file; the whole name, since `mine.pt2` and `mine.onnx` may
    stand side by side."""
    return file.with_name(f"{file.name}.README.md"), file.with_name(f"{file.name}.example.py")


def usage(result: Mapping[str, Any]) -> str:
    """The words after the example's name."""
    given = given_as(result)
    if len(result["inputs"]) == 3:
        return "CLASS_FOLDERS PICTURE..." if given == "pictures" else '"X:Y X:Y X:Y" X...'
    return {"pictures": "PICTURE...", "cells": "TABLE.csv", "numbers": "NUMBERS..."}[given]


def given_as(result: Mapping[str, Any]) -> str:
    """What a user has: pictures, cells of a table, or numbers."""
    first = result["inputs"][0]
    if "columns" in first:
        return "cells"
    return "pictures" if len(first["shape"]) == 4 else "numbers"


def example(result: Mapping[str, Any]) -> str:
    """The script that runs the file."""
    given, kind = given_as(result), result["format"]
    needs = f"numpy, {_NEEDS[kind]}" + (" and Pillow" if given == "pictures" else "")
    imports = ["import numpy as np", _IMPORT[kind]]
    imports += ["from PIL import Image, ImageOps"] if given == "pictures" else []
    standard = ["import csv"] if given == "cells" else []
    parts = [
        f'"""Runs the exported model beside this file. It needs {needs}, and not metacli.\n\n'
        f'    python THIS_FILE {usage(result)}\n"""\n',
        "\n".join([*standard, "import sys", "from pathlib import Path"]) + "\n",
        "\n".join(imports) + "\n",
        "\n".join(facts(result, given)) + "\n",
        {"pictures": _PICTURES, "cells": _CELLS, "numbers": _NUMBERS}[given] + "\n" + _RUN[kind],
        '\nif __name__ == "__main__":' + main_of(result, given),
    ]
    return "\n".join(parts)


def facts(result: Mapping[str, Any], given: str) -> list[str]:
    """The constants of the script."""
    first, outputs = result["inputs"][0], result["outputs"]
    shape = first["shape"][1:]
    found = [f"FILE = Path(__file__).with_name({json.dumps(Path(result['file']).name)})"]
    if given == "pictures":
        mode = "L" if shape[0] == 1 else "RGB"
        found.append(f'MODE, HEIGHT, WIDTH = "{mode}", {shape[1]}, {shape[2]}')
    elif given == "cells":
        columns = [(one["name"], one["values"]) for one in first["columns"]]
        found += [f"MISSING = {MISSING!r}", f"COLUMNS = {columns!r}"]
    else:
        found.append(f"SHAPE = {tuple(shape)}")
    if "task" in outputs[0]:
        found.append(f"TASKS = {[(one['task'], one.get('labels')) for one in outputs]!r}")
    elif "labels" in outputs[0]:
        found.append(f"LABELS = {outputs[0]['labels']!r}")
    return found


def main_of(result: Mapping[str, Any], given: str) -> str:
    if len(result["inputs"]) == 3:
        return _CLASSES if given == "pictures" else _POINTS
    if "task" in result["outputs"][0]:
        return _TASKS
    found = _LABELS if "labels" in result["outputs"][0] else _VALUES
    if given == "cells":  # a table is one word and has many rows
        found = found.replace("zip(words, found)", "enumerate(found, 1)")
    return found


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
        f"pip install numpy {_NEEDS[kind]}" + (" pillow" if given_as(result) == "pictures" else "")
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
    if given == "pictures":
        notes.append(
            "Scaling of the pixels is inside; decoding a picture and resizing it are not: the "
            "example does both as metacli does."
        )
    if len(result["inputs"]) == 3:
        notes.append(
            "The file adapts by itself: give it the labelled examples and the queries together. "
            "Its probabilities are not calibrated."
        )
    return notes
