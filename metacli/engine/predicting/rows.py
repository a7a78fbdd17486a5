"""An adapted model on a user's rows: logits, probabilities and values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metacli.engine.models.model import AdaptedModel
from metacli.nn.layers.inputs import channels_last

ROWS = 64  # at a time


@torch.no_grad()
def probabilities(model: AdaptedModel, x: Tensor) -> Tensor:
    """[M, N] for inputs [M, ...]; row by row, whatever stands beside a row."""
    return calibrated(model, outputs(model, x))


def calibrated(model: AdaptedModel, logits: Tensor) -> Tensor:
    """Probabilities [M, N] of logits."""
    return torch.softmax(logits / model.confidence.temperature, 1)


@torch.no_grad()
def outputs(model: AdaptedModel, x: Tensor) -> Tensor:
    """Logits [M, N], or the numbers of a regression as the network gives them, [M, 1]."""
    problem, learner = model.problem(), model.learner()
    return torch.cat(
        [learner.predict(problem, model.params, part) for part in channels_last(x).split(ROWS)]
    )


def on_device_of(model: AdaptedModel, x: np.ndarray) -> Tensor:
    return torch.from_numpy(x).to(next(iter(model.params.values())).device)
