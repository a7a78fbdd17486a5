"""A model on validation episodes: what it gets wrong, and after which step. The test split is read
by `evaluate` alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from metacli.data.few_shot.episodes import ClassEpisodes, EpisodeMembers
from metacli.data.few_shot.feature_rows import FeatureRows
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.source import EpisodeSource
from metacli.data.tables.encoding import Encoding
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.model import FewShotModel
from metacli.engine.reporting.words import in_words
from metacli.engine.scoring.episodes import to_device
from metacli.engine.training.few_shot.sources import make_source
from metacli.types import Episode

EPISODES = 40
SAMPLES = 2
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
Pair = tuple[int, int]
"""Numbers of two classes of the pool: what it is, and what it was taken for."""


class Show(Protocol[S_co]):
    """What the report shows of an example: its image, or its words."""

    def queries(self, members: EpisodeMembers, episode: Episode) -> Sequence[S_co]:
        """Of each query, in the order of their labels."""
        ...

    def example(self, members: EpisodeMembers, episode: Episode, label: int) -> S_co:
        """The first support example of a class."""
        ...


class AsImage:
    """Images [C, H, W] as they are."""

    def queries(self, members: EpisodeMembers, episode: Episode) -> list[np.ndarray]:
        return list(episode.query.x.numpy())

    def example(self, members: EpisodeMembers, episode: Episode, label: int) -> np.ndarray:
        first = int(np.flatnonzero(episode.support.y.numpy() == label)[0])
        found: np.ndarray = episode.support.x[first].numpy()
        return found


@dataclass(frozen=True)
class InWords:
    """Texts or rows of tables; `say` puts a row of the pool's store into words."""

    say: Callable[[int], str]

    @classmethod
    def of(cls, pool: Pool) -> InWords:
        encoder = pool.coded.encoder
        names = encoder.names if isinstance(encoder, Encoding) else None
        return cls(in_words(pool.coded.rows, names))

    def queries(self, members: EpisodeMembers, episode: Episode) -> list[str]:
        return [self.say(row) for own in members.query for row in own]

    def example(self, members: EpisodeMembers, episode: Episode, label: int) -> str:
        return self.say(members.support[label][0])


@dataclass
class Looked(Generic[S]):
    """What a model did on the first validation episodes.

    Args:
        classes: names of the pool's classes.
        show: what is shown of an example.
        per_step: [S + 1, E] accuracy after 0, 1, ... steps; a single row for learners without.
        confused: how often queries of a class were taken for another.
        met: queries of a class in episodes that held the other class too.
        mistakes: a few queries of each pair.
        examples: one support example of each class.
        samples: whole episodes with the answers.
    """

    classes: tuple[str, ...]
    show: Show[S]
    per_step: np.ndarray
    confused: Counter[Pair] = field(default_factory=Counter)
    met: Counter[Pair] = field(default_factory=Counter)
    mistakes: defaultdict[Pair, list[S]] = field(default_factory=lambda: defaultdict(list))
    examples: dict[int, S] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """An episode with the labels 0..N-1 that the model gave its queries."""

    index: int
    members: EpisodeMembers
    episode: Episode
    answers: np.ndarray


def validation_source(model: FewShotModel) -> EpisodeSource:
    """The episodes that a run validates on. Raises MetacliError where the data are not there."""
    recipe = model.recipe
    asked = recipe.evaluate
    return make_source(recipe, "val", way=asked.way, shot=asked.shot, query=asked.query, seed=0)


@torch.no_grad()
def look(
    model: FewShotModel,
    source: ClassEpisodes,
    show: Show[S],
    report: Reporter,
    episodes: int = EPISODES,
) -> Looked[S]:
    """Adapt to each episode and remember the answers."""
    problem, learner = model.problem(), model.learner()
    device = next(iter(model.params.values())).device
    found = Looked(source.pool.classes, show, np.zeros((0, 0)))
    per_step, shown = [], with_images(source)
    for index in range(episodes):
        members, episode = source.members(index), source.episode(index)
        support, query = to_device(episode, device)
        path = learner.path(problem, model.params, support, model.state)
        guesses = [learner.predict(problem, phi, query.x).argmax(1).cpu().numpy() for phi in path]
        y = episode.query.y.numpy()
        per_step.append([float((one == y).mean()) for one in guesses])
        seen = episode if shown is source else shown.episode(index)
        remember(found, members, seen, guesses[-1])
        if index < SAMPLES:
            found.samples.append(Sample(index, members, seen, guesses[-1]))
        report(Progress("validation episodes", index + 1, episodes, "episodes"))
    found.per_step = np.array(per_step).T
    return found


def with_images(source: ClassEpisodes) -> ClassEpisodes:
    """The same episodes as their images, where the model takes features of them."""
    pool = source.pool
    if not isinstance(pool.store, FeatureRows):
        return source
    return replace(source, pool=replace(pool, store=pool.images))


def remember(
    found: Looked[S], members: EpisodeMembers, episode: Episode, guess: np.ndarray
) -> None:
    """Count the answers by class of the pool."""
    y, classes = episode.query.y.numpy(), members.classes
    queries = found.show.queries(members, episode)
    for true, answer, shown in zip(y.tolist(), guess.tolist(), queries, strict=True):
        pair = (classes[true], classes[answer])
        found.confused[pair] += 1
        for other in classes:
            found.met[classes[true], other] += 1
        if true != answer and len(found.mistakes[pair]) < 4:
            found.mistakes[pair].append(shown)
    for label, number in enumerate(classes):
        if number not in found.examples:
            found.examples[number] = found.show.example(members, episode, label)


def most_confused(found: Looked[S], count: int = 6) -> list[tuple[Pair, int, int]]:
    """Pairs by how often the first was taken for the second: (pair, mistakes, chances for it)."""
    wrong = [(pair, n) for pair, n in found.confused.items() if pair[0] != pair[1]]
    ordered = sorted(wrong, key=lambda one: (-one[1], -one[1] / found.met[one[0]], one[0]))
    return [(pair, n, found.met[pair]) for pair, n in ordered[:count]]
