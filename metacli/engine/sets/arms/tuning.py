"""The settings of every arm of sets of regressions, chosen by the error on validation sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import SetLearner
from metacli.engine.sets.arms.names import MULTI_TASK, PENALTIES, SEED
from metacli.engine.sets.arms.pretraining import SETS as TRUNK_SETS
from metacli.engine.sets.arms.pretraining import pretrained, ridge_answers
from metacli.engine.sets.arms.scratch import trained
from metacli.engine.sets.arms.search import ArmSearch, Settings
from metacli.engine.sets.arms.tuned import Chosen
from metacli.engine.sets.scoring import answers_of
from metacli.types import Params, SetEpisode

SETS = 32
BatchAt = Callable[[int], SetEpisode]


@dataclass(frozen=True, kw_only=True)
class Tuning(ArmSearch[Tensor]):
    """What is tuned; an arm says means at the queries, [B, T, Q].

    Args:
        training: meta-batches; the trunk sees `trunk_sets` sets.
    """

    learner: SetLearner
    training: BatchAt
    trunk_sets: int = TRUNK_SETS

    sign = -1.0

    def variants(self) -> Sequence[Settings]:
        return self.learner.variants()

    def adapted(self, settings: Settings, episodes: SetEpisode, sees: Tensor) -> Tensor:
        answer = answers_of(self.learner.varied(settings), self.problem, self.params)
        return answer(episodes, sees).mean

    def from_scratch(self, arm: str, episodes: SetEpisode, rate: float) -> Sequence[Tensor]:
        return trained(episodes, shared=arm == MULTI_TASK, rate=rate, steps=self.steps, seed=SEED)

    def trunks(self, rate: float) -> Sequence[Params]:
        return pretrained(
            self.training, rate=rate, steps=self.trunk_steps, seed=SEED, sets=self.trunk_sets
        )

    def of_heads(self, trunk: Params, episodes: SetEpisode) -> Sequence[Tensor]:
        return ridge_answers(trunk, episodes, PENALTIES)

    def best(
        self, points: int, candidates: Iterator[tuple[Settings, Tensor]], episodes: SetEpisode
    ) -> Chosen:
        return best(points, candidates, episodes)


def best(
    points: int, candidates: Iterator[tuple[Settings, Tensor]], episodes: SetEpisode
) -> Chosen:
    """The candidate with the least error; one that is not finite is never it."""
    tried = [
        (float((mean - episodes.query.y).square().double().mean().nan_to_num(np.inf)), settings)
        for settings, mean in candidates
    ]
    error, settings = min(tried, key=lambda one: one[0])
    return Chosen(points=points, settings=settings, mse=error, candidates=len(tried))
