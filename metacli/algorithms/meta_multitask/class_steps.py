"""The inner loop of the learners of sets that adapt by gradient steps, for one set whose tasks may
be classifications, on any backbone.

    u_g ← u_g − α Σ_h A_gh ∇L_h(u_h),   L_h = Σ_t over the tasks of copy h of L_t   (trunk)
    h_t ← h_t − α ∇L_t(h_t)                                                         (head)

Tasks that share a copy of the trunk go through it together: with one copy for all T tasks and A =
1/T that is the joint inner loop, with a copy for each and A = I separate adaptation. Where class n
is the same in every task, a copy has one head, which follows the same mixture as its trunk.

A head that is built from the support (Proto-MAML, E. Triantafillou et al., "Meta-Dataset", ICLR
2020, section 3.2) begins as the nearest class mean of φ_0's features: w_n = 2 c_n, b_n = −‖c_n‖².
Where labels are shared, c_n is the mean over the copy's tasks, weighted by A.

Shape letters: T tasks, M rows, N classes, D features, G copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.steps import Rate, known
from metacli.autodiff import constant_grad, grad
from metacli.nn.set_answers import (
    SetAnswers,
    bar_absent,
    class_losses,
    classes_shown,
    membership_of,
)
from metacli.nn.trunk_classes import BIAS, VALUE_BIAS, VALUE_WEIGHT, WEIGHT, TrunkClasses
from metacli.trees import detach
from metacli.types import Batch, Params, SetEpisode

HEADS = (WEIGHT, BIAS)


class Sharing(NamedTuple):
    """Which copy of the trunk each task goes through, int64 [T]; how the copies' gradients mix, A
    [G, G]; and which tasks see each other, bool [T, T]."""

    copy: Tensor
    mixing: Tensor
    sees: Tensor


@dataclass(frozen=True)
class InnerSteps:
    """The inner loop's settings.

    Args:
        moves: prefixes of the names that move. first_order: inner gradients count as constants.
    """

    rate: Rate
    steps: int
    first_order: bool
    moves: tuple[str, ...] = ("",)


def one_set(episodes: SetEpisode, at: int) -> SetEpisode:
    """Set `at` of a meta-batch, without the leading axis."""
    return map_sets(lambda value: value[at], episodes)


def map_sets(fn: Callable[[Tensor], Tensor], episodes: SetEpisode) -> SetEpisode:
    """fn applied to every tensor of a set or a meta-batch of sets."""
    support, query = (
        Batch(fn(half.x), fn(half.y), None if half.mask is None else fn(half.mask))
        for half in episodes[:2]
    )
    ways = None if episodes.ways is None else fn(episodes.ways)
    return SetEpisode(support, query, fn(episodes.roles), ways)


def full_sharing(sees: Tensor, dtype: torch.dtype) -> Sharing:
    """A copy for each class of tasks that see each other [T, T], whose mean loss it follows."""
    first = sees.to(torch.int).argmax(-1)
    _, copy, counts = first.unique(return_inverse=True, return_counts=True)
    return Sharing(copy, torch.diag(1 / counts.to(dtype)), sees)


def adapted(
    network: TrunkClasses,
    params: Params,
    episodes: SetEpisode,
    sharing: Sharing,
    descent: InnerSteps,
) -> Params:
    """φ of one set: the trunk with a leading [G], the heads [T, N, D] or, shared, [G, N, D]."""
    start = begin(network, params, episodes, sharing)
    frozen = detach(start) if descent.first_order else start
    fast = {name: value for name, value in start.items() if name.startswith(descent.moves)}
    loss = lambda phi: support_losses(network, {**frozen, **phi}, episodes, sharing).sum()  # noqa: E731
    own = () if network.shared_labels else HEADS
    for step in range(descent.steps):
        slopes = constant_grad(loss, fast) if descent.first_order else grad(loss, fast)
        followed = {
            name: slope if name in own else mixed(slope, sharing.mixing)
            for name, slope in slopes.items()
        }
        fast = {
            name: value - descent.rate(step, name) * followed[name] for name, value in fast.items()
        }
    return {**start, **fast}


def mixed(slope: Tensor, mixing: Tensor) -> Tensor:
    """Σ_h A_gh g_h of [G, ...]."""
    return (mixing @ slope.reshape(len(slope), -1)).view_as(slope)  # [G] of a scalar, too


def begin(network: TrunkClasses, params: Params, episodes: SetEpisode, sharing: Sharing) -> Params:
    """φ_0: copies of θ's trunk and the heads."""
    copies = len(sharing.mixing)
    trunk = {name: params[name] for name in network.encoder.trainable}
    weight, bias = heads_of(network, params, trunk, episodes, sharing)
    repeated = {name: value.expand(copies, *value.shape) for name, value in trunk.items()}
    return {**repeated, WEIGHT: weight, BIAS: bias}


