"""MAML with Adam inside: MAML (C. Finn, P. Abbeel, S. Levine, ICML 2017,
https://arxiv.org/abs/1703.03400, algorithm 2) whose inner steps are Adam's (D. P. Kingma, J. Ba,
ICLR 2015, https://arxiv.org/abs/1412.6980, algorithm 1) and are differentiated, moments and all.

Idea: an inner step that is as long for every parameter, whatever the scale of its gradient.

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   φ ← φ − α m̂ / √(v̂ + ε²)
    direction = ∇_θ (1/B) Σ_i L_{Q_i}(φ_i)

with m̂ = m / (1 − β₁^k) and v̂ = v / (1 − β₂^k) in the k-th step; both moments begin at 0 in every
task.

Where we differ: ε² stands under the root, where Adam adds ε to it: the root has no slope at 0,
which is the gradient of an idle unit. A first step is the sign of the gradient, without a slope:
through it θ learns where to begin, but not how to bend the step, so that second order pays from two
steps on.

α = `inner_lr`, β₁ = `beta1`, β₂ = `beta2`, ε = `eps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt

from metacli.algorithms.meta.gradient_learner import DescentLearner
from metacli.algorithms.meta.inner import HeadName, InnerRule, Memory
from metacli.trees import map_params
from metacli.types import Params


@dataclass(frozen=True)
class Adam:
    """The rule of an inner step."""

    lr: float
    beta1: float
    beta2: float
    eps: float

    def init(self, phi: Params) -> Memory:
        return map_params(torch.zeros_like, phi), map_params(torch.zeros_like, phi)

    def update(self, step: int, gradient: Params, memory: Memory) -> tuple[Params, Memory]:
        # Sums and no `lerp`, for which ONNX has no word in every layout.
        first = map_params(lambda m, g: self.beta1 * m + (1 - self.beta1) * g, memory[0], gradient)
        second = map_params(
            lambda v, g: self.beta2 * v + (1 - self.beta2) * g * g, memory[1], gradient
        )
        left, right = 1 - self.beta1 ** (step + 1), 1 - self.beta2 ** (step + 1)
        move = map_params(
            lambda m, v: self.lr * (m / left) / (v / right + self.eps**2).sqrt(), first, second
        )
        return move, (first, second)


@dataclass(frozen=True, kw_only=True)
class MAMLAdam(DescentLearner):
    inner_lr: Annotated[float, Gt(0)] = 0.01
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 5
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: Annotated[float, Gt(0)] = 1e-6
    first_order: bool = False
    head: HeadName = "linear"

    def rule(self, params: Params) -> InnerRule:
        return Adam(self.inner_lr, self.beta1, self.beta2, self.eps)
