"""LEEP: C. V. Nguyen, T. Hassner, M. Seeger, C. Archambeau, "LEEP: A New Measure to Evaluate
Transferability of Learned Representations", ICML 2020, https://arxiv.org/abs/2002.12462,
equation 2; and NCE: A. T. Tran, C. V. Nguyen, T. Hassner, ICCV 2019,
https://arxiv.org/abs/1908.08142, equation 5.

Idea: how well the *classes* that a source was trained on, seen as noisy labels of the target's
rows, tell the target's classes.

    P(y, z) = (1/n) Σ_i 1[y_i = y] θ(x_i)_z,      LEEP = (1/n) Σ_i log Σ_z P(y_i | z) θ(x_i)_z
    NCE = −H(Y | Z) = (1/n) Σ_i log P(y_i | z_i),      z_i = argmax_z θ(x_i)_z

Where we differ: nothing. Both are for sources that are classifiers; higher is better.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metacli.algorithms.transfer.logme import one_hot


def leep(source: Tensor, y: Tensor) -> float:
    """From the source's probabilities [M, Z] of its own classes and the target's labels [M]."""
    theta = source.detach().double()
    given = conditional(one_hot(y).T @ theta)  # [N, Z]
    return float((given[y] * theta).sum(1).log().mean())


def nce(source: Tensor, y: Tensor) -> float:
    """From the same, by the source's most probable class alone."""
    z = source.argmax(1)
    hard = torch.eye(source.shape[1], dtype=torch.float64, device=y.device)[z]
    return float(conditional(one_hot(y).T @ hard)[y, z].log().mean())


def conditional(joint: Tensor) -> Tensor:  # [N, Z] -> [N, Z]
    """P(y | z) of counts; zero where a z never comes."""
    return joint / joint.sum(0).clamp(min=1e-300)
