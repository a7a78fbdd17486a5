"""Joint training of all meta-training tasks, then a new head: H. Wang, H. Zhao, B. Li, "Bridging
Multi-Task Learning and Meta-Learning: Towards Efficient Training and Effective Adaptation", ICML
2021, https://arxiv.org/abs/2106.09017, sections 3 and 5.

One trunk learns the tasks of `SETS` training sets at once, each with a linear head of its own; a
new task has ridge regression on the features of that trunk, in closed form:

    ŷ(x) = ȳ + (f(x) − f̄)ᵀ Φᵀ (Φ Φᵀ + λ I)⁻¹ (y − ȳ),   rows of Φ: f(x_m) − f̄

Shape letters: B sets, T tasks, M support points, Q queries, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.mreptile import union
from metacli.algorithms.meta_multitask.steps import known, task_losses
from metacli.autodiff import constant_grad
from metacli.data.draws import shuffled
from metacli.engine.sets.arms.adam import Moments, adam, at_rest
from metacli.engine.sets.arms.scratch import fresh_network
from metacli.nn.trunk_heads import HEAD
from metacli.trees import without
from metacli.types import Params, SetEpisode

SETS = 1000
HEADS = "head."


def pretrained(
    batch_at: Callable[[int], SetEpisode],
    *,
    rate: float,
    steps: Sequence[int],
    seed: int,
    sets: int = SETS,
) -> list[Params]:
    """The trunk after each of these numbers of `steps` of Adam on meta-batches of the first `sets`
    training sets."""
    groups = gathered(batch_at, sets)
    inputs = groups[0].support.x.shape[-1]
    network = fresh_network(inputs, 1)
    trunk = {name: value[None, None] for name, value in without(network.init(seed), HEADS).items()}
    of_trunk = at_rest(trunk)
    heads = [no_heads(one, network.hidden[-1]) for one in groups]
    of_heads: list[Moments] = [at_rest(one) for one in heads]
    found = []
    for step in range(1, max(steps) + 1):
        turn, place = divmod(step - 1, len(groups))
        at = shuffled(len(groups), "pretrained", seed, turn)[place]
        support = groups[at].support
        loss = lambda phi: task_losses(network, phi, support).mean()  # noqa: B023, E731
        slopes = constant_grad(loss, {**trunk, **heads[at]})
        trunk, of_trunk = adam(trunk, slopes, of_trunk, rate)
        heads[at], of_heads[at] = adam(heads[at], slopes, of_heads[at], rate)
        if step in steps:
            found.append(trunk)
    return found


def gathered(batch_at: Callable[[int], SetEpisode], sets: int) -> list[SetEpisode]:
    """Meta-batches until there are so many sets; all labels of a set are its support."""
    groups: list[SetEpisode] = []
    while sum(len(one.roles) for one in groups) < sets:
        batch = batch_at(len(groups))
        groups.append(batch._replace(support=union(batch)))
    return groups


def no_heads(episodes: SetEpisode, features: int) -> Params:
    """A head of zeros for every task."""
    weight = torch.zeros(*episodes.roles.shape, features)
    return dict(zip(HEAD, (weight, weight[..., 0].clone()), strict=True))


def ridge_answers(trunk: Params, episodes: SetEpisode, penalties: Sequence[float]) -> list[Tensor]:
    """What a new head for each task says at its queries under each penalty λ, [B, T, Q]."""
    support, query, _ = episodes[:3]
    network = fresh_network(support.x.shape[-1], 1)
    features, asked = (network.features(trunk, one.x) for one in (support, query))
    y = known(support)
    mask = torch.ones_like(y) if support.mask is None else support.mask.to(y.dtype)
    counts = mask.sum(-1, keepdim=True).clamp(min=1)
    middle = (mask[..., None] * features).sum(-2, keepdim=True) / counts[..., None]  # [B, T, 1, F]
    height = (mask * y).sum(-1, keepdim=True) / counts
    phi = mask[..., None] * (features - middle)
    gram = phi @ phi.transpose(-1, -2)  # [B, T, M, M]; what is masked is zero
    one = torch.eye(gram.shape[-1], dtype=gram.dtype)
    rest = (mask * (y - height))[..., None]
    across = (asked - middle) @ phi.transpose(-1, -2)  # [B, T, Q, M]
    return [
        height + (across @ torch.linalg.solve(gram + penalty * one, rest))[..., 0]
        for penalty in penalties
    ]
