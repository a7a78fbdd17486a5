"""A model on validation episodes: what it gets wrong, and after which step. The test split is read
by `evaluate` alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from metacli.data.few_shot.episodes import ClassEpisodes, EpisodeMembers
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.model import FewShotModel
from metacli.engine.reporting.words import in_words
from metacli.engine.scoring.episodes import to_device
from metacli.engine.training.build import make_source
from metacli.types import Episode

EPISODES = 40
SAMPLES = 2
Pair = tuple[int, int]
"""Numbers of two classes of the pool: what it is, and what it was taken for."""


@dataclass
class Looked:
    """What a model did on the first validation episodes.

    Args:
        classes: names of the pool's classes.
        per_step: [S + 1, E] accuracy after 0, 1, ... steps; a single row for learners without.
        confused: how often queries of a class were taken for another.
        met: queries of a class in episodes that held the other class too.
        mistakes: a few queries of each pair: pictures, or what `say` says of them.
        examples: one support example of each class, likewise.
        samples: whole episodes with the answers.
        say: what to say of a row of the pool's store; None for pictures.
    """

    classes: tuple[str, ...]
    per_step: np.ndarray
    confused: Counter[Pair] = field(default_factory=Counter)
    met: Counter[Pair] = field(default_factory=Counter)
    mistakes: defaultdict[Pair, list[Any]] = field(default_factory=lambda: defaultdict(list))
    examples: dict[int, Any] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    say: Any = None


@dataclass(frozen=True)
class Sample:
    index: int
    members: EpisodeMembers
    episode: Episode
    answers: np.ndarray  # labels 0..N-1 of the queries


def validation_source(model: FewShotModel) -> Any:
    """The episodes that a run validates on. Raises MetacliError where the data are not there."""
    recipe = model.recipe
    asked = recipe.evaluate
    return make_source(recipe, "val", way=asked.way, shot=asked.shot, query=asked.query, seed=0)


@torch.no_grad()
def look(
    model: FewShotModel, source: ClassEpisodes, report: Reporter, episodes: int = EPISODES
) -> Looked:
    """Adapt to each episode and remember the answers."""
    problem, learner = model.problem(), model.learner()
    device = next(iter(model.params.values())).device
    say = None
    if source.pool.encoder is not None:
        names = getattr(source.pool.encoder, "names", None)
        say = in_words(source.pool.coded.rows, names)
    found = Looked(source.pool.classes, np.zeros((0, 0)), say=say)
    per_step = []
    for index in range(episodes):
        members, episode = source.members(index), source.episode(index)
        support, query = to_device(episode, device)
        path = learner.path(problem, model.params, support, model.state)
        guesses = [learner.predict(problem, phi, query.x).argmax(1).cpu().numpy() for phi in path]
        y = episode.query.y.numpy()
        per_step.append([float((one == y).mean()) for one in guesses])
        remember(found, members, episode, guesses[-1])
        if index < SAMPLES:
            found.samples.append(Sample(index, members, episode, guesses[-1]))
        report(Progress("validation episodes", index + 1, episodes, "episodes"))
    found.per_step = np.array(per_step).T
    return found


def remember(found: Looked, members: EpisodeMembers, episode: Episode, guess: np.ndarray) -> None:
    """Count the answers by class of the pool."""
    y, classes = episode.query.y.numpy(), members.classes
    asked: Any = episode.query.x.numpy()
    if found.say is not None:
        asked = [found.say(row) for own in members.query for row in own]
    for true, said, x in zip(y.tolist(), guess.tolist(), asked, strict=True):
        pair = (classes[true], classes[said])
        found.confused[pair] += 1
        for other in classes:
            found.met[classes[true], other] += 1
        if true != said and len(found.mistakes[pair]) < 4:
            found.mistakes[pair].append(x)
    labels = episode.support.y.numpy()
    for label, number in enumerate(classes):
        if found.say is not None:
            found.examples.setdefault(number, found.say(members.support[label][0]))
            continue
        rows = np.flatnonzero(labels == label)
        found.examples.setdefault(number, episode.support.x[int(rows[0])].numpy())


def most_confused(found: Looked, count: int = 6) -> list[tuple[Pair, int, int]]:
    """Pairs by how often the first was taken for the second: (pair, mistakes, chances for it)."""
    wrong = [(pair, n) for pair, n in found.confused.items() if pair[0] != pair[1]]
    ordered = sorted(wrong, key=lambda one: (-one[1], -one[1] / found.met[one[0]], one[0]))
    return [(pair, n, found.met[pair]) for pair, n in ordered[:count]]
