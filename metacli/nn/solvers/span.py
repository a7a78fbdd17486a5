"""Examples in an orthonormal basis of their span, where whatever is penalised by its length has its
optimum: far fewer numbers than features, where there are more of these than of examples. Its axes
are the examples' principal ones, so that each number curves a loss by itself; but of very many.

Shape letters: M examples, D features, R numbers in the basis, N outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

MANY = 64  # examples, from which on the products are the smaller part of a decomposition
TURNED = 1024  # examples or numbers, up to which principal axes are found
REGULAR = 1e-3  # between the diagonal's ends: squaring the condition leaves ten digits
SHORT = 8  # axes shorter than that which are found by themselves
CENTRED = 1e-10  # of the longest row
ROUNDING = 1e-12  # of the lengths that are added
NOTHING = 1e-13  # of the largest length along an axis, squared: what rounding leaves of nothing
UPRIGHT = 1e-9  # cosine of two axes

Back = Callable[[Tensor], Tensor]
"""Weights in the basis [N, R] to weights of the features [N, D]."""


def in_span(x: Tensor) -> tuple[Tensor, Back]:
    """[M, D] float64 to the same in the basis [M, R], and the way back."""
    rows, columns = x.shape
    if rows >= columns:
        return turned(x, lambda weight: weight)
    found = None
    if rows >= MANY:
        found = by_axes(x) if rows <= TURNED else by_products(x)
    return turned(*by_reflections(x)) if found is None else found


def by_axes(x: Tensor) -> tuple[Tensor, Back] | None:
    """Of examples by the decomposition of their products x xᵀ = U S² Uᵀ, which repeated or centred
    examples leave singular; None where many axes are so short that the products hardly know them,
    or where a product is beyond float64."""
    found = decomposed(x)
    if found is None or not bool(found[0][-1] > 0):
        return None
    squares, left = found
    known = squares >= REGULAR**2 * squares[-1]
    rest = left[:, ~known].T
    # Beside a very long axis others look like nothing: what is must add up to it but for rounding.
    there = (rest @ x).norm(dim=1) > ROUNDING * (rest.abs() @ x.norm(dim=1))
    left, lengths, rest = left[:, known], squares[known].sqrt(), rest[there]
    if not len(rest):
        return left * lengths, lambda weight: (weight / lengths) @ left.T @ x
    short = None if len(rest) > SHORT else short_axes(x, left, lengths, rest)
    if short is None:
        return None
    basis, own = short
    split = [len(lengths), len(rest)]

    def back(weight: Tensor) -> Tensor:
        long, little = weight.split(split, dim=1)
        result: Tensor = (long / lengths) @ left.T @ x + little @ basis.T
        return result

    return torch.cat([left * lengths, own], 1), back


def short_axes(
    x: Tensor, left: Tensor, lengths: Tensor, rest: Tensor
) -> tuple[Tensor, Tensor] | None:
    """An orthonormal basis of what a few sums of examples are, [D, K], and the examples in it
    [M, K]. Columns that were centred in float32 have such a sum, 1e-7 of the others; the products
    know whose it is, and the sum itself what it is. None where it is no more than rounding.

    Args:
        left, lengths: of the long axes, to which the basis is orthogonal. rest: the sums, [K, M].
    """

    def along(of: Tensor) -> Tensor:
        """Parts of vectors [D, K] along the long axes, [R, K]."""
        return (left.T @ (x @ of)) / lengths[:, None]

    sums = (rest @ x).T
    sums -= x.T @ (left @ (along(sums) / lengths[:, None]))
    basis, upper = torch.linalg.qr(sums)
    upright = float(along(basis).abs().max()) <= UPRIGHT
    return (basis, rest.T @ upper.T) if upright else None


def decomposed(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """S² in rising order and U, of x xᵀ = U S² Uᵀ; None where a product is beyond float64.

    On a processor by NumPy, which sees that both factors are one and computes half of the product.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        on_cpu = x.device.type == "cpu"
        products = x.numpy() @ x.numpy().T if on_cpu else (x @ x.T).cpu().numpy()
    if not np.isfinite(products).all():
        return None
    squares, left = np.linalg.eigh(products)
    return torch.from_numpy(squares).to(x.device), torch.from_numpy(left).to(x.device)


def turned(placed: Tensor, back: Back) -> tuple[Tensor, Back]:
    """The same on the principal axes; as it is where they take too long or are not to be known."""
    found = decomposed(placed.T) if placed.shape[1] <= TURNED else None
    if found is None:
        return placed, back
    axes = found[1]
    return placed @ axes, lambda weight: back(weight @ axes.T)


def by_reflections(x: Tensor) -> tuple[Tensor, Back]:
    """Of any examples: x = L Qᵀ, Q with orthonormal columns."""
    basis, upper = torch.linalg.qr(x.T)
    return upper.T, lambda weight: weight @ basis.T


def by_products(x: Tensor) -> tuple[Tensor, Back] | None:
    """Of examples whose products with each other x xᵀ = L Lᵀ are far from singular, in a quarter of
    the time; None of others.

    Centred examples add up to 0, so that their products are singular. A reflection H that takes the
    vector of ones to the first axis leaves nothing but zeros in the first row, which is left out.
    """
    rows = len(x)
    normal = x.new_full((rows,), rows**-0.5)
    normal[0] -= 1.0
    normal /= normal.norm()

    def reflected(some: Tensor) -> Tensor:
        return some - 2 * torch.outer(normal, normal @ some)

    moved = reflected(x)
    lengths = moved.norm(dim=1)
    centred = bool(lengths[0] <= CENTRED * lengths.max())
    body = moved[1:] if centred else moved
    lower, info = torch.linalg.cholesky_ex(body @ body.T)
    ends = lower.diagonal()
    if int(info) or not bool(ends.min() > REGULAR * ends.max()):
        return None
    placed = torch.cat([x.new_zeros(1, rows - 1), lower]) if centred else lower

    def back(weight: Tensor) -> Tensor:
        solved = torch.linalg.solve_triangular(lower.T, weight.T, upper=True)
        result: Tensor = solved.T @ body
        return result

    return reflected(placed), back
