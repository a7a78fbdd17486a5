"""What a learner of sets of tasks is, and which tasks of a set see each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers
from metacli.nn.set_attention import Gaussian
from metacli.nn.set_problem import SetNetwork, SetProblem
from metacli.types import Params, SetEpisode, State, Update


class SetLearner(Protocol):
    """A frozen dataclass whose fields are its hyper-parameters."""

    def network(self, inputs: int, roles: int) -> SetNetwork:
        """What it trains, for rows of so many inputs and a source of so many named tasks."""
        ...

    def init(self, problem: SetProblem, params: Params) -> tuple[Params, State]:
        """Its own learned parameters beside the network's, and its memory."""
        ...

    def direction(
        self,
        problem: SetProblem,
        params: Params,
        batch: SetEpisode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        """What to subtract from θ for this meta-batch of sets."""
        ...

    def answer(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Gaussian:
        """What every task of every set says at its queries, from the supports of the tasks that it
        `sees`, bool [B, T, T]."""
        ...

    def variants(self) -> tuple[Mapping[str, float], ...]:
        """Settings at test time from which `evaluate` may choose on validation sets; those that it
        was trained with are among them."""
        ...

    def varied(self, settings: Mapping[str, float]) -> Self:
        """The learner with one of its variants; itself for {}."""
        ...


@runtime_checkable
class ClassSetLearner(SetLearner, Protocol):
    """A learner of sets whose tasks may be classifications, on the features of any backbone."""

    def encoded(
        self, encoder: Problem, roles: int, way: int | None, *, shared_labels: bool
    ) -> SetNetwork:
        """What it trains.

        Args:
            encoder: a backbone. roles: named tasks of the source.
            way: classes of every task; None: tasks differ.
            shared_labels: class n is the same in every task of a set.
        """
        ...

    def respond(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> SetAnswers:
        """As `answer`, of episodes with `ways`."""
        ...


def together(roles: Tensor) -> Tensor:
    """Every task sees every task of its set: [B, T] -> [B, T, T]."""
    return torch.ones(*roles.shape, roles.shape[-1], dtype=torch.bool, device=roles.device)


def alone(roles: Tensor) -> Tensor:
    """Every task sees itself: [B, T] -> [B, T, T]."""
    one = torch.eye(roles.shape[-1], dtype=torch.bool, device=roles.device)
    return one.expand(*roles.shape, -1).clone()
