"""A network on images: its losses, its answers, and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from metacli.data.scenes.generated import CLASSES, Scenes
from metacli.engine.dense.build import batch_of
from metacli.engine.scoring.dense_measures import Pixels, dense_scores
from metacli.nn.dense.problem import DenseProblem
from metacli.types import Batch, Params

IMAGES = 50  # at a time


def parts(made: Scenes, device: torch.device) -> Iterator[Batch]:
    """Some images at a time, on the device."""
    whole = batch_of(made)
    for x, y in zip(whole.x.split(IMAGES), whole.y.split(IMAGES), strict=True):
        yield Batch(x.to(device), y.to(device))


def device_of(params: Params) -> torch.device:
    return params["target.mean"].device


@torch.no_grad()
def image_losses(
    problem: DenseProblem,
    params: Params,
    made: Scenes,
    tick: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """The loss of each task on each image, float64 [T, M]."""
    found = []
    for number, part in enumerate(parts(made, device_of(params)), 1):
        found.append(problem.image_losses(params, part).cpu().double().numpy())
        tick(number * IMAGES)
    return np.concatenate(found, 1)


def scores_on(problem: DenseProblem, params: Params, made: Scenes) -> dict[str, dict[str, float]]:
    """Every measure of every task over all pixels."""
    return dense_scores(truth_of(made), answers_on(problem, params, made), len(CLASSES))


def truth_of(made: Scenes) -> Pixels:
    return Pixels(made.labels, made.depths, made.normals)


@torch.no_grad()
def answers_on(problem: DenseProblem, params: Params, made: Scenes) -> Pixels:
    """What the network says of every pixel."""
    labels, depths, normals = [], [], []
    for part in parts(made, device_of(params)):
        logits, depth, normal = problem.predict(params, part.x)
        labels.append(logits.argmax(1).cpu().numpy())
        depths.append(depth.cpu().numpy())
        normals.append(normal.cpu().numpy())
    return Pixels(*map(np.concatenate, (labels, depths, normals)))
