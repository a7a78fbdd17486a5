"""What a model takes in: recorded in `model.json`, so that a user's file is read exactly as the
training data were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from metacli.data.images import ImageSpec
from metacli.data.pool import Pool
from metacli.data.registry import DATASETS
from metacli.schema.recipe import Recipe


@dataclass(frozen=True)
class InputSpec:
    """One example.

    Args:
        kind: `image` (uint8 pixels as in the file) or `numbers` (float32).
        shape: [C, H, W] of a picture, or the shape of the numbers.
        invert: the network sees dark strokes on light paper as high values.
    """

    kind: Literal["image", "numbers"]
    shape: tuple[int, ...]
    invert: bool = False

    def image(self) -> ImageSpec:
        channels, height, width = self.shape
        return ImageSpec(channels, height, width)

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "shape": list(self.shape), "invert": self.invert}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> InputSpec:
        return cls(value["kind"], tuple(value["shape"]), value["invert"])


def input_of_pool(pool: Pool, recipe: Recipe) -> InputSpec:
    """Pictures of a pool; strokes on paper are inverted, as the data set or the recipe's
    `data.invert` says."""
    entry = DATASETS.get(recipe.data.source)
    invert = recipe.data.options.get("invert", entry.ink if entry else False)
    return InputSpec("image", pool.picture_shape, bool(invert))
