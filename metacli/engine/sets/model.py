"""Models of sets of tasks: a learner that was meta-trained on sets, and what it makes of one set
of a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import SetLearner, alone, together
from metacli.data.sets.from_user import asking
from metacli.engine.results.base import Json
from metacli.engine.sets.build import restore_set_learner
from metacli.errors import DataError
from metacli.nn.set_attention import Gaussian
from metacli.nn.set_problem import SetProblem
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import Batch, Params, SetEpisode, State

SUPPORT = ("support.x", "support.y", "support.mask", "support.roles")


@dataclass(frozen=True)
class SetModel:
    """A learner of sets with its θ.

    Args:
        known: names of the tasks that it knows, () where tasks have no names.
        width: columns of x.
    """

    recipe: MetaMultiTaskRecipe
    params: Params
    state: State
    known: tuple[str, ...]
    width: int
    scores: Mapping[str, Json] = field(default_factory=dict)
    provenance: Mapping[str, Json] = field(default_factory=dict)

    def learner(self) -> SetLearner:
        return restore_set_learner(self.recipe)

    def problem(self) -> SetProblem:
        """The network without its weights."""
        return SetProblem(self.learner().network(self.width, len(self.known)))

    def weights(self) -> Params:
        """Those that the network and the learner want, of any value."""
        problem = self.problem()
        params = problem.init(0)
        return {**params, **self.learner().init(problem, params)[0]}

    def answer(self, episodes: SetEpisode, sees: Tensor) -> Gaussian:
        """Raises DataError for an answer that is not finite."""
        with torch.no_grad():
            found = self.learner().answer(self.problem(), self.params, episodes, sees)
        if not bool(found.mean.isfinite().all() and found.variance.isfinite().all()):
            raise DataError(
                "the model's answers to this set are not finite",
                code="adapt.not_finite",
                hint="bring the columns nearer to the range of the training data",
            )
        return found


@dataclass(frozen=True)
class SetTask:
    """One task of an adapted set.

    Args:
        joint: answered from the labels of all tasks; False: from its own alone, by the guard.
    """

    name: str
    joint: bool
    labels: int


@dataclass(frozen=True)
class AdaptedSet:
    """A model of one set of tasks. Its supports: x [1, T, M, D], y and mask [1, T, M], roles
    [1, T].

    Args:
        inputs: columns of x. layout: columns, rows or folder, as the user's files had it.
        target, task: the columns of labels and of task names, where there are such.
    """

    source: SetModel
    tasks: tuple[SetTask, ...]
    inputs: tuple[str, ...]
    layout: str
    support: Batch
    roles: Tensor
    target: str | None = None
    task: str | None = None
    scores: Mapping[str, Json] = field(default_factory=dict)
    provenance: Mapping[str, Json] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.tasks)

    def predict(self, x: Tensor) -> Gaussian:
        """Mean and variance [T, Q] of every task at its rows x [T, Q, D]; row by row."""
        episodes = asking(self.support, self.roles, x[None])
        choices = [one.joint for one in self.tasks]
        ways = [together(self.roles)] if any(choices) else []
        ways += [] if all(choices) else [alone(self.roles)]
        found = [self.source.answer(episodes, sees) for sees in ways]
        if len(found) == 1:
            return Gaussian(found[0].mean[0], found[0].variance[0])
        joint, separate = found
        chosen = torch.tensor(choices)[:, None]
        return Gaussian(
            torch.where(chosen, joint.mean[0], separate.mean[0]),
            torch.where(chosen, joint.variance[0], separate.variance[0]),
        )


def on_device(episodes: SetEpisode, device: torch.device) -> SetEpisode:
    """The same sets on that device."""
    support, query = (batch_on(half, device) for half in (episodes.support, episodes.query))
    ways = None if episodes.ways is None else episodes.ways.to(device)
    return SetEpisode(support, query, episodes.roles.to(device), ways)


def batch_on(batch: Batch, device: torch.device) -> Batch:
    mask = None if batch.mask is None else batch.mask.to(device)
    return Batch(batch.x.to(device), batch.y.to(device), mask)
