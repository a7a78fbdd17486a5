"""Losses and metrics of single examples, and their means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.types import Batch


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:  # [M, N], [M] -> [M]
    return F.cross_entropy(logits, y, reduction="none")


def squared_error(prediction: Tensor, y: Tensor) -> Tensor:  # [M, outputs] twice -> [M]
    return (prediction - y).square().flatten(1).mean(1)


def hits(logits: Tensor, y: Tensor) -> Tensor:  # [M, N], [M] -> [M]
    return (logits.argmax(-1) == y).to(logits.dtype)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:  # [M] -> []
    if mask is None:
        return values.mean()
    return torch.where(mask, values, 0).sum() / mask.sum()


def membership(y: Tensor, way: int, mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    """1 where example m belongs to class n, [M, N]; rows that are masked out are zero.
    (`F.one_hot` fails in vmap.)"""
    member = y[:, None] == torch.arange(way, device=y.device)
    if mask is not None:
        member = member & mask[:, None]
    return member.to(dtype)


def class_mean(values: Tensor, batch: Batch, way: int) -> Tensor:  # [M] -> []
    """The mean over the classes present of each class's mean."""
    member = membership(batch.y, way, batch.mask, values.dtype)  # [M, N]
    counts = member.sum(0)  # [N]
    weights = (member / counts.clamp(min=1)).sum(1) / (counts > 0).sum()  # [M]
    return (values * weights).sum()
