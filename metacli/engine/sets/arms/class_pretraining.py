"""Joint training of all meta-training classes, then a new head, for sets of classifications: H.
Wang, H. Zhao, B. Li, "Bridging Multi-Task Learning and Meta-Learning: Towards Efficient Training
and Effective Adaptation", ICML 2021, https://arxiv.org/abs/2106.09017, sections 3 and 5; for
classes that are new the same as Y. Tian et al., "Rethinking Few-Shot Image Classification: a Good
Embedding Is All You Need?", ECCV 2020, https://arxiv.org/abs/2003.11539.

One trunk learns to tell all classes of the training sets at once, on the examples of the same
stream of sets as the learner. Tasks whose labels mean the same have one head; classes that are
divided among tasks, or come in styles, are told from all others of their kind; other tasks have a
head each. A new task has ridge regression on features of unit length, in closed form:

    l_n(x) = ȳ_n + (f(x) − f̄)ᵀ Φᵀ (Φ Φᵀ + λ I)⁻¹ (y_n − ȳ_n),   rows of Φ: f(x_m) − f̄

y_n is 1 for the support of class n, 0 for the others.

Shape letters: B sets, T tasks, M support rows, Q queries, N classes, C all classes, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta_multitask.steps import known
from metacli.autodiff import constant_grad
from metacli.data.sets.classes import ClassSets
from metacli.engine.sets.arms.adam import adam, at_rest
from metacli.nn.problem import Problem
from metacli.nn.set_answers import SetAnswers, bar_absent, classes_shown, membership_of
from metacli.trees import pick, without
from metacli.types import Params, SetEpisode

HEAD = "joint."
WEIGHT, BIAS = f"{HEAD}weight", f"{HEAD}bias"


@dataclass(frozen=True)
class JointClasses:
    """All classes of a source of sets.

    Args:
        numbers: of a class, by the names of its task ("" where tasks share their heads) and itself.
        spans: the classes that an example of a task is told from, by the name of the task.
    """

    numbers: dict[tuple[str, str], int]
    spans: dict[str, tuple[int, int]]

    @property
    def count(self) -> int:
        return len(self.numbers)


def joint_classes(source: ClassSets) -> JointClasses:
    """Every class once, in the order of the source."""
    pool = source.pool
    apart = pool.relation == "tasks" and not pool.shared_labels
    numbers: dict[tuple[str, str], int] = {}
    spans: dict[str, tuple[int, int]] = {}
    for task in (one for group in pool.groups for one in group):
        first = len(numbers)
        for name in task.classes:
            numbers.setdefault((task.name if apart else "", name), len(numbers))
        if apart:
            spans[task.name] = (first, len(numbers))
    return JointClasses(numbers, spans)


def class_pretrained(
    source: ClassSets, encoder: Problem, *, rate: float, steps: Sequence[int], seed: int
) -> list[Params]:
    """The trunk after each of these numbers of `steps` of Adam on meta-batches of the source."""
    every = joint_classes(source)
    trunk = pick(encoder.init(seed), encoder.trainable)
    head = torch.zeros(every.count, encoder.features)
    params = {**trunk, WEIGHT: head, BIAS: head.new_zeros(every.count)}
    moments, found = at_rest(params), []
    for step in range(1, max(steps) + 1):
        x, parts = examples_at(source, every, step - 1)

        def loss(at: Params) -> Tensor:
            features = encoder.embed(at, x, together=True)  # noqa: B023
            return joint_loss(at, features, parts)  # noqa: B023

        params, moments = adam(params, constant_grad(loss, params), moments, rate)
        if step in steps:
            found.append(without(params, HEAD))
    return found


Part = tuple[slice, tuple[int, int], Tensor]
"""Rows of a task, the classes that they are told from, and the class of each."""


def examples_at(source: ClassSets, every: JointClasses, step: int) -> tuple[Tensor, list[Part]]:
    """All examples of a meta-batch, supports and queries, and what they are."""
    batch = source.meta_batch_at(step)
    x = torch.cat([batch.support.x, batch.query.x], 2)  # [B, T, M+Q, ...]
    y = torch.cat([batch.support.y, batch.query.y], 2).long()
    rows, parts = x.shape[2], []
    for at in range(len(x)):
        members = source.members(step * source.meta_batch + at)
        for t, (task, classes) in enumerate(zip(members.tasks, members.classes, strict=True)):
            span = every.spans.get(task, (0, every.count))
            own = task if task in every.spans else ""
            numbers = torch.tensor([every.numbers[own, name] - span[0] for name in classes])
            first = (at * x.shape[1] + t) * rows
            parts.append((slice(first, first + rows), span, numbers[y[at, t]]))
    return x.flatten(0, 2), parts


def joint_loss(params: Params, features: Tensor, parts: Sequence[Part]) -> Tensor:
    """The mean over tasks of the cross-entropy of their examples, a scalar."""
    losses = []
    for rows, (first, last), y in parts:
        logits = F.linear(features[rows], params[WEIGHT][first:last], params[BIAS][first:last])
        losses.append(F.cross_entropy(logits, y))
    return torch.stack(losses).mean()


def class_ridge(
    encoder: Problem, trunk: Params, episodes: SetEpisode, penalties: Sequence[float]
) -> list[SetAnswers]:
    """What a new head for each task says under each penalty λ; its logits are no log-odds."""
    support, query, ways = episodes.support, episodes.query, episodes.ways
    assert ways is not None
    most = max(1, int(ways.max()))
    with torch.no_grad():
        features, asked = (unit_features(encoder, trunk, one.x) for one in (support, query))
    y = known(support)
    mask = torch.ones_like(y) if support.mask is None else support.mask.to(y.dtype)
    counts = mask.sum(-1).clamp(min=1)[..., None, None]
    target = membership_of(support._replace(y=y), ways, most).to(y.dtype)  # [B, T, M, N]
    middle = (mask[..., None] * features).sum(-2, keepdim=True) / counts
    height = target.sum(-2, keepdim=True) / counts
    phi = mask[..., None] * (features - middle)
    gram = phi @ phi.transpose(-1, -2)
    one, rest = torch.eye(gram.shape[-1], dtype=gram.dtype), mask[..., None] * (target - height)
    across = (asked - middle) @ phi.transpose(-1, -2)  # [B, T, Q, M]
    shown = classes_shown(support, ways, None, most)
    blank = torch.zeros_like(query.y)
    return [
        SetAnswers(
            bar_absent(height + across @ torch.linalg.solve(gram + penalty * one, rest), shown),
            blank,
            blank + 1,
        )
        for penalty in penalties
    ]


def unit_features(encoder: Problem, trunk: Params, x: Tensor) -> Tensor:
    """[B, T, M, D] of examples [B, T, M, ...]."""
    found: Tensor = encoder.embed(trunk, x.flatten(0, 2), together=True)
    return F.normalize(found.unflatten(0, x.shape[:3]), dim=-1)
