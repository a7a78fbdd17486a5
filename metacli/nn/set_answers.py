"""What is said of the queries of a set whose tasks may be classifications, and how wrong it is.

Shape letters: B sets, T tasks, Q queries of a task, N classes of the task with the most.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.types import Batch


class SetAnswers(NamedTuple):
    """For every query of every task.

    Args:
        logits: [B, T, Q, N], -inf of a class that a task does not have or that nobody showed.
        mean, variance: of a regression, [B, T, Q]; without a meaning where a task has classes.
    """

    logits: Tensor
    mean: Tensor
    variance: Tensor


def class_losses(found: SetAnswers, query: Batch, ways: Tensor) -> Tensor:
    """The cross-entropy of each query, [B, T, Q]; 0 of a regression, and of what is masked."""
    classified = (ways > 0)[..., None].expand_as(query.y)
    classified = classified if query.mask is None else classified & query.mask
    logits = torch.where(classified[..., None], found.logits, 0)
    y = torch.where(classified, query.y, 0).long()
    each = F.cross_entropy(logits.flatten(0, 2), y.flatten(), reduction="none").view_as(query.y)
    return torch.where(classified, each, 0)


def class_hits(found: SetAnswers, query: Batch) -> Tensor:
    """1 where the class with the largest logit is that of the query, [B, T, Q]."""
    return (found.logits.argmax(-1) == query.y).to(found.logits.dtype)


def bar_absent(logits: Tensor, shown: Tensor) -> Tensor:
    """-inf for the classes that are not shown, [B, T, N] of logits [B, T, Q, N]."""
    return logits.masked_fill(~shown[:, :, None], -math.inf)


def classes_shown(support: Batch, ways: Tensor, sees: Tensor | None, most: int) -> Tensor:
    """bool [B, T, N]: whether the support of a task holds an example of a class.

    Args:
        sees: where labels are the same in every task, [B, T, T]: an example of any task that is
            seen counts.
    """
    member = membership_of(support, ways, most).any(2)
    if sees is None:
        return member
    found = (sees.to(torch.int) @ member.to(torch.int)) > 0
    return found & (torch.arange(most, device=ways.device) < ways[..., None])


def membership_of(support: Batch, ways: Tensor, most: int) -> Tensor:
    """bool [B, T, M, N]: whether a labelled row of a classification is of class n."""
    numbers = torch.arange(most, device=support.y.device)
    member = (support.y[..., None] == numbers) & (ways > 0)[..., None, None]
    return member if support.mask is None else member & support.mask[..., None]
