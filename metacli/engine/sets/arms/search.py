"""How the settings of every arm are chosen on validation sets, whatever the tasks are: the same
sets, and as many candidates, for each arm that is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.engine.sets.arms.names import (
    JOINT,
    PENALTIES,
    PRETRAINED,
    RATES,
    SEPARATE,
    STEPS,
    TRAINED,
    TRUNK_RATES,
    TRUNK_STEPS,
)
from metacli.engine.sets.arms.tuned import Choices, Chosen, Tuned
from metacli.nn.set_problem import SetProblem
from metacli.types import Params, SetEpisode

Settings = Mapping[str, float]
Said = TypeVar("Said")  # what an arm says at the queries of sets
Sets = Mapping[int, SetEpisode]


@dataclass(frozen=True, kw_only=True)
class ArmSearch(ABC, Generic[Said]):
    """What is tuned, and on what.

    Args:
        points: numbers of points, or of examples of a class; `validation` has the sets of each.
        steps, trunk_steps: numbers of steps to choose from, from scratch and of the trunk.
        arms: of `TRAINED`; joint and separate are always there where they have a choice.
        stopped: whether to leave out what is still to come.
    """

    problem: SetProblem
    params: Params
    points: Sequence[int]
    validation: Callable[[int], SetEpisode]
    arms: Sequence[str] = TRAINED
    steps: Sequence[int] = STEPS
    trunk_steps: Sequence[int] = TRUNK_STEPS
    tick: Callable[[str], None] = lambda arm: None
    stopped: Callable[[], bool] = lambda: False

    @abstractmethod
    def variants(self) -> Sequence[Settings]:
        """The settings that the learner itself has to choose from."""

    @abstractmethod
    def adapted(self, settings: Settings, episodes: SetEpisode, sees: Tensor) -> Said:
        """What the learner says with these settings."""

    @abstractmethod
    def from_scratch(self, arm: str, episodes: SetEpisode, rate: float) -> Sequence[Said]:
        """What networks without a beginning say, after each number of `steps`."""

    @abstractmethod
    def trunks(self, rate: float) -> Sequence[Params]:
        """Trunks pretrained for each number of `trunk_steps`."""

    @abstractmethod
    def of_heads(self, trunk: Params, episodes: SetEpisode) -> Sequence[Said]:
        """What heads on a trunk say, with each of `PENALTIES`."""

    @abstractmethod
    def best(
        self, points: int, candidates: Iterator[tuple[Settings, Said]], episodes: SetEpisode
    ) -> Chosen:
        """The best candidate; of equal ones the first."""

    @property
    @abstractmethod
    def sign(self) -> float:
        """1 where a larger score is better, -1 for an error."""

    def tuned(self) -> Tuned:
        """Every arm's choices."""
        sets = {points: self.validation(points) for points in self.points}
        found: dict[str, tuple[Chosen, ...]] = {}
        trunk: Params = {}
        own = (JOINT, SEPARATE) if len(self.variants()) > 1 else ()
        for arm in (*own, *(one for one in TRAINED if one in self.arms)):
            if self.stopped():
                break
            self.tick(arm)
            if arm == PRETRAINED:
                found[arm], trunk = self.with_trunk(sets)
            else:
                found[arm] = tuple(
                    self.best(points, self.candidates(arm, episodes), episodes)
                    for points, episodes in sets.items()
                )
        first = next(iter(sets.values()))
        return Tuned(Choices(sets=len(first.roles), arms=found), trunk)

    def candidates(self, arm: str, episodes: SetEpisode) -> Iterator[tuple[Settings, Said]]:
        """Every setting of an arm with what it says."""
        if arm in (JOINT, SEPARATE):
            sees = (together if arm == JOINT else alone)(episodes.roles)
            for settings in self.variants():
                yield settings, self.adapted(settings, episodes, sees)
            return
        for rate in RATES:
            said = self.from_scratch(arm, episodes, rate)
            yield from (
                ({"rate": rate, "steps": steps}, one)
                for steps, one in zip(self.steps, said, strict=True)
            )

    def with_trunk(self, sets: Sets) -> tuple[tuple[Chosen, ...], Params]:
        """The trunk whose best heads are best, mean over the numbers of points."""
        tried: list[tuple[tuple[Chosen, ...], Params]] = []
        count = len(TRUNK_RATES) * len(self.trunk_steps) * len(PENALTIES)
        for rate in TRUNK_RATES:
            for steps, trunk in zip(self.trunk_steps, self.trunks(rate), strict=True):
                chosen = []
                for points, episodes in sets.items():
                    said = self.of_heads(trunk, episodes)
                    settings = [
                        {"rate": rate, "steps": steps, "penalty": penalty} for penalty in PENALTIES
                    ]
                    here = self.best(points, zip(settings, said, strict=True), episodes)
                    chosen.append(here.model_copy(update={"candidates": count}))
                tried.append((tuple(chosen), trunk))
        return max(tried, key=lambda one: self.sign * float(np.mean([c.score for c in one[0]])))
