"""What the learners of sets that adapt by gradient steps have in common: only how the tasks of a
set are coupled, and which parameters move, differs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta_multitask.class_sets import (
    NOISE,
    Shared,
    accuracies,
    outer_gradient,
    require_head,
    responded,
)
from metacli.algorithms.meta_multitask.class_steps import InnerSteps, full_sharing
from metacli.algorithms.meta_multitask.noise import noise_start, variance_of
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
from metacli.types import Batch, Params, SetEpisode, State, Update

RATES = "rates"
FACTORS, TEST_STEPS, MORE_STEPS = (0.5, 1.0, 2.0), (1, 2, 3, 5), (10, 20)


@dataclass(frozen=True, kw_only=True)
class StepLearner(ABC):
    """φ = θ moved `inner_steps` times (`steps.coupled_steps`).

    Args:
        inner_lr: α at first; `learn_rates` learns its logarithm for each step and tensor.
        first_order: inner gradients count as constants.
        alone: share of the training sets whose tasks are adapted each by itself.
        adapts: prefixes of the names that move. hidden, context, frequencies, period: of the
            network, `TrunkHeads`. rate_factor: of all inner rates, at test time.
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
    rate_factor: Annotated[float, Gt(0)] = 1.0

    @abstractmethod
    def means(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Tensor:
        """What the adapted copies of the tasks say at their queries, [B, T, Q]."""

    def own(self, problem: SetProblem) -> Params:
        """Learned parameters beside the network's, its rates and its noise."""
        return {}

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
        if isinstance(problem.network, TrunkClasses):
            noise = {NOISE: torch.zeros(1)}
        else:
            noise = noise_start(self.of(problem).roles)
        own = {**noise, **self.own(problem)}
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
        sees = self.masked(batch.roles, rng)
        learned = self.init(problem, params)[0]
        theta = pick(params, problem.trainable | frozenset(learned))
        if batch.ways is not None:
            shared = self.sharing(problem)
            slopes, rest = outer_gradient(problem, params, theta, batch, sees, shared, self.descent)
            metrics = {"query_loss": rest[0]} | accuracies(batch, rest[1])
            return Update(slopes, state, metrics)

        def loss(moved: Params) -> tuple[Tensor, Tensor]:
            found = self.answer(problem, {**params, **moved}, batch, sees)
            value = problem.error(found.mean, batch.query).mean()
            return value + noise_loss(found, batch.query), value

        direction, value = gradient(loss, theta)
        return Update(direction, state, {"query_loss": value, "query_mse": value})

    def respond(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> SetAnswers:
        """As `answer`, for a network of classes."""
        return responded(problem, params, episodes, sees, self.sharing(problem), self.descent)

    def descent(self, params: Params) -> InnerSteps:
        """The inner loop of a network of classes, whose rates may be learned."""
        return InnerSteps(self.rate(params), self.inner_steps, self.first_order, tuple(self.adapts))

    def sharing(self, problem: SetProblem) -> Shared:
        """How tasks of a network of classes share the trunk: one copy for those that see each
        other."""
        return lambda params, episodes, sees: full_sharing(sees, params[NOISE].dtype)

    @abstractmethod
    def fitted(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Params:
        """φ of one set [1, T, ...] whose tasks all see each other, or each itself: networks that
        `TrunkHeads.forward` takes rows through, with leading axes [1, T], or [T, 1] where tasks are
        sets of their own."""

    def answer(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Gaussian:
        mean = self.means(problem, params, episodes, sees)
        rows = self.of(problem).rows(episodes.roles)
        variance = variance_of(params, episodes.support, rows, sees)
        return Gaussian(mean, variance[..., None].expand_as(mean))

    def variants(self) -> tuple[Mapping[str, float], ...]:
        """Numbers of steps, up to that of training where their rates were learned, times factors on
        the rates."""
        more = (*TEST_STEPS, self.inner_steps) if self.learn_rates else (*TEST_STEPS, *MORE_STEPS)
        most = self.inner_steps if self.learn_rates else max(more)
        steps = sorted({one for one in more if one <= most} | {self.inner_steps})
        return tuple(
            {"inner_steps": count, "rate_factor": factor} for factor in FACTORS for count in steps
        )

    def varied(self, settings: Mapping[str, float]) -> Self:
        if not settings:
            return self
        steps, factor = int(settings["inner_steps"]), settings["rate_factor"]
        return replace(self, inner_steps=steps, rate_factor=factor)

    def moving(
        self,
        problem: SetProblem,
        params: Params,
        copies: Params,
        support: Batch,
        coupling: Tensor | int,
    ) -> Params:
        """φ from φ_0 `copies`."""
        return coupled_steps(
            self.of(problem),
            copies,
            support,
            coupling,
            rate=self.rate(params),
            steps=self.inner_steps,
            first_order=self.first_order,
            moves=frozenset(self.moved(problem)),
        )

    def rate(self, params: Params) -> Rate:
        """α_k; steps after those that it was trained with take the last."""
        if not self.learn_rates:
            return lambda step, name: self.rate_factor * self.inner_lr

        def learned(step: int, name: str) -> Tensor:
            rates = params[f"{RATES}.{name}"]
            return self.rate_factor * rates[min(step, len(rates) - 1)].exp()

        return learned

    def masked(self, roles: Tensor, rng: torch.Generator) -> Tensor:
        """Which tasks see each other in this step: all, or for a share of the sets each itself."""
        apart = torch.rand(len(roles), generator=rng).to(roles.device) < self.alone
        return torch.where(apart[:, None, None], alone(roles), together(roles))

    def of(self, problem: SetProblem) -> TrunkHeads:
        assert isinstance(problem.network, TrunkHeads)
        return problem.network


def noise_loss(found: Gaussian, query: Batch) -> Tensor:
    """The negative log-likelihood of the errors as they are: it fits the variance and does not
    weigh the errors."""
    error = (found.mean - query.y).square().detach()
    each = 0.5 * (found.variance.log() + error / found.variance)
    return mean_of_sets(each, query.mask).mean()
