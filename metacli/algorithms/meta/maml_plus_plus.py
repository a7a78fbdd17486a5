"""MAML++: A. Antoniou, H. Edwards, A. Storkey, "How to Train Your MAML", ICLR 2019,
https://arxiv.org/abs/1810.09502, section 4, equations 3 to 5.

Idea: MAML whose training is stable: the query loss after every inner step counts early in training
(MSL), the first part of training may be of first order (DA), and every tensor of parameters has a
learned inner rate for every step (LSLR).

    φ_{k+1} = φ_k − α_k ∇ L_S(φ_k),      direction = ∇_{θ,α} (1/B) Σ_i Σ_k v_k(t) L_{Q_i}(φ_{i,k})

v_k starts at 1/K; for k < K it falls linearly to 0.03/K and v_K gets the rest; from t =
`multi_step_until` on only v_K = 1 is left.

Where we differ: v falls at every step, in the authors' code at every epoch of 500. The defaults
are the authors' Omniglot settings: 10 epochs of MSL and no part of first order (the paper: 50
epochs). Left out: batch-normalisation parameters and statistics for each step, and the ensemble of
five checkpoints at test; the learned rates may become negative, as theirs. Gain and bias of a
normalisation are adapted. A step beyond the K that were trained has the rate of step K. The
cosine outer rate is `train.schedule`.

K = `inner_steps`; α_k = the learned numbers `maml_plus_plus.lr.<parameter>` [K], or `inner_lr`
where `learn_rates` is off; t = `state["step"]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta.gradient_learner import GradientLearner
from metacli.algorithms.meta.inner import (
    Descent,
    HeadName,
    Rate,
    count_classes,
    inner_path,
    learned_like,
    outer_gradient,
    query_loss,
)
from metacli.nn.problem import Problem
from metacli.types import Batch, Episode, Metrics, Params, State, Update

OWN = "maml_plus_plus."
LR = f"{OWN}lr."
NOW = f"{OWN}now"  # v_1 .. v_K of this step, which a compiled program must be given
FLOOR = 0.03  # of 1/K


@dataclass(frozen=True, kw_only=True)
class MAMLPlusPlus(GradientLearner):
    inner_lr: Annotated[float, Gt(0)] = 0.1
    inner_steps: Annotated[int, Ge(1), Le(1000)] = 5
    learn_rates: bool = True
    multi_step_until: Annotated[int, Ge(0)] = 5000
    first_order_until: Annotated[int, Ge(0)] = 0
    head: HeadName = "linear"

    second_derivatives = True

    own = OWN
    compiles = True

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        if not self.learn_rates:
            return {}, {"step": 0}
        moved = learned_like(problem, params)
        rates = {LR + n: v.new_full((self.inner_steps,), self.inner_lr) for n, v in moved.items()}
        return rates, {"step": 0}

    def step_weights(self, step: int) -> list[float]:
        """v_1 .. v_K, which sum to 1."""
        last = self.inner_steps - 1
        if step >= self.multi_step_until:
            return [0.0] * last + [1.0]
        early = max(1 - step / self.multi_step_until, FLOOR) / self.inner_steps
        return [early] * last + [1 - last * early]

    def inner(
        self, problem: Problem, params: Params, support: Batch, state: State, way: int
    ) -> list[Params]:
        return self.walk(problem, params, support, way, first_order=True)

    def walk(
        self, problem: Problem, params: Params, support: Batch, way: int, *, first_order: bool
    ) -> list[Params]:
        """`inner`; of first order where nobody asks for its gradient."""
        learned: Rate = lambda step, name: params[LR + name][min(step, len(params[LR + name]) - 1)]  # noqa: E731
        return inner_path(
            problem,
            params,
            support,
            way=way,
            head=self.head,
            rule=Descent(learned if self.learn_rates else self.inner_lr),
            steps=self.inner_steps,
            first_order=first_order,
        )

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way, step = count_classes(batch.query.y, problem), state["step"]
        weights = self.step_weights(step)
        counted = [k for k, weight in enumerate(weights) if weight > 0]
        first_order = step < self.first_order_until

        def task_loss(at: Problem, every: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            path = self.walk(at, every, episode.support, way, first_order=first_order)[1:]
            found = [
                query_loss(at, at.predict(path[k], episode.query.x, together=True), episode.query)
                for k in counted
            ]
            weighed = zip(counted, found, strict=True)
            losses = [every[NOW][k] * loss for k, (loss, _) in weighed]
            return torch.stack(losses).sum(), found[-1][1]

        like = next(iter(params.values()))
        gradient, metrics = outer_gradient(
            (self, way, tuple(counted), first_order),
            task_loss,
            problem,
            {**params, NOW: like.new_tensor(weights)},
            batch,
            LR,
        )
        return Update(gradient, {"step": step + 1}, metrics)
