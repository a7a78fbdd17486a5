"""MAML: C. Finn, P. Abbeel, S. Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
Networks", ICML 2017, https://arxiv.org/abs/1703.03400, algorithm 2. FOMAML (section 5.2) is
`first_order: true`. ANIL (A. Raghu et al., "Rapid Learning or Feature Reuse? Towards Understanding
the Effectiveness of MAML", ICLR 2020, https://arxiv.org/abs/1909.09157) is `adapts: [head.]`; BOIL
(J. Oh et al., "BOIL: Towards Representation Change for Few-shot Learning", ICLR 2021,
https://arxiv.org/abs/2008.08882) is `adapts: [backbone.]`.

Idea: learn an initialisation θ from which a few gradient steps on a support give a good model of
its task.

    φ_i = θ − α ∇_θ L_{S_i}(θ)   (repeated `inner_steps` times)
    direction = ∇_θ (1/B) Σ_i L_{Q_i}(φ_i)

Where we differ: the authors' code sums the inner loss over the ways instead of averaging, so its
inner rates of 0.4 (5-way) and 0.1 (20-way) are 2.0 here. A class's examples are averaged before
the classes are, which is the same where classes are balanced. `head: proto` and `head: shared`
(see `inner.start`) lift the restriction to a fixed way. `warm_up` outer steps begin the training
with no inner step, which costs a third: with `head: proto` that is ProtoNet's loss, so that the
inner loop starts from features that separate classes (Triantafillou et al. 2020 start Proto-MAML
from a trained network, too).

α = `inner_lr`; `adapts` = prefixes of the names that the inner loop moves ("" is everything).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le

from metacli.algorithms.meta.gradient_learner import DescentLearner
from metacli.algorithms.meta.inner import Descent, HeadName, InnerRule
from metacli.nn.problem import Problem
from metacli.types import Episode, Params, State, Update


@dataclass(frozen=True, kw_only=True)
class MAML(DescentLearner):
    inner_lr: Annotated[float, Gt(0)] = 0.01
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 5
    first_order: bool = False
    adapts: tuple[str, ...] = ("",)
    head: HeadName = "linear"
    warm_up: Annotated[int, Ge(0)] = 0

    compiles = True

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        return {}, {"step": 0} if self.warm_up else {}

    def rule(self, params: Params) -> InnerRule:
        return Descent(self.inner_lr)

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        step = state.get("step", 0)
        learner = replace(self, inner_steps=0) if step < self.warm_up else self
        after = {"step": step + 1} if self.warm_up else state
        return learner.query_update(problem, params, batch, state)._replace(state=after)
