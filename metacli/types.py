"""The types that every layer shares.

Shape letters: B meta-batch, N way, K shot, Q query per class, T tasks, P parameters, D features, M
any number of examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

Params = dict[str, Tensor]
"""Every parameter and float buffer by its module name; an algorithm's own learned numbers live
beside them under the algorithm's name, such as `meta_sgd.lr.head.weight`."""

State = dict[str, Any]
"""What a method remembers between steps: plain data, saved as it is."""

NO_STATE: State = {}
"""The memory of a method that remembers nothing; never written to."""

Metrics = dict[str, Tensor]
"""Scalars by name: `query_loss`, `query_accuracy`, `loss/<task>`."""

Objective = Callable[[Tensor, Tensor], Tensor]
"""(prediction [M, ...], target [M, ...]) -> one value per example, [M]."""


class Batch(NamedTuple):
    """Examples: x [M, ...], y [M, ...]; mask [M] is False for padding and missing targets. A task
    axis may lead."""

    x: Tensor
    y: Tensor
    mask: Tensor | None = None


class Episode(NamedTuple):
    """One task: support.x [N*K, ...] with labels 0..N-1, and its query. A meta-batch is the same
    with a leading [B]."""

    support: Batch
    query: Batch


class SetEpisode(NamedTuple):
    """A multi-task problem: T tasks, each with its own support and query, answered together.

    Args:
        support: x [T, M, D], y [T, M]; mask [T, M] is True where the label is known. Tasks that
        share their inputs have equal x. query: x [T, Q, D], y [T, Q], mask [T, Q] or None.
        roles: the number of each task in the table of named tasks of its source, int64 [T]; -1 for
        a task without a name. ways: classes of each task, whose y are their numbers, int64 [T]; 0
        of a regression; None: all tasks are regressions. Examples that are no rows of numbers have
        their own axes in the place of D. A meta-batch is the same with a leading [B].
    """

    support: Batch
    query: Batch
    roles: Tensor
    ways: Tensor | None = None


class Update(NamedTuple):
    """What one step of a method asks for.

    `direction` is subtracted by the optimiser (keys of the parameters it moves), `replace` is
    assigned as it is (running statistics), `state` is the method's memory for the next step.
    """

    direction: Params
    state: State
    metrics: Metrics
    replace: Params = {}  # noqa: RUF012  # a NamedTuple default, never written to


@dataclass(frozen=True)
class TaskSpec:
    """What the episodes of a source look like.

    Args:
        kind: classification, or regression.
        way: classes per episode, or the outputs of a regression; a pair is a range drawn again for
        each meta-batch. shot: support examples per class; a pair as for `way`.
        query: query examples per class.
        balanced: False lets each class draw its own shot from the range.
        split: train, val or test.
        num_classes: classes that the split offers.
        input_shape: shape of one example, without the example axis.
    """

    kind: Literal["classification", "regression"]
    way: int | tuple[int, int]
    shot: int | tuple[int, int]
    query: int
    split: str
    num_classes: int
    input_shape: tuple[int, ...]
    balanced: bool = True
