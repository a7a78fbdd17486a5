"""Meta-Curvature: E. Park, J. B. Oliva, "Meta-Curvature", NeurIPS 2019,
https://arxiv.org/abs/1902.03356, equations 4 to 8 (MC1).

Idea: MAML whose inner gradients are bent by learned matrices, which are the same for every task:
one for the outputs of a layer, one for its inputs and one for the places of a filter.

    MC(G) = G ×₃ M_f ×₂ M_i ×₁ M_o,      φ ← φ − α MC(∇L_S(φ)),      all M = I at the start
    direction = ∇_{θ,M} (1/B) Σ_i L_{Q_i}(φ_i)

Where we differ: a bias has M_o alone; a head that is built from the support, or that all classes
start from, has no M_o over its classes but a number. With more inner steps than one every step uses
the same M.

α = `inner_lr`; M = the learned parameters `metacurvature.out.<parameter>` [O, O], `.in.` [I, I] and
`.filter.` [F, F] with F = kernel height · width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta.gradient_learner import DescentLearner
from metacli.algorithms.meta.inner import Descent, HeadName, InnerRule, learned_like
from metacli.nn.problem import Problem
from metacli.types import Params, State

OWN = "metacurvature."
OUT, IN, FILTER = f"{OWN}out.", f"{OWN}in.", f"{OWN}filter."


@dataclass(frozen=True, kw_only=True)
class MetaCurvature(DescentLearner):
    inner_lr: Annotated[float, Gt(0)] = 0.01
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 1
    first_order: bool = False
    head: HeadName = "linear"

    own = OWN

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        found: Params = {}
        for name, value in learned_like(problem, params).items():
            sizes = value.flatten(2).shape if value.dim() > 2 else value.shape
            for kind, size in zip((OUT, IN, FILTER), sizes, strict=False):
                found[kind + name] = torch.eye(size, dtype=value.dtype, device=value.device)
        return found, {}

    def rule(self, params: Params) -> InnerRule:
        def curvature(gradient: Params) -> Params:
            return {name: curved(value, name, params) for name, value in gradient.items()}

        return Descent(self.inner_lr, curvature)


def curved(gradient: Tensor, name: str, params: Params) -> Tensor:
    """MC of the gradient of one parameter, [O], [O, I] or [O, I, h, w]."""
    out = params[OUT + name]
    # A copy in rows: a program that is written out may meet a gradient in another layout.
    gradient = gradient.clone(memory_format=torch.contiguous_format)
    flat = gradient.flatten(2) if gradient.dim() > 2 else gradient
    if gradient.dim() > 2:
        flat = params[IN + name] @ (flat @ params[FILTER + name].T)
    elif gradient.dim() == 2:
        flat = flat @ params[IN + name].T
    rows = flat.flatten(1) if gradient.dim() > 2 else flat
    bent = out * flat if len(out) == 1 else out @ rows
    return bent.reshape(gradient.shape)
