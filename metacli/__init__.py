"""metacli: learn from many small tasks and use it on a new one.

The verbs of the command line are plain functions here, with the same names and defaults:

    import metacli
    run = metacli.meta_train("glyphs-5w1s-protonet")
    mine = metacli.adapt(run["run"], "my_classes/")

They are imported on first use, so that importing this package costs nothing (no torch).
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_VERBS = (
    "doctor",
    "fetch",
    "sample",
    "inspect",
    "meta_train",
    "multitask",
    "tune",
    "adapt",
    "predict",
    "evaluate",
    "report",
    "compare",
    "export",
)


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        from importlib import import_module

        return getattr(import_module(f"metacli.engine.{name}"), name)
    raise AttributeError(f"module 'metacli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_VERBS]
