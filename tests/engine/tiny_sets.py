"""Small learners of sets with random weights, and sets of a user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from metacli.data.sets.from_user import UserSet, UserTask
from metacli.engine.sets.folder import save
from metacli.engine.sets.model import SetModel
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe

NAMES = ("sine", "tanh", "sigmoid", "gaussian")
FIELDS: Mapping[str, dict[str, int | list[int]]] = {
    "mtnp": {"width": 8, "heads": 2, "blocks": 1},
    "coupled": {"hidden": [6]},
    "mmaml": {"hidden": [6]},
    "manil": {"hidden": [6]},
    "mcavia": {"hidden": [6]},
    "mreptile": {"hidden": [6]},
}


def set_model(name: str = "mtnp", variant: str = "shared", width: int = 1) -> SetModel:
    """A learner that was never trained; its answers depend on every label that it sees."""
    recipe = parse_recipe(
        {
            "kind": "meta-multitask",
            "data": {"source": "functions", "variant": variant},
            "sets": {"points": 5, "query": 4},
            "algorithm": {"name": name, **FIELDS[name]},
            "train": {"steps": 1},
        }
    )
    assert isinstance(recipe, MetaMultiTaskRecipe)
    known = NAMES
    if variant in ("mixed", "pooled"):
        known = (*NAMES, "cosine", "arctan", "cauchy", "wavelet")
    made = SetModel(recipe, {}, {}, known, width)
    rng = torch.Generator().manual_seed(0)
    params = {
        key: value + 0.1 * torch.randn(value.shape, generator=rng)
        for key, value in made.weights().items()
    }
    return SetModel(recipe, params, {}, known, width)


def saved(folder: Path, name: str = "mtnp", variant: str = "shared") -> str:
    """The path of such a model on the disk."""
    save(set_model(name, variant), folder)
    return str(folder)


def user_set(rows: int = 6, tasks: int = 3) -> UserSet:
    rng = np.random.Generator(np.random.PCG64(0))
    made = [
        UserTask(name, rng.uniform(-5, 5, (rows + t, 1)), rng.normal(size=rows + t))
        for t, name in enumerate(NAMES[:tasks])
    ]
    return UserSet("mine", tuple(made), ("x",), "folder", "y")


def table(path: Path, rows: int = 12) -> Path:
    """A table of three tasks, some of whose labels are missing."""
    lines = ["x,sine,tanh,gaussian"]
    for row in range(rows):
        x = -4 + 0.7 * row
        cells = [f"{np.sin(x):.3f}", f"{np.tanh(x):.3f}", f"{np.exp(-x * x):.3f}"]
        cells[row % 3] = "" if row > 2 else cells[row % 3]
        lines.append(",".join([f"{x:.3f}", *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path
