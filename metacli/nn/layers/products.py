"""Layers of a task-batched network as matrix products with the channels last.

A compiler makes the best of a network of this form: every convolution is one product of rows of
patches with a matrix, per task where the weights are a task's own, and all that lies between two
products is sums along the rows, which it fuses. Without a compiler the layers are no faster than
torch's.

Shape letters: M images, C O channels in and out, H W an image, h w after the stride, L any.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.nn.layers.norms import BatchStatNorm, require_spread

KERNEL, PADDING, STRIDES = (3, 3), (1, 1), ((1, 1), (2, 2))


def as_products(module: nn.Module) -> nn.Module:
    """`module` with its 3x3 convolutions and batch normalisations replaced, in place; their
    parameters and names stay. Other layers stay what they are."""
    for name, layer in module.named_children():
        if isinstance(layer, nn.Conv2d) and can_be_product(layer):
            setattr(module, name, PatchConv(layer))
        elif isinstance(layer, BatchStatNorm):
            setattr(module, name, RowNorm(layer))
        else:
            as_products(layer)
    return module


def can_be_product(layer: nn.Conv2d) -> bool:
    """3x3, padding 1, stride 1 or 2, every channel with every other."""
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    fits = layer.kernel_size == KERNEL and layer.padding == PADDING and layer.stride in STRIDES
    return plain and fits


class PatchConv(nn.Module):
    """A 3x3 convolution as a product of patches [M·h·w, 9·C] with a matrix [9·C, O]."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride = layer.stride[0]

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W] -> [M, O, h, w]
        patches = patches_of(x.permute(0, 2, 3, 1), self.stride)  # [M, h, w, 9·C]
        weight = self.weight.permute(2, 3, 1, 0).reshape(-1, self.weight.shape[0])
        rows = patches.flatten(0, 2) @ weight
        if self.bias is not None:
            rows = rows + self.bias
        return rows.view(*patches.shape[:3], -1).permute(0, 3, 1, 2)


class RowNorm(nn.Module):
    """`BatchStatNorm` in training as a formula that can be differentiated twice and fused."""

    def __init__(self, layer: BatchStatNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps
        for name, value in layer.named_buffers():  # θ has them, too
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W]
        require_spread(x)
        last = x.permute(0, 2, 3, 1)
        rows = last.reshape(-1, x.shape[1])
        centred = rows - rows.mean(0)
        scale = torch.rsqrt(centred.square().mean(0) + self.eps) * self.weight
        return (centred * scale + self.bias).view(last.shape).permute(0, 3, 1, 2)


def rows_first(weight: Tensor) -> Tensor:
    """The weight of a convolution, laid out in memory as the matrix that `PatchConv` takes, so
    that neither it nor its gradient is turned round at every step of an inner loop."""
    if weight.dim() != 4:
        return weight
    return weight.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)


def patches_of(x: Tensor, stride: int) -> Tensor:  # [..., H, W, C] -> [..., h, w, 9·C]
    found: Tensor = _Patches.apply(x, stride)
    return found


class _Kept(Protocol):
    """What the forward pass keeps for the backward one."""

    stride: int
    size: torch.Size


class _Patches(torch.autograd.Function):
    """The 3x3 neighbourhoods of an image. Linear: its derivative is its adjoint, and that one's
    derivative is this again, so that any number of differentiations stays in this form."""

    @staticmethod
    def forward(x: Tensor, stride: int) -> Tensor:
        return _gather(x, stride)

    @staticmethod
    def setup_context(ctx: _Kept, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.stride, ctx.size = inputs[1], inputs[0].shape[-3:-1]

    @staticmethod
    def backward(ctx: _Kept, grad: Tensor) -> tuple[Tensor, None]:
        return _PatchSum.apply(grad, ctx.stride, *ctx.size), None

    @staticmethod
    def vmap(
        info: tuple[int, str], in_dims: tuple[int, ...], x: Tensor, stride: int
    ) -> tuple[Tensor, int]:
        return _Patches.apply(x.movedim(in_dims[0], 0), stride), 0


class _PatchSum(torch.autograd.Function):
    """The adjoint: every neighbourhood added onto the image where it came from."""

    @staticmethod
    def forward(patches: Tensor, stride: int, height: int, width: int) -> Tensor:
        return _scatter(patches, stride, height, width)

    @staticmethod
    def setup_context(ctx: _Kept, inputs: tuple[Tensor, int, int, int], output: Tensor) -> None:
        ctx.stride = inputs[1]

    @staticmethod
    def backward(ctx: _Kept, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _Patches.apply(grad, ctx.stride), None, None, None

    @staticmethod
    def vmap(
        info: tuple[int, str], in_dims: tuple[int, ...], patches: Tensor, *sizes: int
    ) -> tuple[Tensor, int]:
        return _PatchSum.apply(patches.movedim(in_dims[0], 0), *sizes), 0


def _gather(x: Tensor, stride: int) -> Tensor:  # [..., H, W, C] -> [..., h, w, 9·C]
    *lead, height, width, channels = x.shape
    padded = F.pad(x.reshape(-1, height, width, channels), (0, 0, 1, 1, 1, 1)).contiguous()
    row = (width + 2) * channels
    size = (len(padded), (height - 1) // stride + 1, (width - 1) // stride + 1, 3, 3 * channels)
    steps = ((height + 2) * row, stride * row, stride * channels, row, 1)
    # Three neighbours of a row lie side by side.
    return padded.as_strided(size, steps).reshape(*lead, *size[1:3], 9 * channels)


def _scatter(patches: Tensor, stride: int, height: int, width: int) -> Tensor:
    *lead, h, w, _ = patches.shape
    taps = patches.reshape(-1, h, w, 3, 3, patches.shape[-1] // 9)
    rows = _overlap(taps, 1, stride, height)  # [L, H, w, 3, C]
    return _overlap(rows, 2, stride, width).reshape(*lead, height, width, -1)


def _overlap(taps: Tensor, axis: int, stride: int, size: int) -> Tensor:
    """[.., n, (other axes), 3, ..] -> [.., size, (other axes), ..]: along `axis`, position i of
    tap k is added onto i·stride + k − 1. By padding, not in place, which a compiler unravels
    badly."""
    first, second, third = taps.unbind(3)
    if stride == 1:
        spread = sum(_shifted(tap, axis, k, 2 - k) for k, tap in enumerate((first, second, third)))
        return spread.narrow(axis, 1, size)  # type: ignore[union-attr]
    even = _shifted(first, axis, 0, 1) + _shifted(third, axis, 1, 0)
    odd = _shifted(second, axis, 0, 1)
    return torch.stack((even, odd), axis + 1).flatten(axis, axis + 1).narrow(axis, 1, size)


def _shifted(tap: Tensor, axis: int, before: int, behind: int) -> Tensor:
    """With zeros before and behind along `axis`."""
    return F.pad(tap, (*(0,) * 2 * (tap.dim() - 1 - axis), before, behind))
