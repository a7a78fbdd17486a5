"""What the network of `tables-prior` sees of the cells of a table, the same whatever the scale of a
column and whatever its categories are called.

Shape letters: G tables, N rows of which the first M are the support, C columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

NUMBER, CATEGORY, MISSING = 0.0, 1.0, 2.0  # what a cell is, as the generator writes it
FEATURES = 18
SAME = 1e-5  # scales apart: rounding
BEND = 3.0  # scales, where far values begin to count less
SPEEDS = (1.0, 2.0, 4.0)
TURNS = (0.5, 1.0, 2.0)


class Cells(NamedTuple):
    """Args:
    features: [G, C, N, FEATURES]. same: [G, C, N, M], 1 where two cells say the same. differ: 1
        where cells that are not both numbers do not.
    """

    features: Tensor
    same: Tensor
    differ: Tensor


def cells_of(values: Tensor, what: Tensor, support: int) -> Cells:
    """Features of cells [G, N, C].

    A number is centred and scaled by the support, far ones bent towards it, beside its place among
    the support's numbers; of both also waves, so that attention can look at what is near. Of a
    category nothing counts but which other rows have it.
    """
    values, what = values.transpose(1, 2), what.transpose(1, 2)  # [G, C, N]
    known = (what == NUMBER).to(values.dtype)
    z = standardised(values, known, support)
    shown, apart = known[..., :support], z[..., :, None] - z[..., None, :support]
    near = (apart.abs() <= SAME).to(z.dtype)
    below = (apart > SAME).to(z.dtype) + 0.5 * near
    count = shown.sum(-1, keepdim=True)
    place = ((below @ shown[..., None])[..., 0] + 0.5) / (count + 1)  # in 0..1
    alike = (what[..., :, None] == what[..., None, :support]).to(z.dtype)
    code = (values[..., :, None] == values[..., None, :support]).to(z.dtype)
    number = known[..., :, None] * shown[..., None, :]
    same = number * near + (1 - number) * alike * code
    share = same.mean(-1)
    bent = z / torch.sqrt(1 + (z / BEND).square())
    angles = [speed * bent for speed in SPEEDS]
    angles += [2 * math.pi * turn * place for turn in TURNS]
    waves = [wave * known for angle in angles for wave in (angle.sin(), angle.cos())]
    missing, category = ((what == kind).to(z.dtype) for kind in (MISSING, CATEGORY))
    plain = [bent, (2 * place - 1) * known, (bent.square() - 1) * known, missing, category, share]
    return Cells(torch.stack([*plain, *waves], -1), same, (1 - number) * (1 - same))


def standardised(values: Tensor, known: Tensor, support: int) -> Tensor:
    """Numbers [G, C, N] at mean 0 and variance 1 over the support's known ones; 0 where unknown or
    where all of them are the same."""
    shown = known[..., :support]
    count = shown.sum(-1, keepdim=True).clamp(min=1)
    seen = values[..., :support]
    mean = (seen * shown).sum(-1, keepdim=True) / count
    variance = ((seen - mean).square() * shown).sum(-1, keepdim=True) / count
    tiny = 1e-12 * mean.square() + 1e-30
    scale = torch.where(variance > tiny, variance, torch.ones_like(variance)).sqrt()
    return (values - mean) / scale * known
