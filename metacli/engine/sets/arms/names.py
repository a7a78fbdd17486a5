"""The arms of `evaluate`, and the settings that those of them that are trained choose from: sixteen
each.

joint, separate: the model, all tasks together or each alone; steps and rates at test time.
oracle: the model, every task seeing exactly those that the generator says it is related to.
multi_task, single_task: from scratch on the supports, with one trunk or without.
pretrained: one trunk of all meta-training tasks, with a new head.
"""

from __future__ import annotations

JOINT, SEPARATE, ORACLE = "joint", "separate", "oracle"
MULTI_TASK, SINGLE_TASK, PRETRAINED = "multi_task", "single_task", "pretrained"
FROM_SCRATCH = (MULTI_TASK, SINGLE_TASK)
TRAINED = (*FROM_SCRATCH, PRETRAINED)
ARMS = (JOINT, SEPARATE, ORACLE, *TRAINED)
RATES, STEPS = (1e-3, 3e-3, 1e-2, 3e-2), (25, 50, 100, 200)  # of Adam
TRUNK_RATES, TRUNK_STEPS = (1e-3, 3e-3), (500, 1000)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # of the new head
POINTS = (5, 10, 20)  # of sets, that `evaluate` measures where it is not asked for others
SEED = 0  # of random starts
