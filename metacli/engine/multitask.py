"""`multitask`: learn many related tasks together, and see whether that helps each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from metacli.engine.events import Reporter, ignore
from metacli.engine.results.train import SeedsResult, TrainResult
from metacli.engine.training.multi_task.user_data import choose_tasks
from metacli.engine.training.request import Keywords, TrainRequest, fulfil, text_of
from metacli.schema.overrides import Overrides, spelled


def multitask(
    recipe: str | Path | None = None,
    overrides: Overrides = (),
    *,
    data: str | Path | None = None,
    resume: str | Path | None = None,
    seeds: int | None = None,
    seed: int | None = None,
    report: Reporter = ignore,
    **keywords: Unpack[Keywords],
) -> TrainResult | SeedsResult:
    """Train a recipe of kind multitask, then the same network for each task by itself and simple
    models of the same rows; training and validation rows only.

    Args:
        recipe: a shipped name, a YAML file, a run folder, or a table or folder of tasks, for which
            a recipe is chosen.
        overrides: settings over the recipe: `["train.steps=5"]` or `{"train.steps": 5}`.
        data: a data set by name, or a user's own files, instead of the recipe's.
        resume: a run to resume instead of a recipe.
        seed: of the recipe, replaced. seeds: train this many runs, with seeds from the recipe's on.
        keywords: `out`, `force`, `device`, `max_time`, `dry_run` as in `TrainOptions`; `fail_under`
            and `fail_over`: `metric=value` bounds of the validation.

    Returns:
        The `result` of the command line's JSON document; `tasks` has one row for each task.

    Raises:
        RecipeError, DataError: before anything is written.
        RunFailed: not finite, out of memory, disk full; the last good state is kept.
        Interrupted: a signal; the state is saved.
        CheckFailed: `fail_under` or `fail_over`.
    """
    names = (text_of(data), text_of(resume))
    request = TrainRequest(text_of(recipe), spelled(overrides), *names, seed, seeds, report)
    return fulfil(request, "multitask", choose_tasks, keywords)
