"""Fresh weights: what layers declare of how they begin."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Resets(Protocol):
    """A layer that draws weights for itself, as torch's own do."""

    def reset_parameters(self) -> None: ...


@runtime_checkable
class HoldsWeights(Protocol):
    """A layer that begins with the weights of a file."""

    def load_weights(self) -> None: ...


def draw_weights(module: nn.Module) -> None:
    """New weights for every layer, from the global random state, in the order of the layers."""
    for layer in module.modules():
        if isinstance(layer, Resets):
            layer.reset_parameters()


def load_weights(module: nn.Module) -> None:
    """Weights of a file for the layers that have one. Raises RecipeError: they do not fit."""
    for layer in module.modules():
        if isinstance(layer, HoldsWeights):
            layer.load_weights()
