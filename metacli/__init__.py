"""metacli: learn from many small tasks and use it on a new one.

The verbs of the command line are plain functions here, with the same names and defaults:

    import metacli
    run = metacli.meta_train("glyphs-5w1s-protonet")
    mine = metacli.adapt(run["run"], "my_classes/")

and what they are made of are classes, for a network and a training loop of one's own
(docs/library.md):

    problem = metacli.Problem.from_module(net, loss="cross-entropy")
    gradient, metrics = metacli.MAML(inner_lr=0.1).gradient(problem, episodes)

All are imported on first use, so that importing this package costs nothing (no torch). Their types
are in `__init__.pyi`.
"""

from __future__ import annotations

from importlib import import_module

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
    "merge",
    "serve",
    "report",
    "compare",
    "export",
    "push",
)
_OTHERS = {
    "load": "engine.load",
    "Batch": "types",
    "Episode": "types",
    "Params": "types",
    "Update": "types",
    "Problem": "nn.problem",
    "Learner": "algorithms.learner",
    "GradientLearner": "algorithms.meta.gradient_learner",
    "DescentLearner": "algorithms.meta.gradient_learner",
    "Weighting": "algorithms.multitask.balancing",
    "Surgery": "algorithms.multitask.balancing",
    "episodes": "data.few_shot.from_dataset",
}


def __getattr__(name: str) -> object:
    if name in _VERBS:
        return vars(import_module(f"metacli.engine.{name}"))[name]
    module = _OTHERS.get(name) or _algorithms().get(name)
    if module is None:
        raise AttributeError(f"module 'metacli' has no attribute {name!r}")
    return vars(import_module(f"metacli.{module}"))[name]


def _algorithms() -> dict[str, str]:
    """Every class of the table of algorithms, and its module."""
    entries = vars(import_module("metacli.algorithms"))["ALGORITHMS"].values()
    return {entry.cls: f"algorithms.{entry.module}" for entry in entries}


def __dir__() -> list[str]:
    return [*globals(), *_VERBS, *_OTHERS, *_algorithms()]
