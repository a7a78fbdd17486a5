"""Every kind of recipe: the table of kinds, and what holds for all of them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo

from metacli.schema.base import ORDER
from metacli.schema.blocks import Block, OpenBlock
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.multi_task import MultiTaskRecipe

Recipe = FewShotRecipe | MultiTaskRecipe | MetaMultiTaskRecipe
AnyKind = type[FewShotRecipe] | type[MultiTaskRecipe] | type[MetaMultiTaskRecipe]
KINDS: Mapping[str, AnyKind] = {
    "meta": FewShotRecipe,
    "multitask": MultiTaskRecipe,
    "meta-multitask": MetaMultiTaskRecipe,
}
_ANY_KIND: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, Field(discriminator="kind")])


def parse_recipe(raw: Mapping[str, object]) -> Recipe:
    """The recipe that plain values spell. `check.check` is for people: it names every problem.

    Raises:
        ValidationError: pydantic's own, with the keys as a recipe writes them.
    """
    kind = raw.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind].model_validate(raw)  # without the kind in front of every key
    return _ANY_KIND.validate_python(raw)


def own_keys(kind: str) -> tuple[str, ...]:
    """The keys that recipes of this kind have and some other kind has not."""
    others = [set(model.model_fields) for name, model in KINDS.items() if name != kind]
    shared = set.intersection(*others)
    return tuple(key for key in ORDER if key in set(KINDS[kind].model_fields) - shared)


def kinds_with(key: str) -> tuple[str, ...]:
    """The kinds of recipes that have a key."""
    return tuple(kind for kind, model in KINDS.items() if key in model.model_fields)


def fields() -> dict[str, FieldInfo]:
    """The fields of every kind, in the order of `ORDER`."""
    found = {name: field for model in KINDS.values() for name, field in model.model_fields.items()}
    return {name: found[name] for name in ORDER}


def valid_keys() -> tuple[str, ...]:
    """Every dotted key of the schema, such as `train.lr`, blocks themselves included."""
    keys: list[str] = []
    for name, field in fields().items():
        keys.append(name)
        block = block_of(field.annotation)
        if block is not None:
            gather = block.gather if issubclass(block, OpenBlock) else None
            keys += [f"{name}.{inner}" for inner in block.model_fields if inner != gather]
    return tuple(keys)


def block_of(annotation: object) -> type[Block] | None:
    """The block that a field holds, or None for a plain value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Block):
            return candidate
    return None
