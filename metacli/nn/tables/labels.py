"""The labels of a support as the network of `tables-prior` reads them: a number for each row and
stream.

Shape letters: B tables, K streams (a class each; one of a regression), M support rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BENT = 4.0  # standard deviations, where far labels begin to count less
PRESENT = 0.5  # of an example of every class, beside those of the support


class Known(NamedTuple):
    """Args:
    labels: [B, K, M], of about unit scale. share: of each class, [B, K, 1]; 0 of a regression.
    """

    labels: Tensor
    share: Tensor


def of_classes(member: Tensor) -> Known:
    """Of [B, M, K], 1 where a row is of a class: centred and scaled by the class's share."""
    rows, classes = member.shape[1:]
    member = member.transpose(1, 2)
    share = (member.sum(-1, keepdim=True) + PRESENT) / (rows + PRESENT * classes)
    return Known((member - share) / (share * (1 - share)).sqrt(), share)


def of_values(y: Tensor) -> Known:
    """Of values [B, M]: centred and scaled, far ones bent towards the others."""
    mean, scale = moments(y)
    return of_scaled((y - mean) / scale)


def of_scaled(z: Tensor) -> Known:
    """Of values [B, M] that are centred and scaled; far ones bent towards the others."""
    labels = z[:, None] / torch.sqrt(1 + (z[:, None] / BENT).square())
    return Known(labels, torch.zeros_like(labels[..., :1]))


def moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of values [B, M], both [B, 1]; 1 where all are the same."""
    mean = y.mean(1, keepdim=True)
    scale = (y - mean).square().mean(1, keepdim=True).sqrt()
    return mean, torch.where(scale > 0, scale, torch.ones_like(scale))
