"""Pretrained embeddings of tokens under a small network that is trained: how much a token counts,
and a projection of their mean.

    f(x) = s · u / ‖u‖,   u = z + B A z,   z = Σ_t a_t e_t / ‖Σ_t a_t e_t‖,   a_t = exp(g_t)

over the tokens t of a text. g and B begin at 0, so that an untrained network is the mean of the
embeddings. Token weights: S. Arora, Y. Liang, T. Ma, "A Simple but Tough-to-Beat Baseline for
Sentence Embeddings", ICLR 2017, where they are a function of frequency; here they are learned.

Shape letters: M texts, L tokens, V rows of the table, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from metacli.nn.backbones.frozen import Projection
from metacli.nn.backbones.text import unit

SIZES = {"wordllama": (32_000, 256)}  # V, D


@dataclass(frozen=True, kw_only=True)
class Words:
    """Options of the backbone.

    Args:
        encoder: whose embeddings.
        rank: of the change of the mean.
        scale: s at the beginning.
    """

    encoder: Literal["wordllama"] = "wordllama"
    rank: Annotated[int, Ge(1)] = 64
    scale: Annotated[float, Gt(0)] = 4.0

    takes = ("text",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [L] numbers of tokens, and its D."""
        rows, width = SIZES[self.encoder]
        return WordsNet(rows, width, Projection(width, self.rank, self.scale)), width


class WordsNet(nn.Module):
    """Numbers of tokens [M, L], counted from 1, 0 for none -> [M, D]."""

    def __init__(self, rows: int, width: int, projection: Projection) -> None:
        super().__init__()
        self.encoder = Table(rows, width)
        self.log_weight = nn.Parameter(torch.zeros(rows))
        self.projection = projection

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.log_weight)

    def forward(self, x: Tensor) -> Tensor:
        number = x.long()
        place = (number - 1).clamp(min=0)
        weight = self.log_weight[place].exp() * (number > 0)  # [M, L]
        total = (weight.unsqueeze(-1) * self.encoder.table[place]).sum(-2)
        found: Tensor = self.projection(unit(total))
        return found


class Table(nn.Module):
    """The embeddings [V, D], which are not trained."""

    table: Tensor

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(rows, width))
