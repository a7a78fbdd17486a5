"""A backbone of another package: a class like those of the table, or any `nn.Module`, whose
constructor's parameters are then its options."""

from __future__ import annotations

import inspect
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import ClassVar, get_type_hints

import torch
from torch import nn

from metacli.errors import PluginError
from metacli.plugins import load


class ModuleOptions:
    """Base of the options classes that `outside` makes."""

    module: ClassVar[type[nn.Module]]
    takes: ClassVar[tuple[str, ...]] = ("image", "numbers", "text")

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module and its number of features, read off an example of zeros."""
        made = self.module(**{one.name: vars(self)[one.name] for one in fields(self)})  # type: ignore[arg-type]  # what `outside` makes is a dataclass
        if any(isinstance(one, nn.modules.batchnorm._BatchNorm) for one in made.modules()):
            raise PluginError(
                f"{self.module.__name__} has batch normalisation that updates itself",
                code="plugin.kind",
                hint="nn.GroupNorm, or metacli.nn.layers.norms.make_norm in its place",
            )
        with torch.no_grad():
            out = made.eval()(torch.zeros(2, *input_shape))
        if out.dim() != 2 or len(out) != 2:
            raise PluginError(
                f"{self.module.__name__} makes {list(out.shape)} of two examples; wanted is [2, D]",
                code="plugin.kind",
                hint="torch.flatten(x, 1) at the end of forward",
            )
        return made, out.shape[1]


def outside(path: str) -> type:
    """The options class of what an import path names. Raises PluginError."""
    return options_of(load(path), path)


@cache
def options_of(found: object, path: str) -> type:
    if isinstance(found, type) and is_dataclass(found):
        missing = [name for name in ("build", "takes") if name not in dir(found)]
        if not missing:
            return found
        raise PluginError(
            f"the plug-in {path} has no {missing[0]}",
            code="plugin.kind",
            hint='takes = ("image",) and build(self, input_shape) -> (module, features)',
        )
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise PluginError(
            f"the plug-in {path} is neither a dataclass with build nor an nn.Module",
            code="plugin.kind",
        )
    hints = get_type_hints(found.__init__)
    wanted = inspect.signature(found).parameters.values()
    options = [
        (one.name, hints.get(one.name, int))
        if one.default is one.empty
        else (one.name, hints.get(one.name, type(one.default)), field(default=one.default))
        for one in wanted
    ]
    base = type(found.__name__, (ModuleOptions,), {"module": found})
    return make_dataclass(found.__name__, options, bases=(base,), frozen=True, kw_only=True)
