"""TIM: M. Boudiaf, I. Ziko, J. Rony, J. Dolz, P. Piantanida, I. Ben Ayed, "Transductive Information
Maximization For Few-Shot Learning", NeurIPS 2020, https://arxiv.org/abs/2008.11297: TIM-ADM,
propositions 1 and 2.

Idea: class weights under which queries that are answered together have sure labels (small H(Y|X))
of every class (large H(Y)), while the support keeps its own.

    p_n(x) ∝ exp(−τ/2 ‖w_n − z‖²),   z = f_θ(x) / ‖f_θ(x)‖,   w_n = mean of z over S of class n
    together, T times, with S the support and Q the queries:
        q_in ∝ p_in^{1+α} / (Σ_{i∈Q} p_in^{1+α})^{1/2}
        w_n ← (λ/(1+α) Σ_{i∈S} [y_in z_i + p_in (w_n − z_i)]
               + |S|/|Q| Σ_{i∈Q} [q_in z_i + p_in (w_n − z_i)])
              / (λ/(1+α) Σ_{i∈S} y_in + |S|/|Q| Σ_{i∈Q} q_in)

Where we differ: answers for one query at a time are those of the first line; only what asks for
answers together (`predict --together`) gets the rest. τ = `scale` (15 in the paper), which is
picked on folds of the support where it is not given, by answers for one query at a time;
λ = `weight`, α = `alpha`, T = `steps` are the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.bd_cspn import EXAMPLES, LABELS, prototypes, stored
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"scale": (5.0, 15.0, 30.0)}


@dataclass(frozen=True, kw_only=True)
class TIM(Transfer):
    scale: Annotated[float, Gt(0)] | None = None
    weight: Annotated[float, Gt(0)] = 0.1
    alpha: Annotated[float, Ge(0)] = 0.1
    steps: Annotated[int, Ge(0), Le(10_000)] = 150

    kinds = ("classification",)
    frozen = True
    has_together = True

    def usual(self) -> Self:
        return filled(self, {"scale": 15.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = F.normalize(problem.embed(frozen, x))
        w = prototypes(stored(problem, features, support))
        return [(one, one.logits(query, w)) for one in choices(self, GRID)]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **stored(problem, features, support)}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        query = F.normalize(problem.embed(adapted, x))
        return self.usual().logits(query, prototypes(adapted))

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        one, query = self.usual(), F.normalize(problem.embed(adapted, x))
        w = prototypes(adapted)
        for _ in range(self.steps):
            w = one.moved(w, adapted[EXAMPLES], adapted[LABELS], query)
        return one.logits(query, w)

    def moved(self, w: Tensor, support: Tensor, y: Tensor, query: Tensor) -> Tensor:
        """w [N, D] after one more step, of support [S, D], y [S, N] and queries [Q, D]."""
        p_s, p_q = (torch.softmax(self.logits(z, w), 1) for z in (support, query))
        sharp = p_q ** (1 + self.alpha)
        q = sharp / sharp.sum(0).sqrt()
        q = q / q.sum(1, keepdim=True)
        of_support, of_queries = self.weight / (1 + self.alpha), len(support) / len(query)
        above = of_support * (y.T @ support + pulled(w, p_s, support))
        above = above + of_queries * (q.T @ query + pulled(w, p_q, query))
        below = of_support * y.sum(0) + of_queries * q.sum(0)
        return above / below[:, None]

    def logits(self, z: Tensor, w: Tensor) -> Tensor:  # [M, D], [N, D] -> [M, N]
        assert self.scale is not None
        squares = z.square().sum(1, keepdim=True) + w.square().sum(1)
        return -self.scale / 2 * (squares - 2 * z @ w.T)


def pulled(w: Tensor, p: Tensor, z: Tensor) -> Tensor:
    """Σ_i p_in (w_n − z_i), [N, D]."""
    return w * p.sum(0)[:, None] - p.T @ z
