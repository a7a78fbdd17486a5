"""ANIL on sets of tasks. A. Raghu, M. Raghu, S. Bengio, O. Vinyals, "Rapid Learning or Feature
Reuse? Towards Understanding the Effectiveness of MAML", ICLR 2020,
https://arxiv.org/abs/1909.09157, section 5, for a set with a last layer W that its tasks share.

Idea: features are learned in the outer loop alone; the inner loop moves the last layer of the
trunk, by the mean of the tasks' gradients, and the heads, each by its own.

    W ← W − α_k (1/T) Σ_t ∇_W L_{S_t},   head_t ← head_t − α_k ∇L_{S_t}   (`inner_steps` times)
    direction = ∇_{θ,α} (1/B) Σ_i (1/T) Σ_t L_{Q_t}(θ_features, W_i, head_i,t)

Where we differ: the paper's inner loop moves the head alone. With a head for each task nothing
would pass between tasks and joint adaptation would be separate adaptation, so the layer below the
heads, which they share, moves too; of classifications on any backbone the heads alone move, which
tasks share where they share their labels. The rates α_k are learned, and `alone` and the predictive
variance are as for `mmaml`.

W = weight and bias of the last layer of the trunk; α = `inner_lr` at first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from metacli.algorithms.meta_multitask.class_steps import HEADS, InnerSteps
from metacli.algorithms.meta_multitask.one_trunk import OneTrunk
from metacli.nn.set_problem import SetProblem
from metacli.nn.trunk_classes import TrunkClasses
from metacli.nn.trunk_heads import HEAD
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class MANIL(OneTrunk):
    """The last layer of the trunk and the heads move."""

    def moved(self, problem: SetProblem) -> tuple[str, ...]:
        if isinstance(problem.network, TrunkClasses):
            return HEADS
        last = f"trunk.{len(self.of(problem).hidden) - 1}"
        return (f"{last}.weight", f"{last}.bias", *HEAD)

    def descent(self, params: Params) -> InnerSteps:
        return replace(super().descent(params), moves=HEADS)
