"""Operations that ONNX has no word for, written with operations that it has.

They are the backward passes of a convolution and of max-pooling, which a learner's inner gradient
steps need, and the solution of a linear system, which ridge regression needs.

Shape letters: M examples, G groups, O and C channels out and in, H W an image, h w its output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
_PLAIN = (False, [0, 0], 1)  # not transposed, no output padding, one group

# Newton's iteration doubles the correct digits of an inverse once κ of the condition number is used
# up, one step for each factor of 2: enough for κ = 1e9 to the precision of float64.
NEWTON_STEPS = 36


def convolution_backward(
    grad: Tensor,  # [M, O, h, w]
    x: Tensor,  # [M, C, H, W]
    weight: Tensor,  # [O, C / G, kh, kw]
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients by input, weight and bias of a 2-D convolution."""
    if transposed or x.dim() != 4:
        raise NotImplementedError("the gradient of this kind of convolution")
    by_input = by_weight = None
    if wanted[0]:
        # What the strides left over at the lower right edge.
        rest = [
            x.shape[2 + i]
            - ((grad.shape[2 + i] - 1) * stride[i] - 2 * padding[i])
            - dilation[i] * (weight.shape[2 + i] - 1)
            - 1
            for i in range(2)
        ]
        by_input = aten.convolution(
            grad, weight, None, stride, padding, dilation, True, rest, groups
        )
    if wanted[1]:
        by_weight = _by_weight(grad, x, weight, stride, padding, dilation, groups)
    return by_input, by_weight, grad.sum((0, 2, 3)) if wanted[2] else None


def _by_weight(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """∂/∂w[o, c, i, j] = Σ_{m,h,w} grad[m, o, h, w] · x[m, c, h s + i d, w s + j d]: a convolution
    itself, with examples as channels, grad as the kernel, and stride and dilation exchanged."""
    parts = [
        aten.convolution(
            seen.transpose(0, 1), one.transpose(0, 1), None, dilation, padding, stride, *_PLAIN
        )  # [C/G, O/G, ...]
        for seen, one in zip(x.chunk(groups, 1), grad.chunk(groups, 1), strict=True)
    ]
    found = (
        torch.cat([one.transpose(0, 1) for one in parts])
        if groups > 1
        else parts[0].transpose(0, 1)
    )
    return found[:, :, : weight.shape[2], : weight.shape[3]]  # strides may have left more over


def max_pool_backward(
    grad: Tensor,  # [M, C, h, w]
    x: Tensor,  # [M, C, H, W]
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Tensor,  # [M, C, h, w], of the largest value in its image
) -> Tensor:
    """Each gradient goes to where its value came from."""
    empty = torch.zeros_like(x).flatten(2)
    return empty.scatter_add(2, indices.flatten(2), grad.flatten(2)).view(x.shape)


def solve(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A⁻¹ B for a symmetric positive definite A, in float64: the systems of ridge regression.

    Newton's iteration X ← X (2 I − A X) from X = I / ‖A‖_∞, with which it converges for every such
    A, and of which every step is a product of matrices. Nobody uses the factors that the operation
    also gives.
    """
    assert left
    A64 = A.to(torch.float64)
    eye = torch.eye(A.shape[-1], dtype=torch.float64)
    inverse = eye / A64.abs().sum(-1).max()
    for _ in range(NEWTON_STEPS):
        inverse = inverse @ (2 * eye - A64 @ inverse)
    found = (inverse @ B.to(torch.float64)).to(B.dtype)
    codes = torch.zeros(A.shape[:-1], dtype=torch.int32)
    return found, A, codes, codes[..., 0]


OWN: dict[Any, Callable[..., Any]] = {
    aten.convolution_backward.default: convolution_backward,
    aten.max_pool2d_with_indices_backward.default: max_pool_backward,
    aten._linalg_solve_ex.default: solve,
}


def _table() -> dict[Any, Callable[..., Any]]:
    table = torch.export.default_decompositions()
    table.update(OWN)
    return table


TABLE = _table()
