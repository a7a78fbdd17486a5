"""The one file that goes from the kind of a recipe to the run that trains it."""

from __future__ import annotations

from typing import assert_never

from metacli.engine.dense.build import build_dense, is_dense
from metacli.engine.dense.run import DenseRun
from metacli.engine.events import Reporter, ignore
from metacli.engine.generated_tables.run import make_tables_run
from metacli.engine.sets.class_build import build_class_sets, has_classes
from metacli.engine.sets.class_run import ClassSetRun
from metacli.engine.sets.run import SetRun, make_set_run
from metacli.engine.training.few_shot.run import FewShotRun, make_few_shot_run
from metacli.engine.training.few_shot.sources import has_generated_tables
from metacli.engine.training.multi_task.run import MultiTaskRun, make_multi_task_run
from metacli.engine.training.other_source import on_other_source
from metacli.engine.training.runs import Run
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import Recipe


def make_run(loaded: Loaded, device: str = "cpu", report: Reporter = ignore) -> Run:
    """A recipe made into a run that is ready to train; nothing is written.

    Args:
        device: the kind that it is to be trained on.

    Raises:
        RecipeError, DataError: everything that can be wrong with the recipe or its data.
    """
    loaded = on_other_source(loaded)
    match loaded.recipe:
        case FewShotRecipe() as tasks:
            if has_generated_tables(tasks):
                return make_tables_run(loaded, device)
            return make_few_shot_run(loaded, device)
        case MultiTaskRecipe() as tasks:
            return DenseRun(build_dense(loaded)) if is_dense(tasks) else make_multi_task_run(loaded)
        case MetaMultiTaskRecipe() as recipe:
            if has_classes(recipe):
                return ClassSetRun(build_class_sets(loaded, report))
            return make_set_run(loaded)
        case other:
            assert_never(other)


def verb_of(recipe: Recipe) -> str:
    """The command that trains a recipe of this kind."""
    match recipe:
        case FewShotRecipe():
            return FewShotRun.verb
        case MultiTaskRecipe():
            return MultiTaskRun.verb
        case MetaMultiTaskRecipe():
            return SetRun.verb
        case other:
            assert_never(other)
