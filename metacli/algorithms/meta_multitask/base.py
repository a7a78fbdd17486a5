"""What the learners of sets that adapt by gradient steps have in common: only how the tasks of a
set are coupled, and which parameters move, differs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta_multitask.class_sets import (
    NOISE,
    Shared,
    outer_gradient,
    require_head,
    responded,
)
from metacli.algorithms.meta_multitask.class_steps import Descent, full_sharing
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.algorithms.meta_multitask.steps import Rate, coupled_steps
from metacli.autodiff import gradient
from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers
from metacli.nn.set_attention import Gaussian
from metacli.nn.set_problem import SetProblem, mean_of_sets
from metacli.nn.trunk_classes import TrunkClasses
from metacli.nn.trunk_heads import SET_CONTEXT, TASK_CONTEXT, TrunkHeads
from metacli.trees import pick
from metacli.types import Params, SetEpisode, State, Update

RATES = "rates"


@dataclass(frozen=True, kw_only=True)
class StepLearner(ABC):
    """φ = θ moved `inner_steps` times (`steps.coupled_steps`), every task in its own copy.

    Args:
        inner_lr: α at first; `learn_rates` learns its logarithm for each step and tensor.
        alone: share of the training sets whose tasks are adapted each by itself.
        head: of a classification, `proto`: built from the class means of the support, for any
        number of classes; `linear`: learned.
    """

    inner_lr: Annotated[float, Gt(0)] = 0.02
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 5
    first_order: bool = False
    learn_rates: bool = True
    alone: Annotated[float, Ge(0), Le(1)] = 1 / 3
    hidden: tuple[int, ...] = (64, 64)
    frequencies: Annotated[int, Ge(0)] = 4
    period: Annotated[float, Gt(0)] = 20.0
    context: Annotated[int, Ge(0)] = 0
    adapts: tuple[str, ...] = ("",)
    head: Literal["proto", "linear"] = "proto"

    @abstractmethod
    def coupling(
        self,
        problem: SetProblem,
        params: Params,
        copies: Params,
        episodes: SetEpisode,
        sees: Tensor,
    ) -> Tensor:
        """A [B, T, T] of φ_0 `copies` and the supports; rows sum to 1, 0 where a task is not
        seen."""

    @abstractmethod
    def own(self, problem: SetProblem) -> Params:
        """Learned parameters of the coupling."""

    def network(self, inputs: int, roles: int) -> TrunkHeads:
        return TrunkHeads(
            inputs, roles, tuple(self.hidden), self.context, self.frequencies, self.period
        )

    def encoded(
        self, encoder: Problem, roles: int, way: int | None, *, shared_labels: bool
    ) -> TrunkClasses:
        return TrunkClasses(encoder, require_head(way, self.head), shared_labels)

    def init(self, problem: SetProblem, params: Params) -> tuple[Params, State]:
        start = torch.tensor(self.inner_lr).log()
        classes = isinstance(problem.network, TrunkClasses)
        noise = torch.zeros(1 if classes else len(params["head.bias"]))
        own = {NOISE: noise, **self.own(problem)}
        if self.learn_rates:
            own |= {
                f"{RATES}.{name}": start.repeat(self.inner_steps) for name in self.moved(problem)
            }
        dtype = next(iter(params.values())).dtype
        return {name: value.to(dtype) for name, value in own.items()}, {}

    def moved(self, problem: SetProblem) -> tuple[str, ...]:
        """Names that the inner loop moves."""
        if isinstance(problem.network, TrunkClasses):
            names = problem.network.names
        else:
            contexts = (SET_CONTEXT, TASK_CONTEXT) if self.context else ()
            names = (*self.of(problem).names, *contexts)
        return tuple(name for name in names if name.startswith(tuple(self.adapts)))

    def direction(
        self,
        problem: SetProblem,
        params: Params,
        batch: SetEpisode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        apart = torch.rand(len(batch.roles), generator=rng).to(batch.roles.device) < self.alone
        sees = torch.where(apart[:, None, None], alone(batch.roles), together(batch.roles))
        learned = self.init(problem, params)[0]
        theta = pick(params, problem.trainable | frozenset(learned))
        if batch.ways is not None:
            shared = self.sharing(problem)
            slopes, rest = outer_gradient(problem, params, theta, batch, sees, shared, self.descent)
            return Update(slopes, state, {"query_loss": rest[0], "query_accuracy": rest[1]})

        def loss(moved: Params) -> tuple[Tensor, Tensor]:
            found = self.answer(problem, {**params, **moved}, batch, sees)
            error = (found.mean - batch.query.y).square()
            value = mean_of_sets(error, batch.query.mask).mean()
            # The noise is fitted to the errors as they are: it does not weigh them.
            fit = 0.5 * (found.variance.log() + error.detach() / found.variance)
            return value + mean_of_sets(fit, batch.query.mask).mean(), value

        direction, value = gradient(loss, theta)
        return Update(direction, state, {"query_loss": value, "query_mse": value})

    def respond(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> SetAnswers:
        """As `answer`, for a network of classes."""
        return responded(problem, params, episodes, sees, self.sharing(problem), self.descent)

    def descent(self, params: Params) -> Descent:
        """The inner loop of a network of classes, whose rates may be learned."""
        return Descent(self.rate(params), self.inner_steps, self.first_order, tuple(self.adapts))

    def sharing(self, problem: SetProblem) -> Shared:
        """How tasks of a network of classes share the trunk: one copy for those that see each
        other."""
        return lambda params, episodes, sees: full_sharing(sees, params[NOISE].dtype)

    def answer(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Gaussian:
        network = self.of(problem)
        copies = network.copies(params, episodes.roles)
        phi = coupled_steps(
            network,
            copies,
            episodes.support,
            self.coupling(problem, params, copies, episodes, sees),
            rate=self.rate(params),
            steps=self.inner_steps,
            first_order=self.first_order,
            moves=tuple(self.adapts),
        )
        mean = network.forward(phi, episodes.query.x)
        at = episodes.roles.clamp(min=0) if network.roles else torch.zeros_like(episodes.roles)
        return Gaussian(mean, params[NOISE].exp()[at][..., None].expand_as(mean))

    def rate(self, params: Params) -> Rate:
        if not self.learn_rates:
            return lambda step, name: self.inner_lr
        return lambda step, name: params[f"{RATES}.{name}"][step].exp()

    def of(self, problem: SetProblem) -> TrunkHeads:
        assert isinstance(problem.network, TrunkHeads)
        return problem.network
