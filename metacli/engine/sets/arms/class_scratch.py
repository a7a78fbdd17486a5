"""Training from scratch on the supports of a set of classifications: a trunk with a head for each
task (one head where labels are shared), or the same network for each task by itself.

The sets are trained one by one, on any backbone; `scratch` trains many small MLPs at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from metacli.algorithms.meta_multitask.class_steps import (
    answered,
    begin,
    full_sharing,
    most_classes,
    one_set,
    support_losses,
)
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.autodiff import constant_grad
from metacli.engine.sets.arms.adam import adam, at_rest
from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers
from metacli.nn.trunk_classes import TrunkClasses
from metacli.types import Params, SetEpisode


def class_trained(
    encoder: Problem,
    episodes: SetEpisode,
    *,
    shared: bool,
    shared_labels: bool,
    rate: float,
    steps: Sequence[int],
    seed: int,
) -> list[SetAnswers]:
    """What the tasks of each set say at their queries after each of these numbers of `steps` of
    Adam on the mean of the tasks' losses.

    Args:
        encoder: the backbone, whose random start is the same for every set.
        shared: the tasks of a set have one trunk; otherwise each has a network of its own.
        shared_labels: class n is the same in every task of a set.
    """
    ways = episodes.ways
    assert ways is not None
    network = TrunkClasses(encoder, most_classes(ways), shared_labels)
    theta = network.init(seed)
    found = [
        set_trained(network, theta, one_set(episodes, at), shared=shared, rate=rate, steps=steps)
        for at in range(len(ways))
    ]
    return [
        SetAnswers(*(torch.cat(parts) for parts in zip(*some, strict=True)))
        for some in zip(*found, strict=True)
    ]


def set_trained(
    network: TrunkClasses,
    theta: Params,
    one: SetEpisode,
    *,
    shared: bool,
    rate: float,
    steps: Sequence[int],
) -> list[SetAnswers]:
    """As `class_trained`, of one set, with a leading [1]."""
    sees = (together if shared else alone)(one.roles[None])[0]
    sharing = full_sharing(sees, next(iter(theta.values())).dtype)
    phi = begin(network, theta, one, sharing)
    moments, found = at_rest(phi), []
    weights = sharing.mixing.diagonal()[sharing.copy]  # the mean over the tasks of each copy

    def loss(at: Params) -> torch.Tensor:
        return (weights * support_losses(network, at, one, sharing)).sum()

    for step in range(1, max(steps) + 1):
        phi, moments = adam(phi, constant_grad(loss, phi), moments, rate)
        if step in steps:
            with torch.no_grad():
                found.append(answered(network, phi, one, sharing))
    return found
