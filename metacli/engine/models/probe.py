"""Whether a model that was read answers as its document says: the last door of a model folder.

A schema sees each key by itself. That a head has as many rows as there are classes, that an
encoder gives as many numbers as the network takes, or that options fit together shows when an
example goes through. One of zeros does, so whoever wrote the folder, `predict` meets no surprise.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from metacli.algorithms.learner import Learner
from metacli.data.tables.coded import Encoder
from metacli.data.tables.encoding import Encoding
from metacli.engine.machine import available_memory, size
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.predicting.multi_task_predict import outputs as task_outputs
from metacli.engine.predicting.multi_task_predict import row_encoder
from metacli.engine.predicting.rows import outputs
from metacli.engine.storage.disk import damaged
from metacli.errors import BundleError

CHANNELS = 16  # of float32 that a network of images may well make of a pixel
MISFITS = (
    *(RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(AssertionError, MemoryError),
)


def require_answers(model: AnyModel, file: Path) -> None:
    """Raises BundleError for a model whose parts do not fit each other.

    Args:
        file: the `model.json`, for the message.
    """
    require_memory(math.prod(model.inputs.shape), file)
    try:
        match model:
            case MultiTaskModel():
                _require_tasks(model)
            case AdaptedModel():
                _require_outputs(model)
            case FewShotModel():
                _require_learned(model)
    except BundleError:
        raise
    except MISFITS as error:
        raise damaged(file, f"does not fit its weights or itself: {in_a_line(error)}") from None


def in_a_line(error: BaseException) -> str:
    """What an exception says, short."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:200]


def require_memory(numbers: int, file: Path) -> None:
    """Raises BundleError for an example that this machine has no memory for."""
    need, free = numbers * 4 * CHANNELS, available_memory()
    if need > free:
        raise BundleError(
            f"one example takes {size(need)} of memory or more, and {size(free)} are free",
            code="model.too_large",
            where=str(file),
            hint="use a machine with more memory",
        )


def _require_width(encoder: Encoder | None, model: AnyModel) -> None:
    if isinstance(encoder, Encoding) and encoder.width != math.prod(model.inputs.shape):
        raise ValueError(f"columns of {encoder.width} numbers for {list(model.inputs.shape)}")


def _require_learned(model: FewShotModel) -> None:
    """The head and what else the learner has, in the shapes that they begin with. Nothing of it is
    allocated."""
    _require_width(model.inputs.encoder, model)
    with torch.device("meta"):
        fresh = replace(model)
        learner, problem = fresh.learner(), fresh.problem()
        wanted = {name: torch.empty(value.shape) for name, value in fresh.weights().items()}
        if problem.head is not None:
            # A learner of any way may have learned with more classes than a task has.
            head = model.params.get("head.weight")
            free = head is not None and isinstance(learner, Learner) and learner.any_way
            rows = len(head) if free and head is not None else problem.head
            wanted["head.weight"] = torch.empty(rows, problem.features)
            wanted["head.bias"] = torch.empty(rows)
        if isinstance(learner, Learner):
            wanted |= learner.init(problem, wanted)[0]
        if model.inputs.kind == "image":  # of which the layers may leave nothing
            with suppress(NotImplementedError):  # a layer that has no shape without numbers
                problem.embed(wanted, torch.empty((2, *model.inputs.shape), dtype=torch.uint8))
    for name, value in wanted.items():
        found = model.params.get(name)
        if found is None or found.shape != value.shape:
            shape = None if found is None else list(found.shape)
            raise ValueError(f"{name} is {shape}, wanted {list(value.shape)}")


def _require_outputs(model: AdaptedModel) -> None:
    """One output for each class, or one of a regression."""
    _require_width(model.inputs.encoder, model)
    span = model.confidence.span
    if span is not None and span.low.shape != tuple(model.inputs.shape):
        raise ValueError(f"spans of {len(span.low)} numbers for {list(model.inputs.shape)}")
    weights = [value for value in model.params.values() if value.is_floating_point()]
    dtype = torch.uint8 if model.inputs.kind == "image" else weights[0].dtype
    device = weights[0].device
    # Two: a layer that normalises over one number refuses a row by itself.
    found = outputs(model, torch.zeros((2, *model.inputs.shape), dtype=dtype, device=device))
    wanted = (2, 1 if model.classes is None else len(model.classes))
    if tuple(found.shape) != wanted:
        raise ValueError(f"{list(found.shape)} outputs where {list(wanted)} are wanted")


def _require_tasks(model: MultiTaskModel) -> None:
    """An answer for each task, with a probability for each label."""
    heads = model.heads
    names = (heads.task_column, *heads.targets)
    if not all(one is None or isinstance(one, str) for one in names):
        raise ValueError("columns have names of text")
    if any(not key.isdigit() or int(key) >= len(heads.tasks) for key in heads.spread or {}):
        raise ValueError("a spread of no task")
    if "columns" in heads.read or model.inputs.kind == "text":
        width = row_encoder(model).width
        if width != math.prod(model.inputs.shape):
            raise ValueError(f"rows of {width} numbers for {list(model.inputs.shape)}")
    if model.inputs.kind == "text" and not isinstance(heads.read.get("column"), str):
        raise ValueError("the column of texts has no name")
    found = task_outputs(model, np.zeros((1, math.prod(model.inputs.shape)), np.float32))
    for task, value in enumerate(found):
        outcomes = 2 if value.ndim == 1 else value.shape[1]
        if heads.labels and not heads.regresses(task):
            count = len(heads.labels[task])
            if count != outcomes or not count:
                raise ValueError(f"{count} labels and {outcomes} outcomes")
        if heads.regresses(task) and value.ndim != 1:
            raise ValueError(f"a regression with {outcomes} outputs")
