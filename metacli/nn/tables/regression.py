"""A Gaussian process inside the network of `tables-prior`: what a kernel between rows, whose
numbers are meta-learned and whose columns count as much as the network says, makes of the labels.

    k(i, j) = a (Σ_c w_c φ_ic·φ_jc) / Σ_c w_c + b exp(−½ Σ_c w_c d_c(i, j))
    d_c(i, j) = ‖φ_ic − φ_jc‖² + t [the cells are not both numbers, and differ]
    f = k(·, support) (K + λ I)⁻¹ y,   of a row of the support without its own label
    y_i − [(K + λ I)⁻¹ y]_i / [(K + λ I)⁻¹]_ii

C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", 2006, equations 2.25, 2.26 and
5.10 to 5.12. The answers for several λ are features of a row, not yet the network's answer.

Shape letters: B tables, K streams, N rows of which the first M are the support, C columns, P
numbers of a cell, L noise levels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.types import Params

NUMBERS = 8  # P
LEVELS = (0.05, 0.3, 1.5)  # λ before any training, of a kernel that is 1 on average
TOLD = 2 * len(LEVELS)  # numbers of a row


class Solved(NamedTuple):
    """Of the support: the inverses of K + λ I, [B, L, M, M], what they make of the labels,
    [B, L, M, K], and λ, [B, L]."""

    inverse: Tensor
    weights: Tensor
    noise: Tensor


def shapes(features: int, width: int) -> dict[str, tuple[int, ...]]:
    """Of the parameters; `width` is of the tokens that say how much a column counts."""
    return {
        "kernel.weight": (NUMBERS, features),
        "kernel.counts.weight": (1, width),
        "kernel.counts.bias": (1,),
        "kernel.parts": (2,),
        "kernel.differ": (1,),
        "kernel.noise": (len(LEVELS),),
    }


def kernel(
    params: Params, features: Tensor, differ: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Between all rows and the support, [B, N, M], and of each row with itself, [B, N].

    Args:
        features: [B, C, N, F]. differ: [B, C, N, M], 1 where cells that are not both numbers are
            not the same.
        counts: w, [B, C].
    """
    support = differ.shape[-1]
    phi = F.linear(features, params["kernel.weight"])
    phi = (phi * counts.sqrt()[:, :, None, None]).movedim(1, 2).flatten(2)  # [B, N, C P]
    given = phi[:, :support]
    dots = phi @ given.transpose(1, 2)
    squares = phi.square().sum(-1)
    apart = squares[:, :, None] + squares[:, None, :support] - 2 * dots
    other = (counts[:, None] @ differ.flatten(2)).unflatten(-1, differ.shape[2:])[:, 0]
    apart = apart.clamp(min=0) + F.softplus(params["kernel.differ"]) * other
    total = counts.sum(1)[:, None]
    a, b = F.softplus(params["kernel.parts"])
    found = a * dots / total[..., None] + b * torch.exp(-0.5 * apart)
    return found, a * squares / total + b


def solve(params: Params, between: Tensor, labels: Tensor) -> Solved:
    """Args:
    between: the kernel of the support, [B, M, M]. labels: [B, K, M].
    """
    level = between.diagonal(dim1=1, dim2=2).mean(1)[:, None]
    noise = level * params["kernel.noise"].exp()  # [B, L]
    eye = torch.eye(between.shape[-1], dtype=between.dtype, device=between.device)
    system = between[:, None] + noise[..., None, None] * eye
    factor, info = torch.linalg.cholesky_ex(system)
    # Weights that run away make a system that is none: NaN, which whoever asks has words for.
    factor = torch.where((info == 0)[..., None, None], factor, torch.nan)
    inverse = torch.cholesky_inverse(factor)
    return Solved(inverse, inverse @ labels.transpose(1, 2)[:, None], noise)


def told(between: Tensor, own: Tensor, labels: Tensor, solved: Solved) -> Tensor:
    """What the process says of every row, [B, K, N, 2 L]: f for each λ, and the logarithm of its
    variance as a share of the row's own.

    Args:
        between, own: as `kernel` gives them.
    """
    support = labels.shape[-1]
    asked = between[:, None, support:]  # [B, 1, N - M, M]
    rest = asked @ solved.weights  # [B, L, N - M, K]
    spread = own[:, None, support:] - ((asked @ solved.inverse) * asked).sum(-1)
    diagonal = solved.inverse.diagonal(dim1=2, dim2=3)  # [B, L, M]
    first = labels.transpose(1, 2)[:, None] - solved.weights / diagonal[..., None]
    found = torch.cat([first, rest], 2).movedim(3, 1)  # [B, K, L, N]
    spread = torch.cat([1 / diagonal - solved.noise[..., None], spread], 2)  # [B, L, N]
    share = (spread / own[:, None]).clamp(min=1e-4).log()[:, None].expand_as(found)
    return torch.cat([found, share], 2).transpose(2, 3)
