"""Which recipe `multitask` runs on a user's own files: the one that was asked for, or one that
suits what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.sources import load_multi_task
from metacli.engine.events import Note, Notice, Reporter
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.user_data import choose_recipe, with_data
from metacli.schema.load import Loaded, load

# What is shipped for data of the same form, and how it is called on other data.
SLOPES, HEADS = ("computer-buyers-mixed", "tables-random-slopes"), ("adult-hard", "tables-hard")
IMAGES = ("omniglot-alphabets-hard", "pictures-hard")
TEXTS, MANY_CLASSES = ("fdu-mtl-mean", "texts-mean-logistic"), ("fdu-mtl-soft", "texts-soft-l2")
SETTINGS = {
    SLOPES: [],
    HEADS: ["data.rows=64", "train.steps=1000"],
    IMAGES: ["data.rows=8"],
    TEXTS: [],
    MANY_CLASSES: ["data.rows=16"],
}


def choose_tasks(
    recipe: str | None, data: str | None, words: Sequence[str], report: Reporter
) -> Loaded:
    """As `choose_recipe`, for a set of tasks."""
    fit = partial(fitted, words=words, report=report)
    return choose_recipe(recipe, data, words, fit, "a table, a folder of tasks")


def fitted(data: str, words: Sequence[str], report: Reporter) -> Loaded:
    asked = with_data(load(SLOPES[0], words), data).recipe.data
    table, _ = load_multi_task(asked.source, asked.options, cache_root())
    for one in table.findings:
        if one.level == "warning":
            report(Notice(one.message, one.code))
    base, name = suits(table)
    loaded = with_data(load(base, [*SETTINGS[base, name], *words]), data)
    steps = loaded.recipe.train.steps
    report(
        Note(
            f"{data} holds {len(table.tasks)} tasks: training {name}, "
            f"{steps} step{'' if steps == 1 else 's'}",
            "recipe.chosen",
        )
    )
    return replace(loaded, name=name, header=f"{name}, fitted to {asked.source}")


def suits(table: MultiTaskData) -> tuple[str, str]:
    """Images need convolutions, texts a linear model for each task; two classes of texts, and
    regressions from rows of the tasks' own, are solved exactly; anything else shares a
    trunk."""
    if table.shape:
        return IMAGES
    if table.packed:
        return TEXTS if {len(one) for one in table.labels} == {2} else MANY_CLASSES
    exact = set(table.kinds) == {"regression"} and table.rows == "own"
    return SLOPES if exact else HEADS
