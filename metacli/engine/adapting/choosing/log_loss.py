"""How sure a model is of what is right: log loss at the temperature that suits the model, and the
difference to another model's.

A hit says one bit of an example, its log loss how far off an answer was: a worse model is found
more often by it, among equally good ones as rarely (benchmarks/log_loss_null.py has both).

Letters: M examples, N classes.
"""

from __future__ import annotations

import numpy as np

TEMPERATURES = tuple(2.0**power for power in range(-6, 4))
BLOCK = 2**18  # numbers that are scaled at a time
SMALLEST = 1e-12  # of a probability


def log_losses(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log p(right) of each row: [..., M] of [..., M, N]."""
    scaled = logits.astype(np.float64)
    scaled = scaled - scaled.max(-1, keepdims=True)
    right = scaled[..., np.arange(len(y)), y] - np.log(np.exp(scaled).sum(-1))
    result: np.ndarray = -np.maximum(right, np.log(SMALLEST))
    return result


def suited(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same at the one temperature that suits all of these rows best, so that models are not
    compared by how sure they are in general."""
    at_once = max(1, BLOCK // logits.size)
    scales = np.array(TEMPERATURES)[:, None, None]
    parts = [scales[first : first + at_once] for first in range(0, len(scales), at_once)]
    tried = np.concatenate([log_losses(logits / one, y) for one in parts])
    best: np.ndarray = tried[tried.mean(1).argmin()]
    return best
