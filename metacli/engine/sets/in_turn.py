"""Which tasks of a set are related: how much two of them say about each other, and what follows of
that for all.

The labels of two tasks are answered one row after another, from the rows before, with and without
those of the other task.

By the chain rule log p(y_1, ..., y_M) = Σ_k log p(y_k | y_1, ..., y_k-1), so for a pair of tasks
the sum of what is gained is the logarithm of the Bayes factor of learning them together against
each alone (R. Kass, A. Raftery, "Bayes Factors", JASA 1995; one after another: A. Dawid,
"Statistical Theory: The Prequential Approach", JRSS A 1984). Unlike a score of held-out labels it
counts what is gained while there are few labels, which is where a related task says most. All
labels are used, and no others are needed.

Where we differ: rows are answered in at most `BLOCKS` blocks, the rows of a block together; the
mean over an order and its reverse is taken; a label counts for at most `MOST`, since one label that
a narrow prediction misses would outweigh all others; the mean over the labels of a task is given.

That two tasks are related is no fact about them alone: the tasks related to one are related to each
other. Over all partitions G of up to `MOST_TASKS` tasks into groups, each as likely as any other
before,

    P(G | labels) ∝ exp(`SHARPNESS` Σ_(t,s in one group of G) b_ts),

b_ts the sum of the bounded gains of both tasks' labels (a composite likelihood: C. Varin, N. Reid,
D. Firth, Statistica Sinica 2011). `MOST` and `SHARPNESS` were chosen on validation sets
(benchmarks/protocols/meta_multitask.md).

Shape letters: B sets, T tasks, P pairs of tasks, M support rows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.draws import shuffled
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import log_density
from metacli.types import Batch, SetEpisode

BLOCKS = 10
MOST = 1.0  # nats
SHARPNESS = 3.0
MOST_TASKS = 8  # of which there are 4,140 partitions
MOST_PAIRS = 4_000_000  # of labels that look at each other at a time
GAIN = (
    "gain of the mean log-likelihood of a row's task, its labels one after another, from those of "
    "the column's task, without a third task"
)
SHARED = (
    "probability that two tasks are related, by what the labels of one say about those of the "
    "other, over all partitions of the tasks into groups"
)


class Relatedness(NamedTuple):
    """A strength of each pair of tasks, [B, T, T], 0 on the diagonal, and what it is."""

    matrix: np.ndarray
    what: str


def relatedness_of(model: SetModel, episodes: SetEpisode) -> Relatedness:
    """Probabilities of up to `MOST_TASKS` tasks, gains of more. Queries are not looked at."""
    gained = in_turn(model, episodes)
    if gained.shape[1] > MOST_TASKS:
        return Relatedness(gained, GAIN)
    total = gained * labels_of(episodes).double().numpy()[:, :, None]
    return Relatedness(in_one_group(total + total.swapaxes(1, 2)), SHARED)


def in_one_group(evidence: np.ndarray) -> np.ndarray:
    """The probability [B, T, T] that two tasks are of one group, of b [B, T, T]; 0 on the
    diagonal."""
    tasks = evidence.shape[1]
    groups = partitions(tasks)
    same = groups[:, :, None] == groups[:, None]  # [G, T, T]
    above = np.triu_indices(tasks, 1)
    weight = SHARPNESS * evidence[:, *above] @ same[:, *above].T.astype(float)  # [B, G]
    share = np.exp(weight - weight.max(1, keepdims=True))
    found: np.ndarray = np.einsum("bg,gts->bts", share / share.sum(1, keepdims=True), same)
    return np.where(np.eye(tasks, dtype=bool), 0.0, found)


def partitions(tasks: int) -> np.ndarray:
    """Every partition of so many tasks into groups, once: the group of each task, [G, T]."""
    found = [[0]]
    for _ in range(tasks - 1):
        found = [[*one, group] for one in found for group in range(max(one) + 2)]
    return np.array(found)


def in_turn(model: SetModel, episodes: SetEpisode) -> np.ndarray:
    """[B, T, T]: what the labels of a row's task gain from those of a column's; 0 where a task has
    no label, and beside itself."""
    sets, tasks = episodes.roles.shape
    if tasks < 2:
        return np.zeros((sets, tasks, tasks))
    pairs = torch.tensor(list(combinations(range(tasks), 2)), dtype=torch.long)
    apart = densities(model, supports(episodes), alone)[:, pairs]  # [B, P, 2, 2, M]
    joint = densities(model, supports(episodes, pairs), together)
    gained = (joint.view_as(apart) - apart).nan_to_num().clamp(-MOST, MOST)
    each = gained.sum((-1, -2)) / (2 * labels_of(episodes)[:, pairs]).clamp(min=1)  # [B, P, 2]
    found = np.zeros((sets, tasks, tasks))
    for way in (pairs, pairs.flip(1)):
        first = 0 if way is pairs else 1
        found[:, way[:, 0], way[:, 1]] = each[..., first].double().numpy()
    return found


def supports(episodes: SetEpisode, pairs: Tensor | None = None) -> SetEpisode:
    """The supports of sets without queries; of every pair of their tasks, [B P, 2, M]."""
    (x, y, mask), roles = episodes.support, episodes.roles
    mask = torch.ones_like(y, dtype=torch.bool) if mask is None else mask
    if pairs is not None:
        x, y, mask, roles = (one[:, pairs].flatten(0, 1) for one in (x, y, mask, roles))
    shown = Batch(x, y, mask)
    return SetEpisode(shown, shown, roles)


def labels_of(episodes: SetEpisode) -> Tensor:
    """How many each task has, [B, T]."""
    mask = episodes.support.mask
    return torch.ones_like(episodes.support.y).sum(-1) if mask is None else mask.sum(-1)


def densities(model: SetModel, episodes: SetEpisode, sees: Callable[[Tensor], Tensor]) -> Tensor:
    """log p of every label from the blocks before its own, [B, T, 2, M]; nan where there is no
    label, and of the first block, which nothing comes before."""
    (x, y, mask), roles = episodes.support, episodes.roles
    assert mask is not None  # of `supports`
    size = max(1, MOST_PAIRS // max(1, y[0].numel()) ** 2)
    parts = zip(x.split(size), y.split(size), mask.split(size), roles.split(size), strict=True)
    return torch.cat([of_group(model, a, b, c, named, sees(named)) for a, b, c, named in parts])


def of_group(
    model: SetModel, x: Tensor, y: Tensor, known: Tensor, roles: Tensor, sees: Tensor
) -> Tensor:
    """`densities` of sets that are answered together."""
    rows = blocks_of(y.shape[2])
    found = torch.full((*y.shape[:2], *rows.shape), torch.nan)
    for order, block in np.ndindex(len(rows), int(rows.max(initial=0)) + 1):
        before, here = (
            torch.from_numpy(one) for one in (rows[order] < block, rows[order] == block)
        )
        if not bool((known & before).any()):
            continue  # without a label both ways say the same
        part = SetEpisode(Batch(x, y, known & before), Batch(x[:, :, here], y[:, :, here]), roles)
        said = log_density(model.answer(part, sees), y[:, :, here])
        found[:, :, order, here] = torch.where(known[:, :, here], said, torch.nan)
    return found


def blocks_of(count: int) -> np.ndarray:
    """The block of each row in an order and in its reverse, int64 [2, M]."""
    order, blocks = np.empty(count, np.int64), min(BLOCKS, count)
    order[np.array(shuffled(count, "labels in turn"), np.int64)] = np.arange(count)
    first = order * blocks // max(1, count)
    return np.stack([first, blocks - 1 - first])
