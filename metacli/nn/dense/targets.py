"""What is wrong at a pixel, for each task.

Letters: T tasks, M images, C channels of a task's output, S pixels of a side. Truth is one tensor
[M, 5, S, S]: the class, the depth, the normal's three parts, as `Batch.y` holds it.

Losses are those of S. Liu, E. Johns, A. Davison, "End-to-end multi-task learning with attention",
CVPR 2019: cross-entropy; the mean absolute error; minus the mean of n·n̂ (here 1
minus it, so that no loss is below 0, which weightings by logarithms and products want; gradients
are the same).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SEGMENTATION, DEPTH, NORMALS = "segmentation", "depth", "normals"
TASKS = (SEGMENTATION, DEPTH, NORMALS)
PARTS = 5


def channels(classes: int) -> tuple[int, ...]:
    """C of each task."""
    return (classes, 1, 3)


def answers(outputs: Sequence[Tensor], mean: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
    """What the network gives as logits [M, K, S, S], depth [M, S, S] in its unit, and unit normals
    [M, 3, S, S].

    Args:
        mean, scale: of the depth of training pixels.
    """
    logits, depth, normals = outputs
    return logits, depth[:, 0] * scale + mean, F.normalize(normals, dim=1)


def losses(outputs: Sequence[Tensor], y: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """The mean loss of each task over the pixels of each image, [T, M]; of the depth in units of
    `scale`."""
    logits, depth, normals = answers(outputs, mean, scale)
    each = (
        F.cross_entropy(logits, y[:, 0].long(), reduction="none"),
        (depth - y[:, 1]).abs() / scale,
        1 - (normals * y[:, 2:]).sum(1),
    )
    return torch.stack([one.mean((1, 2)) for one in each])
