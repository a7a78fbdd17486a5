"""The settings of every arm, chosen by the error on validation sets: the same sets, and as many
candidates, for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import SetLearner, alone, together
from metacli.engine.sets.arms.names import (
    JOINT,
    MULTI_TASK,
    PENALTIES,
    PRETRAINED,
    RATES,
    SEED,
    SEPARATE,
    STEPS,
    TRAINED,
    TRUNK_RATES,
    TRUNK_STEPS,
)
from metacli.engine.sets.arms.pretraining import SETS as TRUNK_SETS
from metacli.engine.sets.arms.pretraining import pretrained, ridge_answers
from metacli.engine.sets.arms.scratch import trained
from metacli.engine.sets.arms.tuned import Choices, Chosen, Tuned
from metacli.engine.sets.scoring import answers_of
from metacli.nn.set_problem import SetProblem
from metacli.types import Params, SetEpisode

SETS = 32
Settings = Mapping[str, float]
Candidate = tuple[Settings, Tensor]  # settings, and what they say at the queries, [B, T, Q]
BatchAt = Callable[[int], SetEpisode]


@dataclass(frozen=True)
class Tuning:
    """What is tuned, and on what.

    Args:
        validation: number of points -> validation sets. training: meta-batches.
        steps, trunk_steps: numbers of steps to choose from, from scratch and of the trunk, which
            sees `trunk_sets` sets.
        arms: of `TRAINED`; joint and separate are always there where they have a choice.
        stopped: whether to leave out what is still to come.
    """

    learner: SetLearner
    problem: SetProblem
    params: Params
    points: Sequence[int]
    validation: Callable[[int], SetEpisode]
    training: BatchAt
    arms: Sequence[str] = TRAINED
    steps: Sequence[int] = STEPS
    trunk_steps: Sequence[int] = TRUNK_STEPS
    trunk_sets: int = TRUNK_SETS
    tick: Callable[[str], None] = lambda arm: None
    stopped: Callable[[], bool] = lambda: False

    def tuned(self) -> Tuned:
        """Every arm's choices."""
        sets = {points: self.validation(points) for points in self.points}
        found: dict[str, tuple[Chosen, ...]] = {}
        trunk: Params = {}
        for arm in self.wanted():
            if self.stopped():
                break
            self.tick(arm)
            if arm == PRETRAINED:
                found[arm], trunk = self.with_trunk(sets)
            else:
                found[arm] = tuple(
                    best(points, self.candidates(arm, episodes), episodes)
                    for points, episodes in sets.items()
                )
        first = next(iter(sets.values()))
        return Tuned(Choices(sets=len(first.roles), arms=found), trunk)

    def wanted(self) -> tuple[str, ...]:
        own = (JOINT, SEPARATE) if len(self.learner.variants()) > 1 else ()
        return (*own, *(arm for arm in TRAINED if arm in self.arms))

    def candidates(self, arm: str, episodes: SetEpisode) -> Iterator[Candidate]:
        """Every setting of an arm with what it says."""
        if arm in (JOINT, SEPARATE):
            sees = (together if arm == JOINT else alone)(episodes.roles)
            for settings in self.learner.variants():
                answer = answers_of(self.learner.varied(settings), self.problem, self.params)
                yield settings, answer(episodes, sees).mean
            return
        for rate in RATES:
            said = trained(
                episodes, shared=arm == MULTI_TASK, rate=rate, steps=self.steps, seed=SEED
            )
            yield from (
                ({"rate": rate, "steps": steps}, mean)
                for steps, mean in zip(self.steps, said, strict=True)
            )

    def with_trunk(self, sets: Mapping[int, SetEpisode]) -> tuple[tuple[Chosen, ...], Params]:
        """The trunk whose best heads have the least error, mean over the numbers of points."""
        tried: list[tuple[tuple[Chosen, ...], Params]] = []
        count = len(TRUNK_RATES) * len(self.trunk_steps) * len(PENALTIES)
        for rate in TRUNK_RATES:
            trunks = pretrained(
                self.training, rate=rate, steps=self.trunk_steps, seed=SEED, sets=self.trunk_sets
            )
            for steps, trunk in zip(self.trunk_steps, trunks, strict=True):
                chosen = []
                for points, episodes in sets.items():
                    said = ridge_answers(trunk, episodes, PENALTIES)
                    settings = [
                        {"rate": rate, "steps": steps, "penalty": penalty} for penalty in PENALTIES
                    ]
                    here = best(points, zip(settings, said, strict=True), episodes)
                    chosen.append(here.model_copy(update={"candidates": count}))
                tried.append((tuple(chosen), trunk))
        return min(tried, key=lambda one: float(np.mean([each.score for each in one[0]])))


def best(points: int, candidates: Iterator[Candidate], episodes: SetEpisode) -> Chosen:
    """The candidate with the least error; one that is not finite is never it."""
    tried = [
        (float((mean - episodes.query.y).square().double().mean().nan_to_num(np.inf)), settings)
        for settings, mean in candidates
    ]
    error, settings = min(tried, key=lambda one: one[0])
    return Chosen(points=points, settings=settings, mse=error, candidates=len(tried))
