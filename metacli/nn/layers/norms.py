"""Normalisation layers by name, all without hidden state that a forward pass would change.

`batch`, `task` and `running` normalise with the statistics of the batch while the module is in
training mode. In evaluation mode they use the stored ones, which are buffers and so travel in
`Params`: taken from a task's support (`batch`, `task`) or averaged over training (`running`). No
forward pass writes to them (`Problem.batch_statistics` computes them), which is what lets gradients
of gradients and `torch.vmap` through.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.errors import DataError

NormName = Literal["batch", "running", "task", "group", "layer", "none"]


class BatchStatNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) whose stored statistics are given, never updated
    in place."""

    mean: Tensor
    var: Tensor
    under_vmap: bool = True  # False where it is known not to be

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, ...]
        if self.training:
            return batch_normed(x, self.weight, self.bias, self.eps, under_vmap=self.under_vmap)
        return F.batch_norm(
            x, self.mean, self.var, self.weight, self.bias, training=False, eps=self.eps
        )

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """What of a batch is stored, by buffer."""
        return moments(x)


class TaskNorm(nn.Module):
    """TaskNorm-I (Bronskill et al., "TaskNorm: Rethinking Batch Normalization for Meta-Learning",
    ICML 2020, https://arxiv.org/abs/2003.03284).

    Each example is normalised by a blend of its own moments and those of the support, and the
    larger the support, the more its moments can be trusted:

        α = sigmoid(scale · |support| + offset)
        μ = α μ_S + (1 − α) μ_x,    σ² = α (σ_S² + (μ_S − μ)²) + (1 − α) (σ_x² + (μ_x − μ)²)

    `scale` and `offset` are learned, from 0. Where we differ: while a learner trains, a query set
    is normalised by its own moments and size, as with `batch`; the paper uses its support's there,
    too. Predictions use the support's.
    """

    mean: Tensor
    var: Tensor
    size: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = nn.Parameter(torch.zeros(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.register_buffer("size", torch.ones(()))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        for parameter in (self.bias, self.scale, self.offset):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W]
        own_var, own_mean = torch.var_mean(x, (2, 3), correction=0)  # [M, C]
        stored = {"mean": self.mean, "var": self.var, "size": self.size}
        found = self.statistics(x) if self.training else stored
        alpha = torch.sigmoid(self.scale * found["size"] + self.offset)
        mean = alpha * found["mean"] + (1 - alpha) * own_mean
        var = alpha * (found["var"] + (found["mean"] - mean).square()) + (1 - alpha) * (
            own_var + (own_mean - mean).square()
        )
        gain = self.weight / (var + self.eps).sqrt()  # [M, C]
        return x * gain[..., None, None] + (self.bias - mean * gain)[..., None, None]

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """What of a batch is stored, by buffer."""
        return {**moments(x), "size": x.new_full((), x.shape[0])}


def batch_normed(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, *, under_vmap: bool
) -> Tensor:
    """x [M, C, ...] normalised by its own statistics."""
    require_spread(x)
    if not under_vmap:
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    # A channel over the whole batch, as one group of one long example: torch 2.15 differentiates
    # F.batch_norm wrongly, silently, a second time inside vmap.
    channels_first = x.transpose(0, 1)
    flat = channels_first.reshape(1, x.shape[1], -1)
    normed = F.group_norm(flat, x.shape[1], weight, bias, eps)
    return normed.view(channels_first.shape).transpose(0, 1)


def require_spread(x: Tensor) -> None:
    """Raises DataError where a channel has one value, which no normalisation can tell from zero."""
    if x.numel() == x.shape[1]:
        raise DataError(
            "batch statistics of one value: the batch is one example, and the network has shrunk "
            "it to a map of 1x1",
            code="data.no_statistics",
            hint="backbone.norm=group or layer, larger images, or more than one example",
        )


def moments(x: Tensor) -> dict[str, Tensor]:
    """Mean and variance of each channel, [C]."""
    require_spread(x)
    axes = [axis for axis in range(x.dim()) if axis != 1]
    var, mean = torch.var_mean(x, axes, correction=0)
    return {"mean": mean, "var": var}


WITH_STATISTICS = (BatchStatNorm, TaskNorm)


def make_norm(name: NormName, channels: int, groups: int = 8) -> nn.Module:
    """The layer for [M, C, H, W]; `layer` is over (C, H, W) of each example, `group` over 8 groups
    of channels, or fewer where 8 do not divide them."""
    if name in ("batch", "running"):
        return BatchStatNorm(channels)
    if name == "task":
        return TaskNorm(channels)
    if name == "group":
        even = max(count for count in range(1, groups + 1) if channels % count == 0)
        return nn.GroupNorm(even, channels)
    if name == "layer":
        return nn.GroupNorm(1, channels)
    return nn.Identity()
