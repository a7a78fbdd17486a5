"""CAVIA: L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson, "Fast Context Adaptation via
Meta-Learning", ICML 2019, https://arxiv.org/abs/1810.03642, algorithm 1, sections 3.2 and 3.3.

Idea: a task is a few numbers, the context c, which an inner loop finds from zero; the network θ is
shared by all tasks and moves in the outer loop alone.

    c_i = 0 − α ∇_c L_{S_i}(c, θ)   (repeated),      direction = ∇_θ (1/B) Σ_i L_{Q_i}(c_i, θ)

How c enters: biases and gains b of the backbone become b + A_b c with learned A_b. On the first
layer of an MLP (`modulates: [backbone.0.]`) this is the paper's concatenation of c to the inputs,
and on a normalisation layer (`modulates: [backbone.2.norm.]`) its FiLM of the channels.

Where we differ: by default every layer of the backbone is modulated, in the paper one. The linear
layer that makes the paper's FiLM has biases of its own, which are b here. A is initialised
uniformly within ±1/√C. The head is shared by all tasks; `proto` builds it from the support at c =
0.

C = `context`; α = `inner_lr`; A = the learned numbers `cavia.map.<parameter>` [len(b), C].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from zlib import crc32

import torch
from annotated_types import Ge, Gt, Le

from metacli.algorithms.meta.gradient_learner import GradientLearner
from metacli.algorithms.meta.inner import Descent, rule_path, start, trained
from metacli.errors import RecipeError
from metacli.nn.problem import Problem
from metacli.trees import select, without
from metacli.types import Batch, Episode, Params, State, Update

OWN = "cavia."
MAP = f"{OWN}map."


@dataclass(frozen=True, kw_only=True)
class CAVIA(GradientLearner):
    inner_lr: Annotated[float, Gt(0)] = 1.0
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 1
    context: Annotated[int, Ge(1), Le(10_000)] = 5
    modulates: tuple[str, ...] = ("backbone.",)
    first_order: bool = False
    head: Literal["linear", "proto"] = "linear"

    own = OWN
    compiles = True

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        theta = trained(problem, params)
        vectors = {n: v for n, v in select(theta, self.modulates).items() if v.dim() == 1}
        if not vectors:
            raise RecipeError(
                f"no bias or gain of the network starts with any of {', '.join(self.modulates)}",
                code="recipe.value",
                where="algorithm.modulates",
                hint=f"the network has {', '.join(n for n, v in theta.items() if v.dim() == 1)}",
            )
        rng, bound = torch.Generator().manual_seed(seed_of(theta)), self.context**-0.5
        return {
            MAP + name: (torch.rand(len(v), self.context, generator=rng) * 2 * bound - bound).to(v)
            for name, v in vectors.items()
        }, {}

    def inner(
        self, problem: Problem, params: Params, support: Batch, state: State, way: int
    ) -> list[Params]:
        maps = {name.removeprefix(MAP): value for name, value in select(params, (MAP,)).items()}
        begin = start(problem, without(params, OWN), support, self.head, way)

        def network(fast: Params) -> Params:
            return {**begin, **{n: begin[n] + A @ fast["context"] for n, A in maps.items()}}

        found = rule_path(
            lambda fast: problem.loss_on(network(fast), support),
            {"context": next(iter(maps.values())).new_zeros(self.context)},
            Descent(self.inner_lr),
            steps=self.inner_steps,
            first_order=self.first_order,
        )
        return [network(fast) for fast in found]

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        return self.query_update(problem, params, batch, state)


def seed_of(theta: Params) -> int:
    """A seed that follows from θ, so that every run draws its own A; 0 where θ has shapes alone."""
    value = theta[max(theta, key=lambda name: theta[name].numel())].flatten()[0]
    if value.is_meta:
        return 0
    return crc32(repr(float(value)).encode())
