"""Blocks of a recipe that name an entry of a table: names to dataclasses, options checked against
their fields. One truth about what a recipe may say."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from metacli.algorithms import find, names
from metacli.algorithms.learner import Learner
from metacli.engine.training.problems import Problems
from metacli.schema.blocks import Named

Made = TypeVar("Made")


def make_named(
    block: Named, table: Mapping[str, Callable[[], type[Made]]], key: str, problems: Problems
) -> Made | None:
    """The dataclass that a block names, with its options; None where a problem was added."""
    if block.name not in table:
        problems.unknown_name(f"{key}.name", block.name, list(table))
        return None
    return make_options(table[block.name](), block.options, key, problems)


def make_learner(block: Named, problems: Problems, key: str = "algorithm") -> Learner | None:
    """The learner of the table, its preset fields set; None where a problem was added."""
    entry = find(block.name, "meta")
    if entry is None:
        problems.unknown_name(f"{key}.name", block.name, names("meta"))
        return None
    preset = json.loads(json.dumps(dict(entry.preset)))  # a tuple is a list in a recipe
    for name in sorted(set(block.options) & set(preset)):
        if json.dumps(block.options[name]) != json.dumps(preset[name]):
            message = f"{key}.{name} is what {block.name} means: {entry.preset[name]}"
            problems.add(f"{key}.{name}", message, code="recipe.preset")
    return make_options(entry.load(), {**block.options, **preset}, key, problems)


def make_options(
    cls: type[Made], options: Mapping[str, JsonValue], key: str, problems: Problems
) -> Made | None:
    """An instance of the dataclass; None where problems were added: unknown keys, and values out
    of range. What is left over from another name is left out."""
    known = field_names(cls)
    unknown = [name for name in options if name not in known and not problems.left_over(key, name)]
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        keys = f"the keys are {', '.join(known)}" if known else "it has no keys but its name"
        hint = f"did you mean {key}.{near[0]}?" if near else keys
        message = f"unknown key {key}.{name}"
        problems.add(f"{key}.{name}", message, hint, code="recipe.unknown_key")
    try:
        made = parsed(cls, {name: value for name, value in options.items() if name in known})
    except ValidationError as error:
        for item in error.errors():
            name = ".".join([key, *map(str, item["loc"])])
            found = f"{name}: {item['msg'][:1].lower()}{item['msg'][1:]}, found {item['input']!r}"
            problems.add(name, found, code="recipe.value")
        return None
    return None if unknown else made


def parsed(cls: type[Made], options: Mapping[str, JsonValue]) -> Made:
    """An instance of the dataclass, from options that were checked before. By way of JSON: strict
    about types, and yet a list is a tuple and a whole number a float.

    Raises:
        ValidationError: a value that its field does not take.
    """
    return TypeAdapter(cls).validate_json(json.dumps(dict(options)), strict=True)


def replaced(made: Made, fields: Mapping[str, JsonValue], key: str, problems: Problems) -> Made:
    """A dataclass with some fields changed, as `make_options` checks them; itself where a problem
    was added."""
    if not fields:
        return made
    return make_options(type(made), {**written_out(made), **fields}, key, problems) or made


def written_out(made: object) -> dict[str, JsonValue]:
    """Every field of a dataclass as a recipe writes it, tuples as lists."""
    if not dataclasses.is_dataclass(made) or isinstance(made, type):
        raise TypeError(f"no dataclass: {made!r}")
    written: dict[str, JsonValue] = json.loads(json.dumps(dataclasses.asdict(made)))
    return written


def field_names(cls: type) -> list[str]:
    """What a block that is made into this dataclass may say."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"no dataclass: {cls!r}")
    return [field.name for field in dataclasses.fields(cls)]
