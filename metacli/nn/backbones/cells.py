"""The cells of a table again, out of the numbers that its columns became: a category is one cell,
and a missing cell is missing.

Shape letters: M rows, D numbers of a row, C columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from metacli.nn.tables.cells import CATEGORY, MISSING, NUMBER


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Options of the backbone.

    Args:
        widths: numbers of each column: of a number 1, or 2 where the second says that it is
            missing; of a category one for each value and a last one for any other.
        categories: the columns that are categories, counted from 0.
    """

    widths: tuple[Annotated[int, Ge(1)], ...] = ()
    categories: tuple[Annotated[int, Ge(0)], ...] = ()

    takes = ("numbers",)
    hidden: ClassVar[tuple[int, ...]] = ()

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [D] numbers, and its 2 C."""
        widths = self.widths or (1,) * input_shape[0]
        return CellsNet(widths, self.categories), 2 * len(widths)


class CellsNet(nn.Module):
    """Numbers [M, D] -> cells [M, 2 C]: of each a value, and what it is."""

    def __init__(self, widths: tuple[int, ...], categories: tuple[int, ...]) -> None:
        super().__init__()
        self.widths, self.categories = widths, frozenset(categories)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.widths, -1)
        made = [cell(part, number in self.categories) for number, part in enumerate(parts)]
        return torch.cat(made, -1)


def cell(x: Tensor, category: bool) -> Tensor:
    """One column's numbers [M, ...] to its cells [M, 2]."""
    if category:  # the last is any other, or missing
        known = 1 - x[..., -1]
        value = (x * torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)).sum(-1)
        return torch.stack([known * value, CATEGORY * known + MISSING * (1 - known)], -1)
    gone = x[..., 1] if x.shape[-1] == 2 else torch.full_like(x[..., 0], NUMBER)
    return torch.stack([x[..., 0] * (1 - gone), MISSING * gone], -1)
