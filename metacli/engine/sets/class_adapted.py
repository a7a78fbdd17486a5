"""A model of sets that is adapted to one set whose tasks may be classifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.own_one import OneSet, SetLayout
from metacli.data.sets.own_tasks import OwnTask
from metacli.engine.results.base import Json
from metacli.engine.sets.class_model import ClassSetModel
from metacli.nn.set_answers import SetAnswers
from metacli.types import Batch, SetEpisode


@dataclass(frozen=True)
class AdaptedTask:
    """One task of an adapted set.

    Args:
        labels: of its classes; () of a regression. target: its column, None of class folders.
        known: how many labels it was adapted to.
        joint: answered from the labels of all tasks; False: from its own alone, by the guard.
    """

    name: str
    labels: tuple[str, ...]
    target: str | None
    known: int
    joint: bool

    def as_dict(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "labels": list(self.labels),
            "target": self.target,
            "known": self.known,
            "joint": self.joint,
        }


class Answer(NamedTuple):
    """What is said of the rows of one task: probabilities [Q, N], or mean and standard deviation
    [Q] in the user's units."""

    probabilities: np.ndarray | None
    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class AdaptedClassSet:
    """A model of one set. Its support: x [1, T, M, ...], y and mask [1, T, M]."""

    source: ClassSetModel
    tasks: tuple[AdaptedTask, ...]
    layout: SetLayout
    task: str | None
    support: Batch
    scores: Mapping[str, Json] = field(default_factory=dict)
    provenance: Mapping[str, Json] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.tasks)

    @property
    def ways(self) -> Tensor:
        return torch.tensor([[len(one.labels) for one in self.tasks]])

    def as_read(self) -> OneSet:
        """The set without its rows, to read others like it."""
        none = np.zeros(0)
        tasks = tuple(
            OwnTask(one.name, none.astype(np.int64), none, one.labels) for one in self.tasks
        )
        targets = tuple(one.target for one in self.tasks)
        return OneSet("", tasks, none, targets, self.layout, self.task)

    def as_known(self) -> OneSet:
        """The set with the rows that the model was adapted to."""
        support, read = self.support, self.as_read()
        assert support.mask is not None  # of every adapted set
        tasks, blocks, first = [], [], 0
        for t, one in enumerate(read.tasks):
            here = support.mask[0, t]
            blocks.append(support.x[0, t][here].numpy())
            rows = np.arange(first, first + len(blocks[-1]), dtype=np.int64)
            tasks.append(replace(one, rows=rows, y=support.y[0, t][here].double().numpy()))
            first += len(rows)
        return replace(read, tasks=tuple(tasks), store=np.concatenate(blocks))

    def predict(self, rows: Mapping[str, np.ndarray]) -> dict[str, Answer]:
        """What each task says of its rows [Q, ...], by its name; row by row."""
        most = max(1, *(len(x) for x in rows.values()))
        shape = (1, len(self.tasks), most, *self.support.x.shape[3:])
        x = torch.zeros(shape, dtype=self.support.x.dtype)
        for t, name in enumerate(self.names):
            if name in rows:
                x[0, t, : len(rows[name])] = torch.from_numpy(rows[name])
        y = torch.zeros(x.shape[:3])
        roles = torch.full_like(self.ways, -1)
        episodes = SetEpisode(self.support, Batch(x, y), roles, self.ways)
        both = [self.source.respond(episodes, seeing(roles)) for seeing in (together, alone)]
        found = {}
        for t, one in enumerate(self.tasks):
            if one.name in rows:
                said = both[0] if one.joint else both[1]
                found[one.name] = self.answer(said, t, len(rows[one.name]))
        return found

    def answer(self, said: SetAnswers, task: int, count: int) -> Answer:
        one = self.tasks[task]
        mean, scale = self.source.facts.levels.get(one.target or "", (0.0, 1.0))
        center = mean + scale * said.mean[0, task, :count].double().numpy()
        deviation = scale * said.variance[0, task, :count].sqrt().double().numpy()
        if not one.labels:
            return Answer(None, center, deviation)
        logits = said.logits[0, task, :count, : len(one.labels)].double()
        return Answer(torch.softmax(logits, -1).numpy(), center, deviation)


def classes_of(names: Sequence[str], found: np.ndarray) -> list[str]:
    """The likeliest class of each row."""
    return [names[int(at)] for at in found.argmax(-1)]
