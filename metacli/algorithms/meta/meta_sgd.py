"""Meta-SGD: Z. Li, F. Zhou, F. Chen, H. Li, "Meta-SGD: Learning to Learn Quickly for Few-Shot
Learning", 2017, https://arxiv.org/abs/1707.09835, algorithm 1 and equation 5.

Idea: learn not only the initialisation θ but also the rate of every single parameter, and with it
the direction of the inner step.

    φ_i = θ − α ∘ ∇_θ L_{S_i}(θ),      direction = ∇_{θ,α} (1/B) Σ_i L_{Q_i}(φ_i)

Where we differ: all rates start at `inner_lr`; the authors draw one number from [0.005, 0.1]. They
take one step; with more, every step uses the same rates. A head that is built from the support has
one rate per feature, shared by its classes.

α = the learned numbers `meta_sgd.lr.<parameter>`, of the parameter's shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le

from metacli.algorithms.meta.gradient_learner import DescentLearner
from metacli.algorithms.meta.inner import Descent, HeadName, InnerRule, learned_like
from metacli.nn.problem import Problem
from metacli.trees import map_params
from metacli.types import Params, State

OWN = "meta_sgd."
LR = f"{OWN}lr."


@dataclass(frozen=True, kw_only=True)
class MetaSGD(DescentLearner):
    inner_lr: Annotated[float, Gt(0)] = 0.01
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 1
    first_order: bool = False
    head: HeadName = "linear"

    compiles = True
    own = OWN

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        rates = map_params(
            lambda value: torch.full_like(value, self.inner_lr), learned_like(problem, params)
        )
        return {LR + name: rate for name, rate in rates.items()}, {}

    def rule(self, params: Params) -> InnerRule:
        return Descent(lambda step, name: params[LR + name])
