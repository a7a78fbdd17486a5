"""The table of backbones: name -> options class. Imported on look-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Protocol, runtime_checkable

from pydantic import JsonValue, TypeAdapter
from torch import nn

from metacli.nn.backbones.outside import outside
from metacli.plugins import target


class Backbone(Protocol):
    """A frozen dataclass of options. `takes`: kinds of input it can read."""

    @property
    def takes(self) -> tuple[str, ...]: ...

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module and its number of features."""
        ...


@runtime_checkable
class Layered(Protocol):
    """A backbone of hidden layers, of which the tasks of a multi-task network can share each."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each layer; () where there are none."""
        ...


@runtime_checkable
class Normalised(Protocol):
    """A backbone with a choice of normalisation."""

    @property
    def norm(self) -> str: ...


@runtime_checkable
class FromFile(Protocol):
    """A backbone that may begin from a file of weights."""

    def check(self) -> None:
        """Whether the weights fit, if there are some. Raises RecipeError."""
        ...


def _of(module: str, cls: str) -> Callable[[], type]:
    return lambda: vars(import_module(f"metacli.nn.backbones.{module}"))[cls]


BACKBONES: dict[str, Callable[[], type]] = {
    "conv4": _of("conv4", "Conv4"),
    "resnet12": _of("resnet12", "ResNet12"),
    "wrn28_10": _of("wrn28_10", "WRN"),
    "torchvision": _of("torchvision_backbones", "Torchvision"),
    "efficientnet-lite0": _of("efficientnet_lite0", "EfficientNetLite0"),
    "frozen": _of("frozen", "Frozen"),
    "last-block": _of("last_block", "LastBlock"),
    "timm": _of("timm_backbones", "Timm"),
    "mlp": _of("mlp", "MLP"),
    "text": _of("text", "Text"),
    "words": _of("words", "Words"),
    "linear": _of("linear", "Linear"),
    "cells": _of("cells", "Cells"),
}


def backbones(name: str) -> Mapping[str, Callable[[], type]]:
    """The table, with the backbone of another package where that is what the name means."""
    path = None if name in BACKBONES else target(name, "metacli.backbones")
    return BACKBONES if path is None else {**BACKBONES, name: partial(outside, path)}


def make_backbone(name: str, options: Mapping[str, JsonValue]) -> Backbone:
    """The options object of a recipe that was checked before.

    Raises:
        PluginError: it is of another package, which is not allowed or not there.
    """
    text = json.dumps(dict(options))
    made: Backbone = reader_of(backbones(name)[name]()).validate_json(text, strict=True)
    return made


@cache
def reader_of(options: type) -> TypeAdapter[Backbone]:
    """Made once for each class of options, as making one takes longer than reading with it."""
    return TypeAdapter(options)
