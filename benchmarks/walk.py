"""Which files of the engine a user's task passes on its way through a verb: `python
benchmarks/walk.py` adapts a model of random weights to a folder of drawn images, asks it for
predictions, and prints the files in the order in which they are handed the task.

A function is handed the task where an argument *is* it: its path, what was asked about it, or its
decoded examples. Counted is a call from one file into another, of `metacli/engine` and the door of
the data; what lies behind that door is its own walk, and `engine/results` only describes. A file
that is entered again after another one counts as a return. (For a table whose columns the model
names, the door is asked once more.)
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from PIL import Image

import metacli
from metacli.data.user.content import Content
from metacli.data.user.loading import Task
from metacli.engine.adapting.reading import Examples
from metacli.engine.adapting.request import Request
from metacli.engine.models import folder
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import FewShotModel
from metacli.engine.predicting.inputs import Held
from metacli.schema.few_shot import FewShotRecipe

HOUSE = Path(metacli.__file__).parent
DOOR = "data/user/open.py"
CARRIES = (Content, Task, Examples, Request)


def walk(call: Callable[[], Any], start: Path) -> list[str]:
    """The files that are handed the task, in order; a stay in one file counts once."""
    visited: list[str] = []

    def carried(frame: FrameType) -> bool:
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        values = [frame.f_locals.get(name) for name in names]
        return any(is_task(one, start) for one in values)

    def enter(frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        path = Path(frame.f_code.co_filename)
        if not path.is_relative_to(HOUSE):
            return
        name = path.relative_to(HOUSE).as_posix()
        known = name.startswith("engine/") and not name.startswith("engine/results/")
        inside = frame.f_back is not None and frame.f_back.f_code.co_filename == str(path)
        function = frame.f_code.co_name
        made = function.startswith("__") or not function.isidentifier()
        entered = (known or name == DOOR) and not inside and not made and carried(frame)
        if entered and visited[-1:] != [name]:
            visited.append(name)

    sys.setprofile(enter)
    try:
        call()
    finally:
        sys.setprofile(None)
    return visited


def is_task(value: Any, start: Path) -> bool:
    """Whether an argument is the task, under whatever form."""
    if isinstance(value, str | Path):
        return str(value) == str(start)
    if isinstance(value, Held):
        return True
    return isinstance(value, CARRIES)


def model() -> FewShotModel:
    """A prototypical network of random weights."""
    recipe = FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": "glyphs"},
            "episodes": {"way": 2, "shot": 2, "query": 2},
            "backbone": {"name": "conv4", "width": 4, "norm": "layer"},
            "algorithm": {"name": "protonet"},
            "train": {"steps": 1, "chunk": 1},
        }
    )
    made = FewShotModel(recipe, {}, {}, InputSpec("image", (1, 16, 16)), "classification", 2)
    return FewShotModel(recipe, made.problem().init(0), {}, made.inputs, "classification", 2)


def write_task(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16), dtype=np.uint8)
    for label, images in zip(("ant", "bee"), pixels, strict=True):
        (path / label).mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(path / label / f"{number}.png")


def walks(home: Path) -> dict[str, list[str]]:
    """Of `adapt`, of `predict` of a folder."""
    source, task, mine = home / "source", home / "task", home / "mine"
    write_task(task)
    with torch.no_grad():
        folder.save(model(), source)
    return {
        "adapt": walk(lambda: metacli.adapt(source, task, out=mine), task),
        "predict": walk(lambda: metacli.predict(mine, task), task),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        for verb, files in walks(Path(home)).items():
            returns = len(files) - len(set(files))
            sys.stdout.write(f"{verb}: {len(set(files))} files, {returns} returns\n")
            sys.stdout.writelines(f"  {name}\n" for name in files)


if __name__ == "__main__":
    main()
