"""MAML on sets of tasks. C. Finn, P. Abbeel, S. Levine, "Model-Agnostic Meta-Learning for Fast
Adaptation of Deep Networks", ICML 2017, https://arxiv.org/abs/1703.03400, algorithm 2, whose task
is here a set of tasks with a shared trunk and a head each, as in R. Upadhyay et al., "Multi-Task
Meta Learning: learn how to adapt to unseen tasks", 2022, https://arxiv.org/abs/2210.06989.

Idea: learn a trunk and heads from which a few gradient steps on all supports of a set, taken
together, give a good model of each of its tasks.

    trunk ← trunk − α_k (1/T) Σ_t ∇L_{S_t},   head_t ← head_t − α_k ∇L_{S_t}   (`inner_steps` times)
    direction = ∇_{θ,α} (1/B) Σ_i (1/T) Σ_t L_{Q_t}(φ_i)

Where we differ: every head follows its own task's loss, so its rate does not depend on the number
of tasks. The rates α_k are learned, one for every step and tensor (`learn_rates`), as in MAML++. A
share `alone` of the training sets adapts each task by itself. The predictive variance is a function
of a task's role and of the number of labels alone (`noise`).

α = `inner_lr` at first; `first_order` treats inner gradients as constants.
"""

from __future__ import annotations

from dataclasses import dataclass

from metacli.algorithms.meta_multitask.one_trunk import OneTrunk


@dataclass(frozen=True, kw_only=True)
class MMAML(OneTrunk):
    """All parameters move, the trunk's together."""
