"""iMAML: A. Rajeswaran, C. Finn, S. Kakade, S. Levine, "Meta-Learning with Implicit Gradients",
NeurIPS 2019, https://arxiv.org/abs/1909.04630, algorithms 1 and 2, equations 3, 6 and 7.

Idea: stay near θ while adapting. At the optimum of that problem the gradient by θ follows from
the optimum alone, whatever path led there, so nothing of the path is kept.

    φ_i = argmin_φ L_{S_i}(φ) + (λ/2) ‖φ − θ‖²
    direction = (1/B) Σ_i (I + ∇²L_{S_i}(φ_i) / λ)⁻¹ ∇L_{Q_i}(φ_i)

φ is found by gradient descent, the product with the inverse by conjugate gradients.

Where we differ: conjugate gradients start at ∇L_Q, first-order MAML's answer, and stop where the
curvature is not positive, which a network's can be; the authors start at zero and damp the matrix
to 2 I + H / (λ + 10). With a head that is not θ's own, ‖φ − θ‖ is measured from the head that φ
starts with, and the gradient goes on through how that was made.

λ = `proximal`; α = `inner_lr`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta.gradient_learner import GradientLearner
from metacli.algorithms.meta.inner import (
    Descent,
    HeadName,
    count_classes,
    movable,
    query_loss,
    rule_path,
    start,
    trained,
)
from metacli.autodiff import grad, mean_gradient
from metacli.nn.problem import Problem
from metacli.trees import detach, dot, flatten, pick, subtract, unflatten
from metacli.types import Batch, Episode, Metrics, Params, State, Update


@dataclass(frozen=True, kw_only=True)
class IMAML(GradientLearner):
    inner_lr: Annotated[float, Gt(0)] = 0.05
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 16
    proximal: Annotated[float, Gt(0)] = 2.0
    cg_steps: Annotated[int, Ge(0), Le(1000)] = 5
    head: HeadName = "linear"

    second_derivatives = True

    def inner(
        self, problem: Problem, params: Params, support: Batch, state: State, way: int
    ) -> list[Params]:
        return self.towards(problem, start(problem, params, support, self.head, way), support)

    def towards(self, problem: Problem, begin: Params, support: Batch) -> list[Params]:
        """The path from φ_0 towards the optimum; a constant."""
        center = movable(problem, begin)

        def near(phi: Params) -> Tensor:
            away = subtract(phi, center)
            return problem.loss_on({**begin, **phi}, support) + self.proximal / 2 * dot(away, away)

        path = rule_path(
            near, center, Descent(self.inner_lr), steps=self.inner_steps, first_order=True
        )
        return [{**begin, **phi} for phi in path]

    def implicit(self, problem: Problem, end: Params, episode: Episode) -> Params:
        """(I + H/λ)⁻¹ ∇L_Q at φ."""
        phi = movable(problem, end)

        def support_gradient(x: Params) -> Params:
            return grad(lambda p: problem.loss_on({**end, **p}, episode.support), x)

        def matrix(vector: Tensor) -> Tensor:
            v = unflatten(vector, phi)
            curved = grad(lambda x: dot(support_gradient(x), v), phi)
            return vector + flatten(curved) / self.proximal

        by_query = grad(lambda x: problem.loss_on({**end, **x}, episode.query), phi)
        return unflatten(conjugate_gradient(matrix, flatten(by_query), self.cg_steps), phi)

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way = count_classes(batch.query.y, problem)

        def task_loss(theta: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            begin = start(problem, {**params, **theta}, episode.support, self.head, way)
            end = self.towards(problem, detach(begin), episode.support)[-1]
            direction = detach(self.implicit(problem, end, episode))
            prediction = problem.predict(end, episode.query.x, together=True)
            _, metrics = query_loss(problem, prediction, episode.query)
            # Its gradient by φ_0 is the direction, which so goes on to θ where φ_0 is made of it.
            return dot(direction, pick(begin, direction)), metrics

        gradient, metrics = mean_gradient(task_loss, trained(problem, params), batch, problem.chunk)
        return Update(gradient, state, metrics)


def conjugate_gradient(matrix: Callable[[Tensor], Tensor], b: Tensor, steps: int) -> Tensor:
    """x with A x = b, from x = b, for a symmetric A that is only multiplied with. [P] -> [P].

    It stays where it is once pᵀAp is not positive: the residual is zero, or A bends downwards.
    """
    x, r = b, b - matrix(b)
    p, rr = r, r @ r
    for _ in range(steps):
        ap = matrix(p)
        going = p @ ap > 0
        step = torch.where(going, rr / torch.where(going, p @ ap, 1), 0)
        x, r = x + step * p, r - step * ap
        after = r @ r
        p = torch.where(going, r + after / torch.where(rr > 0, rr, 1) * p, 0)
        rr = after
    return x
