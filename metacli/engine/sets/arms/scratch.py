"""Training from scratch on the supports of a set: a trunk with a head for each task, or the same
network for each task by itself. Many sets train at once, each in its own copy.

Shape letters: B sets, T tasks, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.one_trunk import Part, taken
from metacli.algorithms.meta_multitask.steps import task_losses
from metacli.autodiff import constant_grad
from metacli.engine.sets.arms.adam import adam, at_rest
from metacli.nn.trunk_heads import TrunkHeads
from metacli.types import Params, SetEpisode


def fresh_network(inputs: int, tasks: int) -> TrunkHeads:
    """The trunk of `mmaml`, with a head for each task."""
    return TrunkHeads(inputs, tasks, frequencies=4)


def trained(
    episodes: SetEpisode, *, shared: bool, rate: float, steps: Sequence[int], seed: int
) -> list[Tensor]:
    """What the tasks say at their queries, [B, T, Q], after each of these numbers of `steps` of
    Adam.

    Args:
        shared: the tasks of a set have one trunk, which follows the mean of their losses; otherwise
            each task has a network of its own.
        seed: of the random start, the same for every set.
    """
    sets, tasks = episodes.roles.shape
    if not shared:
        episodes = taken(episodes, Part(torch.arange(sets), "alone"))
    count = episodes.roles.shape[1]
    network = fresh_network(episodes.support.x.shape[-1], count)
    places = torch.arange(count).expand(len(episodes.roles), -1)
    phi = network.copies(network.init(seed), places, one_trunk=True)
    moments, found = at_rest(phi), []

    def loss(at: Params) -> Tensor:
        return task_losses(network, at, episodes.support).mean(1).sum()

    for step in range(1, max(steps) + 1):
        phi, moments = adam(phi, constant_grad(loss, phi), moments, rate)
        if step in steps:
            said = network.forward(phi, episodes.query.x)
            found.append(said.reshape(sets, tasks, -1))
    return found
