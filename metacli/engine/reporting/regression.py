"""A regression of waves: the fit before and after each adaptation step, on validation waves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from metacli.data.catalogue.sinusoid import INPUT, Sinusoids
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.episodes import EpisodeScores, score_episodes, to_device
from metacli.types import Episode

EPISODES = 100
SHOWN = 3
GRID = 101


@dataclass(frozen=True)
class Fit:
    """One wave on a grid of x.

    Args:
        guesses: [S + 1, GRID] after 0, 1, ... adaptation steps.
        errors: [S + 1] mean squared error on the grid.
    """

    index: int
    episode: Episode
    x: np.ndarray
    truth: np.ndarray
    guesses: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        result: np.ndarray = ((self.guesses - self.truth) ** 2).mean(1)
        return result


@torch.no_grad()
def fits(model: FewShotModel, source: Sinusoids, shown: int = SHOWN) -> list[Fit]:
    """The first waves of a source."""
    problem, learner = model.problem(), model.learner()
    device = next(iter(model.params.values())).device
    x = torch.linspace(*INPUT, GRID)[:, None]
    found = []
    for index in range(shown):
        episode, wave = source.episode(index), source.waves(index)
        support = to_device(episode, device).support
        path = learner.path(problem, model.params, support, model.state)
        guesses = [learner.predict(problem, phi, x.to(device)).cpu().numpy()[:, 0] for phi in path]
        at = x.numpy()[:, 0]
        truth = float(wave.amplitude[0]) * np.sin(at - float(wave.phase[0]))
        found.append(Fit(index, episode, at, truth, np.stack(guesses)))
    return found


def scores(model: FewShotModel, source: Sinusoids) -> EpisodeScores:
    """Errors after each step on the first validation waves."""
    return score_episodes(
        model.problem(),
        model.learner(),
        model.params,
        model.state,
        source.episode,
        EPISODES,
        detailed=True,
    )
