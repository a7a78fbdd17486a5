"""Scores of a learner on episodes: what validation, `evaluate` and benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from metacli.algorithms.learner import Adapter
from metacli.autodiff import map_batches, over_tasks
from metacli.nn.layers.inputs import channels_last
from metacli.nn.problem import Problem
from metacli.types import Batch, Episode, Params, State


@dataclass(frozen=True)
class EpisodeScores:
    """One value per episode.

    Args:
        inductive: [E], each query answered by itself, as `predict` does.
        together: [E], all queries normalised together; None where no layer uses batch statistics.
        per_step: [S + 1, E] after 0, 1, ... adaptation steps; None for learners without steps.
    """

    inductive: np.ndarray
    together: np.ndarray | None
    per_step: np.ndarray | None

    def as_arrays(self) -> dict[str, np.ndarray]:
        """What there is, by name, the episodes last."""
        named = {"inductive": self.inductive, "together": self.together, "per_step": self.per_step}
        return {name: value for name, value in named.items() if value is not None}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> EpisodeScores:
        """`as_arrays` undone; nothing at all is no episode."""
        inductive = arrays.get("inductive", np.empty(0))
        return cls(inductive, arrays.get("together"), arrays.get("per_step"))


@torch.no_grad()
def score_episodes(
    problem: Problem,
    learner: Adapter,
    params: Params,
    state: State,
    episode_at: Callable[[int], Episode],
    episodes: int,
    *,
    detailed: bool = False,
    tick: Callable[[int], None] = lambda done: None,
) -> EpisodeScores:
    """Adapt to each episode's support and score its query with the problem's metric.

    Args:
        detailed: also score every adaptation step, and all queries together where that differs.
    """
    device = next(iter(params.values())).device
    if episodes_at_once(problem, learner) > 1:
        return score_waves(problem, learner, params, state, episode_at, episodes, tick)
    together = detailed and problem.statistics != "none" and learner.has_together
    rows: list[tuple[list[float], float | None]] = []
    for index in range(episodes):
        support, query = to_device(episode_at(index), device)
        if detailed:
            path = learner.path(problem, params, support, state)
        else:
            path = [learner.adapt(problem, params, support, state)]
        steps = [
            mean_metric(problem, learner.predict(problem, phi, query.x), query) for phi in path
        ]
        joint = None
        if together:
            joint = mean_metric(
                problem, learner.predict_together(problem, path[-1], query.x), query
            )
        rows.append((steps, joint))
        tick(index + 1)
    steps_first = np.array([steps for steps, _ in rows]).T  # [S + 1, E]
    return EpisodeScores(
        inductive=steps_first[-1],
        together=np.array([joint for _, joint in rows]) if together else None,
        per_step=steps_first if detailed and learner.has_path else None,
    )


def episodes_at_once(problem: Problem, learner: Adapter) -> int:
    """Episodes that `score_episodes` computes together; a part of another size may round
    otherwise."""
    return WAVES if problem.kind == "regression" and learner.has_path else 1


WAVES = 50  # at a time: each is so small that a loop would spend its time between the operations


def score_waves(
    problem: Problem,
    learner: Adapter,
    params: Params,
    state: State,
    episode_at: Callable[[int], Episode],
    episodes: int,
    tick: Callable[[int], None],
) -> EpisodeScores:
    """`score_episodes` for regressions of one shape, many tasks at a time."""
    device = next(iter(params.values())).device

    def steps_of(episode: Episode) -> torch.Tensor:  # [S + 1]
        path = learner.path(problem, params, episode.support, state)
        x, y = episode.query.x, episode.query.y
        scores = [problem.metric(learner.predict(problem, phi, x), y).mean() for phi in path]
        return torch.stack(scores)

    found = []
    for first in range(0, episodes, WAVES):
        part = [episode_at(i) for i in range(first, min(first + WAVES, episodes))]
        found += over_tasks(steps_of, to_device(stacked(part), device), WAVES)
        tick(first + len(part))
    per_step = torch.cat(found).T.cpu().numpy()  # [S + 1, E]
    return EpisodeScores(inductive=per_step[-1], together=None, per_step=per_step)


def stacked(episodes: list[Episode]) -> Episode:
    """Episodes of one shape without masks as a meta-batch."""
    halves = zip(*episodes, strict=True)
    support, query = (
        Batch(torch.stack([one.x for one in half]), torch.stack([one.y for one in half]))
        for half in halves
    )
    return Episode(support, query)


def mean_metric(problem: Problem, prediction: torch.Tensor, query: Batch) -> float:
    return float(problem.metric(prediction, query.y).mean())


def to_device(episode: Episode, device: torch.device) -> Episode:
    if device.type == "cpu":
        return map_batches(channels_last, episode)
    halves = (Batch(*(None if v is None else v.to(device) for v in half)) for half in episode)  # type: ignore[arg-type]
    return Episode(*halves)


@torch.no_grad()
def pixel_scores(episode_at: Callable[[int], Episode], episodes: int) -> np.ndarray:
    """The nearest class mean of the raw inputs: what no learning at all reaches. Accuracy per
    episode, [E]."""
    found = []
    for index in range(episodes):
        support, query = episode_at(index)
        keep = slice(None) if support.mask is None else support.mask
        x, y = support.x[keep].flatten(1).float(), support.y[keep]
        means = torch.stack([x[y == label].mean(0) for label in range(int(y.max()) + 1)])
        guess = torch.cdist(query.x.flatten(1).float(), means).argmin(1)
        found.append(float((guess == query.y).float().mean()))
    return np.array(found)
