"""What the learners repeat that adapt by a path of steps from θ: the family of MAML."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from metacli.algorithms.learner import Kind, Learner
from metacli.algorithms.meta.inner import (
    HeadName,
    InnerRule,
    count_classes,
    head_size,
    inner_path,
    query_gradient,
)
from metacli.nn.problem import Problem
from metacli.trees import without
from metacli.types import NO_STATE, Batch, Episode, Params, State, Update


class GradientLearner(Learner):
    """A leaf has fields `inner_steps` and, where it offers them, `head` and `first_order`; it
    writes `inner` and `direction`, and overrides nothing else but declarations and `init`."""

    has_path = True
    has_together = True

    @property
    def head(self) -> HeadName:
        """Where the head of φ_0 is from (`inner.start`)."""
        return "linear"

    @property
    def own(self) -> str | None:
        """How the names of its own learned parameters start: trained with θ, left out of φ."""
        return None

    @property
    def second_derivatives(self) -> bool:
        return not self.first_order

    @abstractmethod
    def inner(
        self, problem: Problem, params: Params, support: Batch, state: State, way: int
    ) -> list[Params]:
        """φ_0 .. φ_steps of one task, as whole parameter dicts; differentiable by θ unless the
        learner is of first order."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """A head made of class means needs classes."""
        return ("classification",) if self.head == "proto" else ("classification", "regression")

    def head_size(self, way: int) -> int | None:
        return head_size(self.head, way)

    def query_update(
        self, problem: Problem, params: Params, batch: Episode, state: State
    ) -> Update:
        """The direction of MAML: ∇_θ (1/B) Σ_i L_{Q_i}(φ_i), for the last φ of `inner`."""

        def end(at: Problem, theta: Params, support: Batch, way: int) -> Params:
            return self.inner(at, theta, support, state, way)[-1]

        gradient, metrics = query_gradient(self, end, problem, params, batch, own=self.own)
        return Update(gradient, state, metrics)

    def path(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> list[Params]:
        steps = self.inner(problem, params, support, state, count_classes(support.y, problem))
        return [self._kept(problem, phi, support) for phi in steps]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        steps = self.inner(problem, params, support, state, count_classes(support.y, problem))
        return self._kept(problem, steps[-1], support)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x)

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x, together=True)

    def _kept(self, problem: Problem, phi: Params, support: Batch) -> Params:
        network = phi if self.own is None else without(phi, self.own)
        return problem.freeze_statistics(network, support)


class DescentLearner(GradientLearner):
    """φ ← φ − rule(∇L_S(φ)), trained in the direction of MAML. A leaf has the same fields, writes
    `rule`, and overrides nothing else but declarations and `init`."""

    @abstractmethod
    def rule(self, params: Params) -> InnerRule:
        """What an inner step makes of a gradient, for θ with the learner's own parameters."""

    def inner(
        self, problem: Problem, params: Params, support: Batch, state: State, way: int
    ) -> list[Params]:
        return inner_path(
            problem,
            params,
            support,
            way=way,
            head=self.head,
            adapts=self.adapts,
            rule=self.rule(params),
            steps=self.inner_steps or 0,
            first_order=self.first_order,
        )

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        return self.query_update(problem, params, batch, state)