def heads_of(
    network: TrunkClasses,
    params: Params,
    trunk: Params,
    episodes: SetEpisode,
    sharing: Sharing,
) -> tuple[Tensor, Tensor]:
    """The heads of φ_0, [T or G, N, D] and [T or G, N]."""
    support, _, _, ways = episodes
    assert ways is not None
    if network.way:
        count = len(sharing.mixing) if network.shared_labels else len(ways)
        return params[WEIGHT].expand(count, -1, -1), params[BIAS].expand(count, -1)
    features = network.features(trunk, support.x)
    member = membership_of(known_batch(support), ways[None], most_classes(ways))[0]
    counted = member.to(features.dtype)
    sums, counts = counted.transpose(1, 2) @ features, counted.sum(1)  # [T, N, D], [T, N]
    means = sums / counts.clamp(min=1)[..., None]
    if network.shared_labels:
        weight = sharing.mixing[:, sharing.copy][..., None] * (counts > 0)  # [G, T, N]
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-30)
        means = torch.einsum("gtn,tnd->gnd", weight, means)
        return 2 * means, -means.square().sum(-1)
    regression = (ways == 0)[:, None]
    value = params[VALUE_WEIGHT].expand_as(means)
    weights = torch.where(regression[..., None], value, 2 * means)
    biases = torch.where(regression, params[VALUE_BIAS], -means.square().sum(-1))
    return weights, biases


def most_classes(ways: Tensor) -> int:
    """N; 1 where all tasks are regressions."""
    return max(1, int(ways.max()))


def known_batch(support: Batch) -> Batch:
    """The support with a leading [1] and 0 where a label is missing."""
    mask = None if support.mask is None else support.mask[None]
    return Batch(support.x[None], known(support)[None], mask)


def outputs(network: TrunkClasses, phi: Params, x: Tensor, copy: Tensor) -> Tensor:
    """What every task says of its rows x [T, M, ...]: [T, M, N]."""
    found: dict[int, Tensor] = {}
    for number in range(int(copy.max()) + 1):
        tasks = (copy == number).nonzero()[:, 0]
        trunk = {name: phi[name][number] for name in network.encoder.trainable}
        features = network.features(trunk, x[tasks])
        heads = torch.full_like(tasks, number) if network.shared_labels else tasks
        out = network.read_out(phi[WEIGHT][heads], phi[BIAS][heads], features)
        found |= dict(zip(tasks.tolist(), out, strict=True))
    return torch.stack([found[task] for task in range(len(copy))])


def support_losses(
    network: TrunkClasses, phi: Params, episodes: SetEpisode, sharing: Sharing
) -> Tensor:
    """L_t [T]: each class's mean cross-entropy, averaged over the classes that the task's support
    holds; the mean squared error of a regression."""
    support, _, _, ways = episodes
    assert ways is not None
    out, batch = outputs(network, phi, support.x, sharing.copy), known_batch(support)
    each = class_losses(answers(network, out, episodes, sharing), batch, ways[None])[0]  # [T, M]
    member = membership_of(batch, ways[None], out.shape[-1])[0].to(out.dtype)  # [T, M, N]
    counts = member.sum(1)  # [T, N]
    weights = (member / counts.clamp(min=1)[:, None]).sum(-1)
    weights = weights / (counts > 0).sum(-1).clamp(min=1)[:, None]
    classified = torch.where(weights > 0, each, 0) * weights
    valid = torch.ones_like(each) if support.mask is None else support.mask.to(each.dtype)
    squares = (out[..., 0] - batch.y[0]).square() * valid
    return torch.where(ways > 0, classified.sum(-1), squares.sum(-1) / valid.sum(-1).clamp(min=1))


def answers(
    network: TrunkClasses, out: Tensor, episodes: SetEpisode, sharing: Sharing
) -> SetAnswers:
    """Outputs [T, M, N] of one set as answers with a leading [1], of variance 1; a class that
    nobody showed is none."""
    ways = episodes.ways
    assert ways is not None
    sees = sharing.sees[None] if network.shared_labels else None
    shown = classes_shown(known_batch(episodes.support), ways[None], sees, out.shape[-1])
    mean = out[None, ..., 0]
    return SetAnswers(bar_absent(out[None], shown), mean, torch.ones_like(mean))


def answered(
    network: TrunkClasses, phi: Params, episodes: SetEpisode, sharing: Sharing
) -> SetAnswers:
    """The queries of one set from φ, with a leading [1]."""
    out = outputs(network, phi, episodes.query.x, sharing.copy)
    return answers(network, out, episodes, sharing)
