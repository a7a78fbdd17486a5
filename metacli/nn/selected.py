"""Networks that answer together: the mean of one that was trained several times, and for each task
the network that it shares or its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.nn.multi_task import STATISTICS, Encoder, TaskProblem
from metacli.nn.sharing.grouped import inside
from metacli.nn.sharing.scheme import Solvable
from metacli.types import Params


class Several(ABC):
    """Networks to be used, not to be trained. What they say of the tasks is what the first says.
    Their parameters are under prefixes; the statistics of the rows are common."""

    @property
    @abstractmethod
    def first(self) -> TaskProblem:
        """The network that the others are like; the first that tasks share."""

    @abstractmethod
    def first_params(self, params: Params) -> Params:
        """Its parameters, with the statistics."""

    @property
    def kind(self) -> str:
        return self.first.kind

    @property
    def binary(self) -> tuple[bool, ...]:
        return self.first.binary

    @property
    def classes(self) -> tuple[int, ...]:
        return self.first.classes

    @property
    def outputs(self) -> int:
        return self.first.outputs

    @property
    def num_tasks(self) -> int:
        return self.first.num_tasks

    @property
    def metric_name(self) -> str:
        return self.first.metric_name

    @property
    def encoder(self) -> Encoder | None:
        return self.first.encoder


@dataclass(frozen=True)
class AveragedProblem(Several):
    """One network, trained from several seeds: the mean of the answers.

    Args:
        one: whose parameters are under `0.`, `1.` and so on.
        count: how often it was trained.
    """

    one: TaskProblem
    count: int

    @property
    def first(self) -> TaskProblem:
        return self.one

    def first_params(self, params: Params) -> Params:
        return under(params, "0.")

    def init(self, seed: int) -> Params:
        return self.joined([self.one.init(seed + number) for number in range(self.count)])

    def joined(self, trained: Sequence[Params]) -> Params:
        """The parameters of all, and the statistics of the first."""
        return joined({str(number): params for number, params in enumerate(trained)})

    def predict(self, params: Params, x: Tensor) -> Tensor:
        """The mean of what `TaskProblem.predict` says: of values, or of probabilities."""
        each = (self.one.predict(under(params, f"{n}."), x) for n in range(self.count))
        return torch.stack(list(each)).mean(0)


Trained = TaskProblem | AveragedProblem


@dataclass(frozen=True)
class ChosenProblem(Several):
    """For each task one of two networks: the one that it shares, or its own.

    Args:
        together, alone: whose parameters are under `together.` and `alone.`.
        shares: whether a task's answer is that of the shared network.
    """

    together: Trained
    alone: Trained
    shares: tuple[bool, ...]

    @property
    def first(self) -> TaskProblem:
        return self.together if isinstance(self.together, TaskProblem) else self.together.first

    def first_params(self, params: Params) -> Params:
        found, shared = under(params, "together."), self.together
        return found if isinstance(shared, TaskProblem) else shared.first_params(found)

    def init(self, seed: int) -> Params:
        return self.joined(self.together.init(seed), self.alone.init(seed))

    def joined(self, together: Params, alone: Params) -> Params:
        """The parameters of both, and the statistics of the first."""
        return joined({"together": together, "alone": alone})

    def predict(self, params: Params, x: Tensor) -> Tensor:
        """As `TaskProblem.predict`."""
        first = self.together.predict(under(params, "together."), x)
        second = self.alone.predict(under(params, "alone."), x)
        shares = torch.tensor(self.shares, device=first.device)
        return torch.where(shares.view(-1, *[1] * (first.dim() - 1)), first, second)


def repeated(problem: TaskProblem, count: int) -> Trained:
    """The network as it is used after so many trainings: what is solved has one solution."""
    return problem if count == 1 or is_solved(problem) else AveragedProblem(problem, count)


def is_solved(problem: TaskProblem) -> bool:
    """Whether its training is an exact solution, which no seed changes."""
    return isinstance(problem.sharing, Solvable)


def joined(parts: dict[str, Params]) -> Params:
    """Parameters under the names of their parts, and the statistics of the first part."""
    first = next(iter(parts.values()))
    below = {
        f"{prefix}.{name}": value
        for prefix, params in parts.items()
        for name, value in params.items()
        if name not in STATISTICS
    }
    return {**below, **{name: first[name] for name in STATISTICS}}


def under(params: Params, prefix: str) -> Params:
    """The parameters of one part, with the statistics."""
    return {**inside(params, prefix), **{name: params[name] for name in STATISTICS}}
