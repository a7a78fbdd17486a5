"""The settings of every arm of sets of classifications, chosen by the accuracy on validation
sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import ClassSetLearner
from metacli.data.sets.classes import ClassSets
from metacli.engine.sets.arms.class_pretraining import class_pretrained, class_ridge
from metacli.engine.sets.arms.class_scratch import class_trained
from metacli.engine.sets.arms.names import MULTI_TASK, PENALTIES, SEED
from metacli.engine.sets.arms.search import ArmSearch, Settings
from metacli.engine.sets.arms.tuned import Chosen
from metacli.engine.sets.class_scoring import class_scored
from metacli.nn.encoded_attention import EncodedAttention
from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers
from metacli.nn.set_problem import SetProblem
from metacli.nn.trunk_classes import TrunkClasses
from metacli.types import Params, SetEpisode

SETS = 8


class Encoded(NamedTuple):
    """The backbone of a network of classes, and whether class n is the same in every task."""

    encoder: Problem
    shared_labels: bool


def encoded_of(problem: SetProblem) -> Encoded:
    network = problem.network
    assert isinstance(network, EncodedAttention | TrunkClasses)
    return Encoded(network.encoder, network.shared_labels)


@dataclass(frozen=True, kw_only=True)
class ClassTuning(ArmSearch[SetAnswers]):
    """What is tuned; a trunk is pretrained on `training`."""

    learner: ClassSetLearner
    training: ClassSets

    sign = 1.0

    def variants(self) -> Sequence[Settings]:
        return self.learner.variants()

    def adapted(self, settings: Settings, episodes: SetEpisode, sees: Tensor) -> SetAnswers:
        with torch.no_grad():
            return self.learner.varied(settings).respond(self.problem, self.params, episodes, sees)

    def from_scratch(self, arm: str, episodes: SetEpisode, rate: float) -> Sequence[SetAnswers]:
        encoder, shared_labels = encoded_of(self.problem)
        return class_trained(
            encoder,
            episodes,
            shared=arm == MULTI_TASK,
            shared_labels=shared_labels,
            rate=rate,
            steps=self.steps,
            seed=SEED,
        )

    def trunks(self, rate: float) -> Sequence[Params]:
        encoder = encoded_of(self.problem).encoder
        return class_pretrained(
            self.training, encoder, rate=rate, steps=self.trunk_steps, seed=SEED
        )

    def of_heads(self, trunk: Params, episodes: SetEpisode) -> Sequence[SetAnswers]:
        return class_ridge(encoded_of(self.problem).encoder, trunk, episodes, PENALTIES)

    def best(
        self, points: int, candidates: Iterator[tuple[Settings, SetAnswers]], episodes: SetEpisode
    ) -> Chosen:
        return best_of_classes(points, candidates, episodes)


def best_of_classes(
    points: int, candidates: Iterator[tuple[Settings, SetAnswers]], episodes: SetEpisode
) -> Chosen:
    """The candidate with the largest accuracy, of equal ones the first."""
    tried = [
        (float(class_scored(said, episodes).accuracy.mean()), settings)
        for settings, said in candidates
    ]
    accuracy, settings = max(tried, key=lambda one: one[0])
    return Chosen(points=points, settings=settings, accuracy=accuracy, candidates=len(tried))
