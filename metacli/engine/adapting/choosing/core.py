"""Choosing among candidates on folds, with the choice repeated inside every fold that is scored.

The best of many scores is too good: some candidate is lucky. So each outer fold chooses again, on
inner folds of what it does not hold out, and the printed score is that of the whole procedure
(S. Varma, R. Simon, "Bias in error estimation when using cross-validation for model selection",
BMC Bioinformatics 2006). The choice that is kept is made in the same way on all examples.

What is compared is log loss (of a regression the squared error), which depends on every example by
how sure an answer was, where accuracy knows a few steps only. Losses that differ by less than
`TIE` standard errors are a tie, which the simpler candidate wins; a candidate may have a `margin`
of its own, where more is known of it than a few folds tell.

Letters: M examples, N classes (or 1), S settings, C candidates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

import numpy as np

from metacli.engine.adapting.choosing.log_loss import suited
from metacli.engine.adapting.splits import Split, stratified_folds

INNER = 3  # folds inside a fold
TIE = 0.5  # standard errors of the mean difference
HOPELESS = 3.0  # times what is left, where a first fold says so; it may be slower than the others

Setting = TypeVar("Setting")
Explore = Callable[[np.ndarray, np.ndarray], Mapping[Setting, np.ndarray]]
"""(rows to adapt on, rows to answer for) -> of every setting the logits, or values, [m, N]."""
ExploreEach = Callable[[Sequence[Split]], list[Mapping[Setting, np.ndarray]]]
"""The same of several pairs of such rows."""


@dataclass(frozen=True)
class Candidate(Generic[Setting]):
    """A source with a head.

    Args:
        name: for people.
        explore: adapts it in every setting.
        usual: the setting where there is nothing to choose on.
        explore_each: what takes less time than `explore` of each; None: there is no such thing.
        margin: standard errors by which a later one has to be better.
    """

    name: str
    explore: Explore[Setting]
    usual: Setting
    explore_each: ExploreEach[Setting] | None = None
    margin: float = TIE


@dataclass(frozen=True)
class Targets:
    """What the candidates are judged on: labels [M], or values [M] of a regression."""

    y: np.ndarray
    regression: bool = False

    def losses(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Of each row, [m]: squared error, or log loss at the temperature that suits all of these
        rows best, so that heads are not compared by how sure they are in general."""
        if self.regression:
            result: np.ndarray = np.square(answers[:, 0] - self.y[rows])
            return result
        return suited(answers, self.y[rows])

    def folds(self, rows: np.ndarray, seed: int) -> list[Split]:
        """A few of these rows, in numbers of all examples; none where each class has one."""
        y = np.zeros(len(rows), int) if self.regression else self.y[rows]
        return [
            Split(rows[one.support], rows[one.query]) for one in stratified_folds(y, seed, INNER)
        ]


@dataclass(frozen=True)
class Tried(Generic[Setting]):
    """A candidate on every outer split.

    Args:
        inner: of each split, the loss of each inner row [m] in the setting that was best there;
            empty where nothing could be held out.
        answers: of each split, what that setting says of the rows held out, [m, N].
        setting: the best one on all outer splits; `losses` are its own there, [rows], and `said`
            what it says of each split's rows held out, [m, N].
        seconds: of processor time.
    """

    candidate: Candidate[Setting]
    inner: tuple[np.ndarray, ...]
    answers: tuple[np.ndarray, ...]
    setting: Setting
    losses: np.ndarray
    said: tuple[np.ndarray, ...]
    seconds: float


@dataclass(frozen=True)
class Choice(Generic[Setting]):
    """What was chosen.

    Args:
        chosen: a number of `tried`; `per_split` is what each outer split chose for itself.
        answers: what those said of the rows they held out, [rows, N]: never the best of many.
        left_out: candidates for which there was no time.
    """

    tried: tuple[Tried[Setting], ...]
    chosen: int
    per_split: tuple[int, ...]
    answers: np.ndarray | None
    left_out: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def best(self) -> Tried[Setting]:
        return self.tried[self.chosen]


