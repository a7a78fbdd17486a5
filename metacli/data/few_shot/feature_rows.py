"""The store of a pool whose images a frozen network sees: their features, computed when they are
first asked for, so that a recipe can be checked without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Compute = Callable[[np.ndarray], np.ndarray]
"""uint8 images [M, C, H, W] to float32 features [M, D]."""


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Features [M, D] of images [M, C, H, W].

    Args:
        images: of every row. used: the rows that are ever asked for, in their order.
        width: D.
    """

    images: np.ndarray
    used: np.ndarray
    width: int
    compute: Compute

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.images), self.width

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def _features(self) -> np.ndarray:
        return self.compute(self.images[self.used])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """float32 [..., D] for row numbers [...], each of them a used one."""
        found: np.ndarray = self._features[np.searchsorted(self.used, rows)]
        return found
