"""What the arms say of sets of classifications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.engine.sets.arms.class_pretraining import class_ridge
from metacli.engine.sets.arms.class_scratch import class_trained
from metacli.engine.sets.arms.class_tuning import encoded_of
from metacli.engine.sets.arms.names import (
    ARMS,
    FROM_SCRATCH,
    JOINT,
    MULTI_TASK,
    SEED,
    SEPARATE,
    TRAINED,
)
from metacli.engine.sets.arms.tuned import Tuned
from metacli.engine.sets.class_model import ClassSetModel
from metacli.nn.set_answers import SetAnswers
from metacli.types import SetEpisode


@dataclass(frozen=True)
class ClassArms:
    """The arms of a model. `tuned` is what its run has chosen for them; None without a run."""

    model: ClassSetModel
    tuned: Tuned | None = None
    wanted: tuple[str, ...] = ARMS

    @property
    def names(self) -> tuple[str, ...]:
        """Those that there are."""
        tuned = () if self.tuned is None else tuple(filter(self.tuned.has, TRAINED))
        return (JOINT, SEPARATE, *(one for one in tuned if one in self.wanted))

    def answer(self, arm: str, episodes: SetEpisode, shot: int) -> SetAnswers:
        """Every query of every task.

        Args:
            shot: for which the settings were chosen.
        """
        settings = self.settings(arm, shot)
        if arm in (JOINT, SEPARATE):
            sees = (together if arm == JOINT else alone)(episodes.roles)
            learner = self.model.learner().varied(settings)
            with torch.no_grad():
                return learner.respond(self.model.problem(), self.model.params, episodes, sees)
        encoder, shared_labels = encoded_of(self.model.problem())
        assert self.tuned is not None
        if arm in FROM_SCRATCH:
            (said,) = class_trained(
                encoder,
                episodes,
                shared=arm == MULTI_TASK,
                shared_labels=shared_labels,
                rate=settings["rate"],
                steps=(int(settings["steps"]),),
                seed=SEED,
            )
            return said
        (said,) = class_ridge(encoder, self.tuned.trunk, episodes, (settings["penalty"],))
        return said

    def settings(self, arm: str, shot: int) -> Mapping[str, float]:
        """What was chosen for the arm; {} where nothing was."""
        return {} if self.tuned is None else self.tuned.settings(arm, shot)
