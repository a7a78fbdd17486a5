"""The settings of every arm of sets of classifications, chosen by the accuracy on validation sets:
the same sets, and as many candidates, for each arm that is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from metacli.algorithms.meta_multitask.protocol import ClassSetLearner, alone, together
from metacli.data.sets.classes import ClassSets
from metacli.engine.sets.arms.class_pretraining import class_pretrained, class_ridge
from metacli.engine.sets.arms.class_scratch import class_trained
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
from metacli.engine.sets.arms.tuned import Choices, Chosen, Tuned
from metacli.engine.sets.arms.tuning import Settings
from metacli.engine.sets.class_scoring import class_scored
from metacli.nn.encoded_attention import EncodedAttention
from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers
from metacli.nn.set_problem import SetProblem
from metacli.nn.trunk_classes import TrunkClasses
from metacli.types import Params, SetEpisode

SETS = 8
Candidate = tuple[Settings, SetAnswers]


class Encoded(NamedTuple):
    """The backbone of a network of classes, and whether class n is the same in every task."""

    encoder: Problem
    shared_labels: bool


def encoded_of(problem: SetProblem) -> Encoded:
    network = problem.network
    assert isinstance(network, EncodedAttention | TrunkClasses)
    return Encoded(network.encoder, network.shared_labels)


@dataclass(frozen=True)
class ClassTuning:
    """What is tuned, and on what.

    Args:
        shots: numbers of examples of a class. validation: of each, the validation sets.
        training: what a trunk is pretrained on.
        steps, trunk_steps: numbers of steps to choose from, from scratch and of the trunk.
        arms: of `TRAINED`; joint and separate are always there where they have a choice.
        stopped: whether to leave out what is still to come.
    """

    learner: ClassSetLearner
    problem: SetProblem
    params: Params
    shots: Sequence[int]
    validation: Callable[[int], SetEpisode]
    training: ClassSets
    arms: Sequence[str] = TRAINED
    steps: Sequence[int] = STEPS
    trunk_steps: Sequence[int] = TRUNK_STEPS
    tick: Callable[[str], None] = lambda arm: None
    stopped: Callable[[], bool] = lambda: False

    def tuned(self) -> Tuned:
        """Every arm's choices."""
        sets = {shot: self.validation(shot) for shot in self.shots}
        found: dict[str, tuple[Chosen, ...]] = {}
        trunk: Params = {}
        own = (JOINT, SEPARATE) if len(self.learner.variants()) > 1 else ()
        for arm in (*own, *(one for one in TRAINED if one in self.arms)):
            if self.stopped():
                break
            self.tick(arm)
            if arm == PRETRAINED:
                found[arm], trunk = self.with_trunk(sets)
            else:
                found[arm] = tuple(
                    best_of_classes(shot, self.candidates(arm, episodes), episodes)
                    for shot, episodes in sets.items()
                )
        first = next(iter(sets.values()))
        return Tuned(Choices(sets=len(first.roles), arms=found), trunk)

    def candidates(self, arm: str, episodes: SetEpisode) -> Iterator[Candidate]:
        """Every setting of an arm with what it says."""
        if arm in (JOINT, SEPARATE):
            sees = (together if arm == JOINT else alone)(episodes.roles)
            for settings in self.learner.variants():
                varied = self.learner.varied(settings)
                with torch.no_grad():
                    yield settings, varied.respond(self.problem, self.params, episodes, sees)
            return
        encoder, shared_labels = encoded_of(self.problem)
        for rate in RATES:
            said = class_trained(
                encoder,
                episodes,
                shared=arm == MULTI_TASK,
                shared_labels=shared_labels,
                rate=rate,
                steps=self.steps,
                seed=SEED,
            )
            yield from (
                ({"rate": rate, "steps": steps}, one)
                for steps, one in zip(self.steps, said, strict=True)
            )

    def with_trunk(self, sets: dict[int, SetEpisode]) -> tuple[tuple[Chosen, ...], Params]:
        """The trunk whose best heads are right most often, mean over the numbers of examples."""
        encoder = encoded_of(self.problem).encoder
        tried: list[tuple[tuple[Chosen, ...], Params]] = []
        count = len(TRUNK_RATES) * len(self.trunk_steps) * len(PENALTIES)
        for rate in TRUNK_RATES:
            trunks = class_pretrained(
                self.training, encoder, rate=rate, steps=self.trunk_steps, seed=SEED
            )
            for steps, trunk in zip(self.trunk_steps, trunks, strict=True):
                chosen = []
                for shot, episodes in sets.items():
                    said = class_ridge(encoder, trunk, episodes, PENALTIES)
                    settings = [
                        {"rate": rate, "steps": steps, "penalty": penalty} for penalty in PENALTIES
                    ]
                    here = best_of_classes(shot, zip(settings, said, strict=True), episodes)
                    chosen.append(here.model_copy(update={"candidates": count}))
                tried.append((tuple(chosen), trunk))
        return max(tried, key=lambda one: float(np.mean([each.score for each in one[0]])))


def best_of_classes(shot: int, candidates: Iterator[Candidate], episodes: SetEpisode) -> Chosen:
    """The candidate with the largest accuracy, of equal ones the first."""
    tried = [
        (float(class_scored(said, episodes).accuracy.mean()), settings)
        for settings, said in candidates
    ]
    accuracy, settings = max(tried, key=lambda one: one[0])
    return Chosen(points=shot, settings=settings, accuracy=accuracy, candidates=len(tried))
