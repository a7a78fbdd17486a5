"""A recipe of kind multitask on dense tasks made: method, network and images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch

from metacli.algorithms import canonical
from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.data.catalogue.registry import DATASETS, find, make_options
from metacli.data.draws import integers, stream
from metacli.data.scenes.generated import CLASSES, SceneOptions, Scenes, scenes
from metacli.engine.training.multi_task.build import make_balancing
from metacli.engine.training.options import make_named, written_out
from metacli.engine.training.problems import Problems
from metacli.nn.dense.problem import DenseProblem
from metacli.nn.dense.sharing import SHARING
from metacli.schema.load import Loaded
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.types import Batch, Params

APART = "apart"
DenseMethod: TypeAlias = MultiTask | MetaWeighted


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """The backbone `stages`: channels of each stage, the finest first."""

    widths: tuple[int, ...] = (16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class SchemeOptions:
    """Sharing schemes of dense tasks have nothing to set."""


@dataclass(frozen=True)
class DenseBuilt:
    """Everything the recipe names, made.

    Args:
        recipe: fully resolved.
    """

    recipe: MultiTaskRecipe
    method: DenseMethod
    problem: DenseProblem
    options: SceneOptions

    @cached_property
    def train(self) -> Scenes:
        return scenes(self.options, "train")

    @cached_property
    def val(self) -> Scenes:
        return scenes(self.options, "val")

    @cached_property
    def train_batch(self) -> Batch:
        return batch_of(self.train)

    def start(self, problem: DenseProblem, seed: int) -> Params:
        """Fresh θ with the statistics of the depth of training pixels."""
        depth = self.train.depths.astype(np.float64)
        known = {
            "target.mean": torch.tensor(depth.mean(), dtype=torch.float32),
            "target.scale": torch.tensor(depth.std(), dtype=torch.float32),
        }
        return {**problem.init(seed), **known}

    def draw(self, step: int, name: str = "train") -> Batch:
        """Training images of a step, with replacement; other ones under another name."""
        words = stream(name, self.recipe.seed, step).random_raw(self.options.rows)
        rows = torch.from_numpy(integers(words, len(self.train)).astype(np.int64))
        return Batch(self.train_batch.x[rows], self.train_batch.y[rows])


def is_dense(recipe: MultiTaskRecipe) -> bool:
    """Whether its data are images with a truth for every pixel."""
    entry = DATASETS.get(recipe.data.source)
    return entry is not None and entry.kind == "scenes"


def batch_of(made: Scenes) -> Batch:
    """x uint8 [M, 3, S, S]; y [M, 5, S, S]: class, depth, normal."""
    y = np.concatenate(
        [made.labels[:, None].astype(np.float32), made.depths[:, None], made.normals], 1
    )
    return Batch(torch.from_numpy(made.images), torch.from_numpy(y))


def problem_of(recipe: MultiTaskRecipe, sharing: str | None = None) -> DenseProblem:
    """The network of a resolved recipe, or of the same stages shared in another way."""
    options = StageOptions(widths=tuple(map(int, widths_of(recipe))))
    return DenseProblem(sharing or recipe.sharing.name, options.widths, len(CLASSES))


def widths_of(recipe: MultiTaskRecipe) -> list[int]:
    """Raises ValueError for a recipe that no run has resolved."""
    found = recipe.backbone.options.get("widths")
    if not isinstance(found, list):
        raise ValueError("a backbone without widths")
    return [int(str(one)) for one in found]


def build_dense(loaded: Loaded) -> DenseBuilt:
    """Nothing has been written or trained by then.

    Raises:
        RecipeError: with every problem found. DataError: an option that the data do not have.
    """
    recipe, problems = loaded.recipe, Problems(loaded)
    assert isinstance(recipe, MultiTaskRecipe)
    schemes = {name: lambda: SchemeOptions for name in SHARING}
    scheme = make_named(recipe.sharing, schemes, "sharing", problems)
    stages = make_named(recipe.backbone, {"stages": lambda: StageOptions}, "backbone", problems)
    if stages is not None and not fits(stages, recipe):
        message = "backbone.widths wants 2 to 4 stages of 8 channels or more, multiples of 8"
        problems.add("backbone.widths", message, code="recipe.value")
    method = method_of(recipe, problems)
    for key in ("guard", "groups"):
        if vars(recipe)[key]:
            problems.add(key, f"{key} is for tasks with rows, {recipe.data.source} has images")
    problems.raise_any()
    assert scheme is not None
    assert stages is not None
    assert method is not None
    options = make_options(find(recipe.data.source), recipe.data.options)
    assert isinstance(options, SceneOptions)
    resolved = resolve(recipe, stages, method, options)
    return DenseBuilt(resolved, method, problem_of(resolved), options)


def fits(stages: StageOptions, recipe: MultiTaskRecipe) -> bool:
    good = all(width >= 8 and width % 8 == 0 for width in stages.widths)
    return good and 2 <= len(stages.widths) <= 4


def method_of(recipe: MultiTaskRecipe, problems: Problems) -> DenseMethod | None:
    """How a step on all tasks is taken; None where problems were added."""
    weighting: Weighting | None = make_balancing(recipe.weighting, "weighting", problems)
    surgery: Surgery | None = None
    if recipe.surgery is not None:
        surgery = make_balancing(recipe.surgery, "surgery", problems)
    apart = recipe.sharing.name == APART
    if apart and isinstance(weighting, AutoLambda):
        problems.add("weighting.name", "auto-lambda weighs what tasks share", "sharing.name=hard")
    if apart and recipe.surgery is not None:
        problems.add("surgery.name", "networks apart have no shared parameters to balance")
    if apart and weighting is not None and weighting.needs_norms:
        problems.add("weighting.name", f"{recipe.weighting.name} needs a shared layer")
    wanted = None if surgery is None else surgery.weighting
    if wanted is not None and recipe.weighting.name != wanted:
        message = "a surgery balances the tasks itself"
        problems.add("surgery.name", message, f"weighting.name={wanted}")
    if problems.found or weighting is None:
        return None
    if isinstance(weighting, AutoLambda):
        return MetaWeighted(weighting=weighting)
    return MultiTask(weighting=weighting, surgery=surgery)


def resolve(
    recipe: MultiTaskRecipe, stages: StageOptions, method: DenseMethod, options: SceneOptions
) -> MultiTaskRecipe:
    """The recipe with every default written out."""
    plain = recipe.plain()
    plain["data"] = {"source": recipe.data.source, **written_out(options)}
    plain["backbone"] = {"name": recipe.backbone.name, **written_out(stages)}
    weighting = canonical(recipe.weighting.name)
    plain["weighting"] = {"name": weighting, **written_out(method.weighting)}
    surgery = method.surgery if isinstance(method, MultiTask) else None
    if recipe.surgery is not None and surgery is not None:
        plain["surgery"] = {"name": canonical(recipe.surgery.name), **written_out(surgery)}
    plain["train"] |= {"execution": "loop", "chunk": 1}
    return MultiTaskRecipe.model_validate(plain)
