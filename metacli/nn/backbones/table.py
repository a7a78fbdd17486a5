"""The table of backbones: name -> options class. Imported on look-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from pydantic import TypeAdapter
from torch import nn


class Backbone(Protocol):
    """A frozen dataclass of options. `takes`: kinds of input it can read."""

    takes: tuple[str, ...]

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module and its number of features."""
        ...


def _of(module: str, cls: str) -> Callable[[], type]:
    return lambda: getattr(import_module(f"metacli.nn.backbones.{module}"), cls)


BACKBONES: dict[str, Callable[[], type]] = {
    "conv4": _of("conv4", "Conv4"),
    "resnet12": _of("resnet12", "ResNet12"),
    "wrn28_10": _of("wrn28_10", "WRN"),
    "torchvision": _of("torchvision_backbones", "Torchvision"),
    "efficientnet-lite0": _of("efficientnet_lite0", "EfficientNetLite0"),
    "mlp": _of("mlp", "MLP"),
    "text": _of("text", "Text"),
    "linear": _of("linear", "Linear"),
}


def make_backbone(name: str, options: Mapping[str, Any]) -> Any:
    """The options object of a recipe that was checked before."""
    return TypeAdapter(BACKBONES[name]()).validate_json(json.dumps(dict(options)), strict=True)
