"""What is searched: `train.lr=1e-4..1e-2` is a range, `train.optimizer=adam,sgd` a choice, and any
other `KEY=VALUE` is fixed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from metacli.errors import UsageProblem

_RANGE = re.compile(r"([^.]\S*?|\.\d\S*?)\.\.(\S+)")
_LOG_FROM = 10.0  # a range whose ends differ by this factor is searched on a logarithmic scale


class Draw(Protocol):
    """The part of an optuna trial that is used here."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str: ...


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both ends are."""

    key: str
    low: float
    high: float
    whole: bool

    @property
    def log(self) -> bool:
        return self.low > 0 and self.high / self.low >= _LOG_FROM

    def draw(self, trial: Draw) -> str:
        """The value as it is written in a recipe."""
        if self.whole:
            return str(trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log))
        return f"{trial.suggest_float(self.key, self.low, self.high, log=self.log):.6g}"


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    key: str
    values: tuple[str, ...]

    def draw(self, trial: Draw) -> str:
        return trial.suggest_categorical(self.key, self.values)


@dataclass(frozen=True)
class Space:
    """What is searched, and the settings that are fixed."""

    searched: tuple[Range | Choice, ...]
    fixed: tuple[str, ...]

    def draw(self, trial: Draw) -> tuple[str, ...]:
        """Overrides of one training."""
        return (*self.fixed, *(f"{one.key}={one.draw(trial)}" for one in self.searched))


def parse_space(words: Sequence[str]) -> Space:
    """The space that `KEY=VALUE` words describe.

    Raises:
        UsageProblem: no word has a range or a choice; or ends that are no numbers, or the wrong
            way round.
    """
    searched: list[Range | Choice] = []
    fixed: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        if match := _RANGE.fullmatch(value):
            searched.append(_range(word, key, match[1], match[2]))
        elif "," in value and not value.startswith("["):
            searched.append(Choice(key, tuple(dict.fromkeys(value.split(",")))))
        else:
            fixed.append(word)
    if not searched:
        raise UsageProblem(
            "nothing to search: no setting has a range or several values",
            where="command line",
            hint="train.lr=1e-4..1e-2 is a range, train.optimizer=adam,sgd a choice",
        )
    return Space(tuple(searched), tuple(fixed))


def _range(word: str, key: str, low: str, high: str) -> Range:
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = math.nan, math.nan
    if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] < ends[1]):
        raise UsageProblem(
            f"{word!r} is not a range of numbers from low to high",
            where="command line",
            hint=f"{key}=1e-4..1e-2",
        )
    whole = all(re.fullmatch(r"[+-]?\d+", end) for end in (low, high))
    return Range(key, *ends, whole)
