"""What the arms say of sets of test tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.engine.sets.arms.names import (
    ARMS,
    FROM_SCRATCH,
    JOINT,
    MULTI_TASK,
    ORACLE,
    SEED,
    SEPARATE,
    TRAINED,
)
from metacli.engine.sets.arms.pretraining import ridge_answers
from metacli.engine.sets.arms.scratch import trained
from metacli.engine.sets.arms.tuned import Tuned
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import answers_of
from metacli.nn.set_attention import Gaussian
from metacli.types import SetEpisode


@dataclass(frozen=True)
class Arms:
    """The arms of a model. `tuned` is what its run has chosen for them; None without a run."""

    model: SetModel
    tuned: Tuned | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that there are; `oracle` where the source knows relations."""
        stored = () if self.tuned is None else tuple(filter(self.tuned.has, TRAINED))
        return tuple(one for one in ARMS if one not in TRAINED or one in stored)

    def answer(
        self, arm: str, episodes: SetEpisode, points: int, related: Tensor | None = None
    ) -> Gaussian:
        """Mean and variance [B, T, Q]; nan as the variance of an arm without one.

        Args:
            points: for which the settings were chosen. related: which tasks are, [B, T, T], for the
            oracle.
        """
        if arm in (JOINT, SEPARATE, ORACLE):
            sees = together(episodes.roles) if arm == JOINT else alone(episodes.roles)
            if arm == ORACLE:
                assert related is not None
                sees = related
            return self.of_model(SEPARATE if arm == SEPARATE else JOINT, episodes, sees, points)
        assert self.tuned is not None
        settings = self.settings(arm, points)
        if arm in FROM_SCRATCH:
            steps = (int(settings["steps"]),)
            shared = arm == MULTI_TASK
            (mean,) = trained(
                episodes, shared=shared, rate=settings["rate"], steps=steps, seed=SEED
            )
        else:
            (mean,) = ridge_answers(self.tuned.trunk, episodes, (settings["penalty"],))
        return Gaussian(mean, torch.full_like(mean, torch.nan))

    def settings(self, arm: str, points: int) -> Mapping[str, float]:
        """What was chosen for the arm; {} where nothing was."""
        known = JOINT if arm == ORACLE else arm
        return {} if self.tuned is None else self.tuned.settings(known, points)

    def of_model(self, arm: str, episodes: SetEpisode, sees: Tensor, points: int) -> Gaussian:
        """The model with the settings of the arm."""
        learner = self.model.learner().varied(self.settings(arm, points))
        return answers_of(learner, self.model.problem(), self.model.params)(episodes, sees)
