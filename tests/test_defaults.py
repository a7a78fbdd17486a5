"""What users get who say nothing, and what a method declares of itself: neither changes unnoticed.

`tests/golden/defaults.json` holds every default and every plain attribute of the classes that a
recipe names, the constants and grids of their modules, and what functions take that are told
nothing; `--regenerate-golden` writes it again, and the commit says which changed and why.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from metacli import algorithms as algorithms_package
from metacli import nn as nn_package
from metacli.algorithms import ALGORITHMS
from metacli.nn.backbones.table import BACKBONES
from metacli.nn.sharing import SHARING

FILE = Path(__file__).parent / "golden" / "defaults.json"
PLAIN = (bool, int, float, str, tuple, type(None))


def stated(cls: type) -> dict[str, Any]:
    """Defaults of the fields, and attributes of the class and of those it is made of."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("metacli."):
            plain = {k: v for k, v in vars(base).items() if isinstance(v, PLAIN)}
            found |= {key: value for key, value in plain.items() if not key.startswith("__")}
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    for field in fields:
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
    module = sys.modules[cls.__module__]
    held = (*PLAIN, dict)
    found |= {k: v for k, v in vars(module).items() if k.isupper() and isinstance(v, held)}
    return {key: found[key] for key in sorted(found) if not key.startswith("_abc")}


def modules_of(*packages: ModuleType) -> list[str]:
    return [
        found.name
        for package in packages
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]


def arguments(name: str) -> dict[str, Any]:
    """What the functions and methods of a module take where nothing is said."""
    module, found = importlib.import_module(name), {}
    for title, value in vars(module).items():
        if getattr(value, "__module__", None) != name:
            continue
        own = vars(value).items() if inspect.isclass(value) else [("", value)]
        for inner, one in own:
            function = one.__func__ if isinstance(one, classmethod | staticmethod) else one
            if inspect.isfunction(function):
                plain = {
                    key: given.default
                    for key, given in inspect.signature(function).parameters.items()
                    if isinstance(given.default, PLAIN) and given.default is not None
                }
                if plain:
                    found[f"{title}.{inner}".rstrip(".")] = plain
    return found


def constants(name: str) -> dict[str, Any]:
    """The numbers, words and grids of a module."""
    found = vars(importlib.import_module(name)).items()
    return {key: value for key, value in found if key.isupper() and isinstance(value, PLAIN)}


def everything() -> dict[str, dict[str, Any]]:
    algorithms = {name: stated(entry.load()) for name, entry in ALGORITHMS.items()}
    sharing = {name: stated(load()) for name, load in SHARING.items()}
    backbones = {name: stated(load()) for name, load in BACKBONES.items()}
    modules = modules_of(algorithms_package, nn_package)
    made = {
        "algorithms": algorithms,
        "sharing": sharing,
        "backbones": backbones,
        "presets": {name: dict(entry.preset) for name, entry in ALGORITHMS.items()},
        "arguments": {name: found for name in modules if (found := arguments(name))},
        "constants": {name: found for name in modules if (found := constants(name))},
    }
    return json.loads(json.dumps(made, sort_keys=True, default=str))


def test_defaults_and_declarations_are_the_recorded_ones(request: pytest.FixtureRequest) -> None:
    found = everything()
    if request.config.getoption("regenerate_golden"):
        FILE.write_text(json.dumps(found, indent=1) + "\n")
    recorded = json.loads(FILE.read_text())
    for kind, entries in found.items():
        assert entries.keys() == recorded[kind].keys()
        for name, values in entries.items():
            assert values == recorded[kind][name], f"{kind}: {name}"
    assert found["algorithms"]["maml"]["inner_lr"] == 0.01
    assert found["sharing"]["soft-l2"]["strength"] == 0.01
