"""What `tables-prior` says of a row: a distribution over classes, or over the numbers.

Shape letters: B tables, Q query rows, N classes, J components of a mixture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

COMPONENTS = 5
LEAST_SCALE = 0.01  # of a component, in standard deviations of the support's values


class Mixture(NamedTuple):
    """A mixture of Gaussians: logarithms of the weights, means and scales, each [B, Q, J]."""

    logs: Tensor
    means: Tensor
    scales: Tensor

    @property
    def mean(self) -> Tensor:
        """[B, Q]."""
        return (self.logs.exp() * self.means).sum(-1)

    def log_density(self, y: Tensor) -> Tensor:
        """At y [B, Q]."""
        z = (y[..., None] - self.means) / self.scales
        each = -0.5 * z.square() - self.scales.log() - 0.5 * math.log(2 * math.pi)
        return torch.logsumexp(self.logs + each, -1)

    def below(self, y: Tensor) -> Tensor:
        """The probability of less than y [B, Q]."""
        z = (y[..., None] - self.means) / self.scales
        found: Tensor = (self.logs.exp() * torch.special.ndtr(z)).sum(-1)
        return found


def mixture_of(out: Tensor, moved: Tensor) -> Mixture:
    """Of the network's numbers [B, Q, 3 J], with all means moved by [B, Q, 1]."""
    logs, means, raw = out.chunk(3, -1)
    return Mixture(torch.log_softmax(logs, -1), moved + means, LEAST_SCALE + F.softplus(raw))
