"""The recipe that `meta-train SETS/` trains: a learner of sets for what a user's own sets hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from metacli.data.images import ImageSpec
from metacli.data.sets.own_files import OwnSets, looks_like_sets
from metacli.data.sets.own_tasks import OwnData, read_own
from metacli.data.user.appearance import COLOURFUL, appearance_of_stack
from metacli.engine.encoders.parameters import encoder_of
from metacli.engine.events import Note, Reporter
from metacli.engine.training.options import parsed
from metacli.errors import DataError
from metacli.schema.blocks import Data, Named
from metacli.schema.load import Loaded, load
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe, Sets

BASE, NAME = "functions-4t-mtnp", "sets-mtnp"
STEPS, MOST_TASKS, MOST_POINTS, MOST_QUERIES = 1000, 6, 20, 8
SETTINGS = (
    *("algorithm.blocks=2", "algorithm.reads=1", f"train.steps={STEPS}", "train.meta_batch=8"),
    *("train.lr=0.001", "evaluate.every=100", "evaluate.episodes=128", "evaluate.shot=null"),
)
LOOKED_AT = ImageSpec(3, 64, 64)  # large enough to tell photographs from drawings
LOOKS = 128  # images
BACKBONES: dict[str, dict[str, JsonValue]] = {
    "photograph": {"name": "frozen", "encoder": "efficientnet-lite0"},
    "drawing": {"name": "conv4", "width": 32},
    "tokens": {"name": "words", "encoder": "wordllama"},
    "text": {"name": "mlp", "hidden": [128, 64]},
    "numbers": {"name": "mlp", "hidden": [64, 64]},
}


def wants_sets(path: str | None, words: Sequence[str]) -> bool:
    """Whether data are sets of tasks: folders of sets, or a table with `data.set=COLUMN`."""
    named = any(word.startswith("data.set=") for word in words)
    return path is not None and looks_like_sets(Path(path), "named" if named else "")


def sets_recipe(data: str, words: Sequence[str], report: Reporter) -> Loaded:
    """A recipe for these sets, with the settings of the user over it.

    Raises:
        DataError: sets that cannot be read or are too few, as `read_own`.
        RecipeError: a setting that the recipe does not have.
    """
    settings = [*(SETTINGS if not own_learner(words) else SETTINGS[2:]), *words]
    loaded = load(BASE, settings)
    assert isinstance(loaded.recipe, MetaMultiTaskRecipe)
    given = {key.removeprefix("data.") for key in loaded.overridden if key.startswith("data.")}
    options = {k: v for k, v in loaded.recipe.data.options.items() if k in given}
    path = Path(data).absolute()
    own = parsed(OwnSets, options)
    parts = [read_own(path, own, split, LOOKED_AT) for split in ("train", "val", "test")]
    asked = {key.removeprefix("sets.") for key in loaded.overridden if key.startswith("sets.")}
    stated = {key: value for key, value in loaded.recipe.sets.model_dump().items() if key in asked}
    sizes = Sets.model_validate({**sizes_of(parts), **stated})
    backbone = loaded.recipe.backbone
    if backbone is None:
        kind = kind_of(parts[0], options)
        backbone = Named.model_validate(BACKBONES[kind])
        options |= {"encoder": "tokens"} if kind == "tokens" else {}
    changes = {
        "data": Data.model_validate({"source": str(path), **options}),
        "sets": sizes,
        "backbone": backbone,
        "expect": None,
        "baselines": (),
    }
    recipe = loaded.recipe.model_copy(update=changes)
    count = sum(len(part.sets) for part in parts)
    steps = recipe.train.steps
    encoder = encoder_of(recipe)
    on = "" if encoder is None else f" on the pretrained encoder {encoder[0]}"
    said = f"{data} holds {count} sets of tasks: training {NAME}{on}, {steps} steps"
    report(Note(said, "recipe.chosen"))
    header = f"{recipe.algorithm.name.upper()} on sets of tasks, fitted to {path}"
    return replace(loaded, recipe=recipe, name=NAME, header=header)


def kind_of(data: OwnData, given: Mapping[str, JsonValue]) -> str:
    """Which of `BACKBONES` suits the sets: a pretrained encoder for texts and photographs, but for
    those that are to be read in another way."""
    if data.kind == "text":
        other = "features" in given or given.get("encoder", "tokens") != "tokens"
        return "text" if other else "tokens"
    if data.kind != "image":
        return data.kind
    looks = appearance_of_stack(data.store[:: max(1, len(data.store) // LOOKS)])
    drawn = looks.kind == "drawing" and looks.colourfulness < COLOURFUL
    return "drawing" if drawn or {"size", "channels"} & set(given) else "photograph"


def own_learner(words: Sequence[str]) -> bool:
    """Whether another learner is named, which has no blocks of attention."""
    named = [word.partition("=")[2] for word in words if word.startswith("algorithm.name=")]
    return bool(named) and named[-1] != "mtnp"


def sizes_of(parts: Sequence[OwnData]) -> dict[str, JsonValue]:
    """Tasks, support rows and queries that the training sets have.

    Raises:
        DataError: every set has one task.
    """
    counts = [len(one.tasks) for part in parts for one in part.sets]
    if max(counts) < 2:
        raise DataError(
            "every set has one task; sets of two or more are learned together",
            code="sets.too_few_tasks",
            where=parts[0].name,
            hint="tasks that have nothing to be learned with are for a recipe of kind meta",
        )
    most = min(MOST_TASKS, max(len(one.tasks) for one in parts[0].sets))
    least = min(2, *counts)
    known = [
        int((~np.isnan(task.y[: len(task.y) - task.tested])).sum())
        for part in parts
        for one in part.sets
        for task in one.tasks
    ]
    classes = max(len(task.labels) for one in parts[0].sets for task in one.tasks)
    rows = int(np.median(known))
    high = max(classes, min(MOST_POINTS, rows // 2), 1)
    return {
        "tasks": [least, max(least, most)],
        "points": [min(high, max(classes, 3)), high],
        "query": min(MOST_QUERIES, max(1, rows - rows // 2)),
    }
