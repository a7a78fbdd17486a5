"""Models made in milliseconds: random weights, adapted on random pictures, nothing trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from metacli.engine.models import folder as models
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch

CLASSES = ("ant", "bee", "cat")


def tiny_model(
    algorithm: dict[str, Any] | None = None,
    *,
    shape: tuple[int, int, int] = (1, 16, 16),
    way: int = 3,
    **backbone: Any,
) -> FewShotModel:
    """An unadapted model with fresh weights: Conv4 of width 4."""
    recipe = FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": "glyphs"},
            "episodes": {"way": way, "shot": 2, "query": 2},
            "backbone": {"name": "conv4", "width": 4, "norm": "layer", **backbone},
            "algorithm": algorithm or {"name": "protonet"},
            "train": {"steps": 1, "chunk": 1},
        }
    )
    made = FewShotModel(
        recipe=recipe,
        params={},
        state={},
        inputs=InputSpec("image", shape, invert=True),
        kind="classification",
        way=way,
        provenance={"recipe": "tiny"},
    )
    return replace(made, params=made.problem().init(0))


def adapted_model(model: FewShotModel, **provenance: Any) -> AdaptedModel:
    """The model on three classes of four random pictures each."""
    x = torch.from_numpy(random_pictures(4 * len(CLASSES), model.inputs.shape))
    y = torch.arange(len(CLASSES)).repeat_interleave(4)
    learner, problem = model.learner(), model.problem()
    with torch.no_grad():
        phi = learner.adapt(problem, model.params, Batch(x, y), model.state)
    return AdaptedModel(
        recipe=model.recipe,
        params=dict(phi),
        state=model.state,
        inputs=model.inputs,
        kind=model.kind,
        way=model.way,
        classes=CLASSES,
        provenance={**model.provenance, **provenance},
    )


def tiny_source() -> FewShotModel:
    """A sine-wave model with fresh weights."""
    recipe = FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": "sinusoid"},
            "episodes": {"way": 1, "shot": 10, "query": 10},
            "backbone": {"name": "mlp", "hidden": [8]},
            "algorithm": {"name": "maml", "inner_steps": 1},
            "train": {"steps": 1, "chunk": 1},
        }
    )
    spec = InputSpec("numbers", (1,))
    made = FewShotModel(recipe, {}, {}, spec, kind="regression", way=1)
    return replace(made, params=made.problem().init(0))


def tiny_regression() -> AdaptedModel:
    """The same, adapted to ten points."""
    made = tiny_source()
    x = torch.linspace(-5, 5, 10)[:, None]
    with torch.no_grad():
        phi = made.learner().adapt(made.problem(), made.params, Batch(x, torch.sin(x)), {})
    return AdaptedModel(made.recipe, dict(phi), {}, made.inputs, made.kind, made.way)


def saved(model: AnyModel, folder: Path) -> str:
    models.save(model, folder)
    return str(folder)


def random_pictures(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """uint8 [count, C, H, W]."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def write_classes(folder: Path, counts: dict[str, int], size: int = 16, seed: int = 0) -> Path:
    """Class folders of random grey PNG pictures, all different."""
    pictures = iter(random_pictures(sum(counts.values()), (size, size), seed))
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(next(pictures)).save(folder / label / f"{number:02}.png")
    return folder
