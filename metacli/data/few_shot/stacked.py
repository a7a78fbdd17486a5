"""A meta-batch of episodes that have one shape."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from metacli.types import Batch, Episode


def stacked(episodes: Sequence[Episode]) -> Episode:
    """B episodes with x [M, ...] and y [M, ...] as one with x [B, M, ...] and y [B, M, ...]."""
    support, query = (
        Batch(torch.stack([one.x for one in half]), torch.stack([one.y for one in half]))
        for half in zip(*episodes, strict=True)
    )
    return Episode(support, query)
