"""Mini-batches of a task, as row numbers that are computed and not looked up, so that it works
inside `torch.vmap`: they are cut from one shuffle after another."""

from __future__ import annotations

import torch
from torch import Tensor


def shuffling(examples: int, size: int, steps: int, rng: torch.Generator) -> Tensor:
    """Random numbers [E, M] whose order is that of the E shuffles that the steps need."""
    size = min(size, examples)
    return torch.rand(steps * size // examples + 1, examples, generator=rng)


def minibatches(keys: Tensor, mask: Tensor | None, size: int, steps: int) -> Tensor:
    """Rows of each step's mini-batch, [steps, min(size, M)]. Rows that are masked out come last in
    every shuffle and are never reached."""
    shuffled = (keys if mask is None else keys.where(mask, 2.0)).argsort(1)  # [E, M]
    count = keys.shape[1] if mask is None else mask.sum()
    size = min(size, keys.shape[1])
    at = torch.arange(steps * size, device=keys.device)
    return shuffled[at // count % len(keys), at % count].view(steps, size)
