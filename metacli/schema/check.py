"""Plain values to a Recipe, or to every problem with them in the user's words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from metacli.schema.base import ORDER
from metacli.schema.blocks import OpenBlock
from metacli.schema.recipe import (
    KINDS,
    Recipe,
    block_of,
    fields,
    kinds_with,
    own_keys,
    valid_keys,
)

_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "string_too_short": "text that is not empty",
}


MAX_TROUBLES = 50  # the rest is counted


class Trouble(NamedTuple):
    """One problem of a recipe; `key` is the dotted key it is about."""

    key: str
    code: str
    message: str
    hint: str | None = None


def check(raw: Mapping[str, JsonValue]) -> tuple[Recipe | None, list[Trouble]]:
    """The recipe that `raw` spells, or None and all that is wrong with it."""
    kind, troubles = _kind_of(raw)
    foreign = [key for key in ORDER if key in raw and key not in KINDS[kind].model_fields]
    missing = [key for key in own_keys(kind) if KINDS[kind].model_fields[key].is_required()]
    missing = [key for key in missing if raw.get(key) is None]
    if not troubles:
        troubles += [_foreign(key, kind) for key in foreign]
        troubles += [_missing(key) for key in missing]
    kept = {key: value for key, value in raw.items() if key not in (*foreign, *missing)}
    recipe = None
    try:
        recipe = KINDS[kind].model_validate({**kept, "kind": kind})
    except ValidationError as error:
        details = error.errors(include_url=False)
        details = [one for one in details if ".".join(map(str, one["loc"])) not in missing]
        troubles += [_trouble(detail) for detail in details[:MAX_TROUBLES]]
        if more := len(details[MAX_TROUBLES:]):
            troubles.append(Trouble("", "recipe.invalid", f"and {more} more problems"))
    if recipe is not None:
        troubles += _cross_checks(recipe)
    return (None if troubles else recipe), troubles


def nearest(word: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, if any is alike."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return close[0] if close else None


def nearest_key(key: str) -> str | None:
    """The valid key most like a dotted `key`: first in its own block, then anywhere."""
    parent, _, word = key.rpartition(".")
    known = tuple(name for name in valid_keys() if name != parent or not is_block(parent))
    own = {name.rpartition(".")[2]: name for name in _siblings(parent)}
    if near := nearest(word, tuple(own)):
        return own[near]
    if near := nearest(key, known, 0.75):
        return near
    anywhere = {name.rpartition(".")[2]: name for name in reversed(known)}
    near = nearest(word, tuple(anywhere), 0.75)
    return anywhere[near] if near else None


def _siblings(parent: str) -> list[str]:
    return [name for name in valid_keys() if name.rpartition(".")[0] == parent]


def unknown_key(key: str) -> Trouble:
    """The problem that there is no such key, with the nearest one or the keys of its block."""
    near, siblings = nearest_key(key), _siblings(key.rpartition(".")[0])
    if near == key:  # a file with a dotted key, which only the command line has
        block, _, inner = key.partition(".")
        hint: str | None = f"write {block}: {{{inner}: ...}}"
    elif near:
        hint = f"did you mean {near}?"
    elif siblings:
        hint = "keys here: " + ", ".join(name.rpartition(".")[2] for name in siblings)
    else:
        hint = None
    return Trouble(key, "recipe.unknown_key", f"unknown key {key}", hint)


def is_open(block: str) -> bool:
    """Whether a block takes keys that the schema does not know."""
    field = fields().get(block)
    model = block_of(field.annotation) if field else None
    return model is not None and issubclass(model, OpenBlock)


def is_block(name: str) -> bool:
    field = fields().get(name)
    return field is not None and block_of(field.annotation) is not None


def _kind_of(raw: Mapping[str, JsonValue]) -> tuple[str, list[Trouble]]:
    """The kind that a recipe names; otherwise the trouble, and the kind whose keys it has most
    of, so that its other problems can be reported too."""
    kind = raw.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return kind, []
    likely = max(KINDS, key=lambda name: len(set(own_keys(name)) & set(raw)))
    if "kind" not in raw:
        return likely, [_missing("kind")]
    wanted = f"must be {' or '.join(', '.join(KINDS).rsplit(', ', 1))}"
    near = nearest(kind, tuple(KINDS)) if isinstance(kind, str) else None
    hint = f"did you mean {near}?" if near else None
    return likely, [Trouble("kind", "recipe.invalid", f"kind {wanted}, found {_shown(kind)}", hint)]


def _foreign(key: str, kind: str) -> Trouble:
    others = " or ".join(kinds_with(key))
    return Trouble(
        key,
        "recipe.kind",
        f"{key} belongs to kind {others}, this recipe is of kind {kind}",
        f"remove {key}, or write kind: {others}",
    )


def _cross_checks(recipe: Recipe) -> list[Trouble]:
    """Settings that would silently do nothing."""
    train, troubles = recipe.train, []
    if train.momentum and train.optimizer != "sgd":
        troubles.append(
            Trouble(
                "train.momentum",
                "recipe.invalid",
                f"train.momentum is for train.optimizer sgd, which is {train.optimizer}",
                "train.momentum=0 or train.optimizer=sgd",
            )
        )
    if train.schedule == "step" and train.schedule_every is None:
        troubles.append(
            Trouble(
                "train.schedule",
                "recipe.missing_key",
                "train.schedule step needs train.schedule_every, the steps between two drops",
                f"train.schedule_every={max(1, train.steps // 5)}",
            )
        )
    if train.schedule != "step" and train.schedule_every is not None:
        troubles.append(
            Trouble(
                "train.schedule_every",
                "recipe.invalid",
                f"train.schedule_every is for train.schedule step, which is {train.schedule}",
                "train.schedule_every=null or train.schedule=step",
            )
        )
    return troubles


def _missing(key: str) -> Trouble:
    block = is_block(key)
    example = {
        "kind": "kind: meta",
        "data": "data: {source: glyphs}",
        "episodes": "episodes: {way: 5, shot: 1, query: 15}",
        "sets": "sets: {points: [3, 20], query: 8}",
        "backbone": "backbone: {name: conv4}",
        "algorithm": "algorithm: {name: protonet}",
        "train": "train: {steps: 600}",
    }.get(key, f"{key}: {{name: ...}}" if block else None)
    hint = f"add {example}" if example else None
    return Trouble(key, "recipe.missing_key", f"{key} is missing", hint)


def _trouble(detail: ErrorDetails) -> Trouble:
    key = _key(detail["loc"])
    kind, found = detail["type"], detail["input"]
    if kind == "missing":
        return _missing(key)
    if kind == "extra_forbidden":
        return unknown_key(key)
    if kind == "recipe_value":
        wanted = str(detail["msg"])
    elif kind == "literal_error":
        wanted = "must be " + str(detail["ctx"]["expected"]).replace("'", "")
    elif kind in ("model_type", "dict_type", "model_attributes_type"):
        wanted = "must be a block of keys"
    elif kind in _WANTED:
        wanted = "must be " + _WANTED[kind]
    else:
        wanted = str(detail["msg"]).replace("Input should be", "must be")
    message = f"{key} {wanted}, found {_shown(found)}"
    return Trouble(key, "recipe.invalid", message, _value_hint(key, kind, found, detail))


def _value_hint(key: str, kind: str, found: object, detail: ErrorDetails) -> str | None:
    if kind == "literal_error" and isinstance(found, str):
        near = nearest(found, [word.strip(" '") for word in _words(detail["ctx"]["expected"])])
        return f"did you mean {near}?" if near else None
    if kind == "int_type" and isinstance(found, float) and found.is_integer():
        return f"write {int(found)}"
    if kind in ("int_type", "float_type") and isinstance(found, str) and _is_number(found):
        return "write it without quotes"
    if kind == "model_type" and isinstance(found, str):
        word = "source" if key == "data" else "name"
        return f"write {key}: {{{word}: {found}}}" if is_open(key) else None
    return None


def _words(expected: object) -> list[str]:
    return str(expected).replace(" or ", ", ").split(", ")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key(loc: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in loc]
    if len(parts) > 1 and is_open(parts[0]) and parts[1] in ("options", "replace"):
        del parts[1]  # where the model gathers an open block's keys; the file has no such level
    return ".".join(parts)


def _shown(value: object) -> str:
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
