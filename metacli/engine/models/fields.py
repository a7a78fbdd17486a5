"""Fields of a learner that the command line changes, checked as those of a recipe are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metacli.engine.models.model import FewShotModel
from metacli.engine.training.build import make_options
from metacli.errors import Finding, UsageProblem
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
    learner: Any, recipe: Recipe, way: int, overrides: Sequence[str]
) -> dict[str, Any]:
    """The fields that `KEY=VALUE` overrides name.

    Raises:
        UsageProblem: not KEY=VALUE. RecipeError: no such field, or a value out of range.
    """
    fields: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageProblem(f"{text!r} is not KEY=VALUE", hint="such as inner_steps=10")
        fields[key.removeprefix("algorithm.")] = read_value(value, "command line")
    loaded = Loaded(recipe, "model", None, "", "command line", overridden=frozenset())
    current = vars(learner)
    findings: list[Finding] = []
    made = make_options(learner.__class__, {**current, **fields}, "algorithm", loaded, findings)
    if made is not None:
        findings += head_problems(learner, made, way, loaded)
    if findings:
        raise loaded.error(findings)
    return fields


def head_problems(before: Any, after: Any, way: int, loaded: Loaded) -> list[Finding]:
    """A head can be left out, but not be had where none was trained."""
    wanted = after.head_size(way)
    if wanted is None or wanted == before.head_size(way):
        return []
    message = f"algorithm.head={after.head} needs a head that this model was not trained with"
    return [loaded.finding("algorithm.head", message, code="recipe.value", hint="train it so")]
