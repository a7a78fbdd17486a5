"""Fields of a learner that the command line changes, checked as those of a recipe are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from metacli.algorithms.learner import Adapter
from metacli.engine.models.model import FewShotModel
from metacli.engine.training.options import replaced, written_out
from metacli.engine.training.problems import Problems
from metacli.errors import UsageProblem
from metacli.schema.load import Loaded
from metacli.schema.recipe import Recipe
from metacli.schema.yaml import read_value


def with_fields(model: FewShotModel, overrides: Sequence[str]) -> FewShotModel:
    """The model with its learner's fields replaced. Raises RecipeError, UsageProblem."""
    fields = checked_fields(model.learner(), model.recipe, model.way, overrides)
    evaluate = model.recipe.evaluate
    changed = evaluate.model_copy(update={"replace": {**evaluate.replace, **fields}})
    return replace(model, recipe=model.recipe.model_copy(update={"evaluate": changed}))


def checked_fields(
    learner: Adapter, recipe: Recipe, way: int, overrides: Sequence[str]
) -> dict[str, JsonValue]:
    """The fields that `KEY=VALUE` overrides name.

    Raises:
        UsageProblem: not KEY=VALUE. RecipeError: no such field, or a value out of range.
    """
    fields: dict[str, JsonValue] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageProblem(f"{text!r} is not KEY=VALUE", hint="such as inner_steps=10")
        fields[key.removeprefix("algorithm.")] = read_value(value, "command line")
    loaded = Loaded(recipe, "model", None, "", "command line", overridden=frozenset())
    problems = Problems(loaded)
    made = replaced(learner, fields, "algorithm", problems)
    problems.raise_any()
    require_head(learner, made, way, problems)
    return fields


def require_head(before: Adapter, after: Adapter, way: int, problems: Problems) -> None:
    """A head can be left out, but not be had where none was trained. Raises RecipeError."""
    wanted = after.head_size(way)
    if wanted is None or wanted == before.head_size(way):
        return
    head = written_out(after).get("head")
    message = f"algorithm.head={head} needs a head that this model was not trained with"
    problems.add("algorithm.head", message, "train it so", code="recipe.value")
    problems.raise_any()
