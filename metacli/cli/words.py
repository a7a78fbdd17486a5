"""Words of the command line that are more than one string: overrides, times, ranges, checks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import typer

from metacli.engine.shards.shard import parsed
from metacli.engine.spelling import typed
from metacli.errors import UsageProblem

_KEY = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")
_BLOCKS = {
    *("version", "kind", "seed", "data", "episodes", "backbone", "algorithm", "train", "evaluate"),
    *("expect", "sharing", "weighting", "surgery", "guard", "groups", "baselines"),
}
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LIST = re.compile(r"[1-9]\d*(-[1-9]\d*|(,[1-9]\d*)*)")


def split_overrides(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """(the other words, the overrides), both in order. A file named `a=b` is a file."""
    others: list[str] = []
    overrides: list[str] = []
    for word in words:
        key, equals, _ = word.partition("=")
        is_override = bool(equals) and bool(_KEY.fullmatch(key)) and not _exists(word)
        (overrides if is_override else others).append(word)
    return others, overrides


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False


def refuse_key_without_value(words: Sequence[str]) -> None:
    """`train.steps 200` was meant as `train.steps=200`: say so.

    Raises:
        UsageProblem: a word looks like a key of the recipe and is not a file.
    """
    for word, following in zip(words, [*words[1:], "VALUE"], strict=False):
        key = word.partition("=")[0]
        looks = _KEY.fullmatch(key) and "." in key and key.split(".")[0] in _BLOCKS
        if looks and not _exists(word):
            value = "VALUE" if _exists(following) else following
            raise no_equals(word, value)


def columns(target: str | None, inputs: str | None) -> list[str]:
    """`--target` and `--input` as the overrides that they stand for."""
    given = {"data.target": target, "data.input": inputs}
    return [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]


def no_equals(word: str, value: str = "VALUE") -> UsageProblem:
    return UsageProblem(
        f"{word!r} is not an override: it has no `=`",
        where="command line",
        hint=f"write {word}={value}",
    )


def seconds(words: str | None, option: str = "--max-time") -> float | None:
    """`90`, `90s`, `15m`, `2h` or `1h30m` in seconds; for `--max-time` and `--budget`."""
    if words is None:
        return None
    parts = _TIME.findall(words)
    total = sum(float(count) * _UNITS[unit] for count, unit in parts)
    if "".join(count + unit for count, unit in parts) != words or total <= 0:
        raise typer.BadParameter(
            f"{words!r} is not a time such as 90, 90s, 15m or 2h", param_hint=option
        )
    return total


def counts(words: str | None) -> str | None:
    """`5`, `3-20` or `1,2,5,10`, checked and passed on as it is; for `--way` and `--shot`."""
    if words is not None and not _LIST.fullmatch(words):
        raise typer.BadParameter(f"{words!r} is not a number, a range 3-20 or a list 1,2,5,10")
    return words


def checks(words: list[str] | None) -> list[str]:
    """`metric=value` words of `--fail-under` and `--fail-over`, the value a number."""
    for word in words or []:
        metric, equals, value = word.partition("=")
        try:
            good = bool(metric and equals) and float(value) == float(value)
        except ValueError:
            good = False
        if not good:
            raise typer.BadParameter(f"{word!r} is not metric=value, such as accuracy=0.9")
    return words or []


def doubts(words: list[str] | None) -> list[str]:
    """`guessing` and `hurts`; for `--fail-if`."""
    for word in words or []:
        if word not in ("guessing", "hurts"):
            raise typer.BadParameter(f"{word!r} is not guessing or hurts")
    return words or []


class Checks(TypedDict):
    """What makes the command fail after the model was written."""

    fail_under: Sequence[str]
    fail_over: Sequence[str]
    fail_if: Sequence[str]
    strict: bool


def checks_of(
    under: list[str] | None, over: list[str] | None, doubts: list[str] | None, *, strict: bool
) -> Checks:
    return Checks(fail_under=under or (), fail_over=over or (), fail_if=doubts or (), strict=strict)


class Reading(TypedDict):
    """How a user's files are read."""

    skip_bad: bool
    allow_duplicates: bool
    follow_links: bool
    fit_inputs: bool
    order: str | None


def reading(skip_bad: bool, duplicates: bool, links: bool, fit: bool, order: str | None) -> Reading:
    return Reading(
        skip_bad=skip_bad,
        allow_duplicates=duplicates,
        follow_links=links,
        fit_inputs=fit,
        order=order,
    )


def typed_again(
    target: str | None, inputs: str | None, kind: str | None, read: Reading
) -> tuple[list[str], list[str]]:
    """What was said of the task of `adapt`: the options that `inspect` has too, and the others."""
    flags = {"skip_bad": read["skip_bad"], "allow_duplicates": read["allow_duplicates"]}
    stated = typed(target=target, input=inputs, follow_links=read["follow_links"])
    return stated, typed(type=kind, order=read["order"], **flags)


class How(TypedDict):
    """How tasks are scored, and which of them are adapted to."""

    folds: int | None
    compare: bool | None
    new_only: bool
    shard: str | None
    standalone: bool


def how(
    folds: int | None, compare: bool | None, new_only: bool, shard: str | None, standalone: bool
) -> How:
    return How(folds=folds, compare=compare, new_only=new_only, shard=shard, standalone=standalone)


def probability(words: str | None) -> str | float | None:
    """`auto` or a number in 0..1; for `--reject`."""
    if words is None or words == "auto":
        return words
    return _fraction(words, "auto or a probability between 0 and 1", "--reject", ends=True)


def fraction(words: str | None) -> float | None:
    """A number strictly between 0 and 1; for `--holdout`."""
    if words is None:
        return None
    return _fraction(words, "a fraction between 0 and 1", "--holdout", ends=False)


def _fraction(words: str, wanted: str, option: str, *, ends: bool) -> float:
    try:
        value = float(words)
    except ValueError:
        value = -1.0
    inside = 0 <= value <= 1 if ends else 0 < value < 1
    if not inside:
        raise typer.BadParameter(f"{words!r} is not {wanted}", param_hint=option)
    return value


def device(word: str) -> str:
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`; whether it is there is asked later."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", word):
        raise typer.BadParameter(f"{word!r} is not auto, cpu, cuda, cuda:N or mps")
    return word


def shard(given: str | None) -> str | None:
    """`2/8`. Raises UsageProblem."""
    parsed(given)
    return given