def choose(
    candidates: Sequence[Candidate[Setting]],
    targets: Targets,
    splits: Sequence[Split],
    *,
    default: int,
    seed: int,
    budget: float,
    clock: Callable[[], float],
    tell: Callable[[str], None] = lambda name: None,
) -> Choice[Setting]:
    """The best candidate in its best setting.

    Args:
        candidates: the simplest first.
        splits: outer ones; none where nothing can be held out.
        default: the candidate where there is nothing to choose on. It is tried whatever it costs.
        budget: seconds of `clock` for all of them; what would take longer is left out.
        tell: called with the name of each before it is tried.
    """
    begin = clock()
    tried: dict[int, Tried[Setting]] = {}
    left_out: list[str] = []
    order = [default, *(number for number in range(len(candidates)) if number != default)]
    for number in order:
        one = candidates[number]
        tell(one.name)
        left = None if number == default else budget - (clock() - begin)
        found = attempt(one, targets, splits, seed, left, clock)
        if found is None:
            left_out.append(one.name)
        else:
            tried[number] = found
    numbers = sorted(tried)
    every, start = tuple(tried[number] for number in numbers), numbers.index(default)
    enough = bool(splits) and all(len(part) for one in every for part in one.inner)
    margins = [one.candidate.margin for one in every]
    chosen = simplest([one.losses for one in every], start, margins) if enough else start
    per_split = tuple(
        simplest([one.inner[number] for one in every], start, margins)
        for number in range(len(splits))
    )
    answers = [every[pick].answers[number] for number, pick in enumerate(per_split)]
    return Choice(
        every,
        chosen,
        per_split,
        np.concatenate(answers) if answers else None,
        tuple(left_out),
        clock() - begin,
    )


def attempt(
    candidate: Candidate[Setting],
    targets: Targets,
    splits: Sequence[Split],
    seed: int,
    left: float | None,
    clock: Callable[[], float],
) -> Tried[Setting] | None:
    """A candidate on every split; None where the first ones show that it would take longer than
    what is `left`."""
    begin = clock()
    if left is not None and left <= 0:
        return None
    inner, answers, outer = [], [], []
    parts = [[*targets.folds(split.support, seed), split] for split in splits]
    said = deque[Mapping[Setting, np.ndarray]]()  # of the parts that come next
    for number, part in enumerate(parts):
        if number == 0:
            said.append(candidate.explore(part[0].support, part[0].query))
            whole = (clock() - begin) * sum(map(len, parts))
            if left is not None and whole > HOPELESS * left:
                return None  # what takes hours is not tried on a whole split
            if candidate.explore_each is not None and (left is None or whole <= left):
                said += candidate.explore_each(list(chain.from_iterable(parts))[1:])
        while len(said) < len(part):
            asked = part[len(said)]
            said.append(candidate.explore(asked.support, asked.query))
        *folds, held = (said.popleft() for _ in part)
        losses = losses_of(folds, [fold.query for fold in part[:-1]], targets)
        setting = lowest(losses, candidate.usual)
        inner.append(losses[setting] if losses else np.zeros(0))
        answers.append(held[setting])
        outer.append(held)
        spent = clock() - begin
        if left is not None and spent / (number + 1) * len(splits) > left:
            return None
    over = losses_of(outer, [split.query for split in splits], targets)
    enough = bool(splits) and all(len(one) for one in inner)
    setting = lowest(over, candidate.usual) if enough else candidate.usual
    own, told = over.get(setting, np.zeros(0)), tuple(one[setting] for one in outer)
    return Tried(candidate, tuple(inner), tuple(answers), setting, own, told, clock() - begin)


def losses_of(
    said: Sequence[Mapping[Setting, np.ndarray]], rows: Sequence[np.ndarray], targets: Targets
) -> dict[Setting, np.ndarray]:
    """Losses of each setting on the rows of several answers, in their order."""
    if not said:
        return {}
    every = np.concatenate(rows)
    return {
        setting: targets.losses(np.concatenate([one[setting] for one in said]), every)
        for setting in said[0]
    }


def lowest(losses: Mapping[Setting, np.ndarray], usual: Setting) -> Setting:
    """The setting with the smallest mean loss, the first of equal ones; `usual` without any."""
    return min(losses, key=lambda one: float(losses[one].mean())) if losses else usual


def simplest(losses: Sequence[np.ndarray], default: int, margins: Sequence[float]) -> int:
    """The first candidate whose loss ties with the smallest; `default` without any losses."""
    if not all(len(one) for one in losses):
        return default
    best = min(range(len(losses)), key=lambda number: float(losses[number].mean()))
    for number, one in enumerate(losses[:best]):
        difference = one - losses[best]
        error = float(difference.std(ddof=1)) / len(one) ** 0.5 if len(one) > 1 else 0.0
        if float(difference.mean()) <= margins[number] * error:
            return number
    return best
