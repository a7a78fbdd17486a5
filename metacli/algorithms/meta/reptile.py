"""Reptile: A. Nichol, J. Achiam, J. Schulman, "On First-Order Meta-Learning Algorithms", 2018,
https://arxiv.org/abs/1803.02999, algorithms 1 (meta_batch 1) and 2 (batched).

Idea: train on a task for a few mini-batches, then move the initialisation towards where that led.

    φ_i = U^k(θ),      direction = (1/B) Σ_i (θ − φ_i)

so that `train: {optimizer: sgd, lr: ε}` is θ ← θ + ε (φ − θ); the paper's ε falls linearly from 1.

Where we differ: the training data of a task are its support and its query together, as there is no
loss on held-out examples; the paper's 10 train shots are 9 + 1. Mini-batches are cut from one
shuffle after another as in the authors' code, but are never larger than the data, and the average
is over the classes of a mini-batch. Adam's second moment goes on from task to task, as in the
authors' code; the tasks of a meta-batch begin with the same one, and leave their mean. `adapt`
begins with the last, and draws its mini-batches from a fixed seed. `query_*` metrics are of
examples that were trained on.

k = `inner_steps`; U is `inner_optimizer` with `inner_lr` on `inner_batch` examples; `adam`
has β1 = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta.gradient_learner import GradientLearner
from metacli.algorithms.meta.inner import (
    HEAD,
    HeadName,
    count_classes,
    learned_like,
    movable,
    outer_direction,
    query_loss,
    start,
    support_loss,
    trained,
    union,
)
from metacli.algorithms.meta.minibatches import minibatches, shuffling
from metacli.autodiff import constant_grad
from metacli.nn.problem import Problem
from metacli.trees import add_scaled, detach, map_params, select, subtract, without
from metacli.types import Batch, Episode, Metrics, Params, State, Update

BETA2, EPS = 0.999, 1e-8
OWN = "reptile."
SQUARE = f"{OWN}square."
KEYS, UNBIASED = f"{OWN}keys", f"{OWN}unbiased"


@dataclass(frozen=True, kw_only=True)
class Reptile(GradientLearner):
    inner_lr: Annotated[float, Gt(0)] = 1e-3
    inner_steps: Annotated[int, Ge(0), Le(1000)] = 5
    inner_batch: Annotated[int, Ge(1)] = 10
    inner_optimizer: Literal["sgd", "adam"] = "adam"
    head: HeadName = "linear"

    compiles = True
    traceable = False  # which examples a step sees follows from how many there are

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        if self.inner_optimizer == "sgd":
            return {}, {}
        moved = learned_like(problem, params)
        return {SQUARE + n: torch.zeros_like(value) for n, value in moved.items()}, {"steps": 0}

    def inner(
        self, problem: Problem, params: Params, support: Batch, state: State, way: int
    ) -> list[Params]:
        given = self.given(len(support.y), torch.Generator().manual_seed(0), params, state)
        return self.trained_on(problem, {**params, **given}, support, way)[0]

    def trained_on(
        self, problem: Problem, params: Params, data: Batch, way: int
    ) -> tuple[list[Params], Params]:
        """θ_0 .. θ_k, and Adam's second moment at the end. `params` has what is `given`, too."""
        begin = detach(start(problem, without(params, OWN), data, self.head, way))
        phi, keys, unbiased = movable(problem, begin), params[KEYS], params[UNBIASED]
        path, square = [begin], {}
        if self.inner_optimizer == "adam":
            none = torch.zeros((), device=data.y.device)
            square = {n: params.get(SQUARE + n, none.to(v)).expand_as(v) for n, v in phi.items()}
        for step, rows in enumerate(
            minibatches(keys, data.mask, self.inner_batch, self.inner_steps)
        ):
            part = Batch(data.x[rows], data.y[rows])
            step_by = constant_grad(support_loss(problem, begin, part, phi), phi)
            if self.inner_optimizer == "adam":
                square = map_params(lambda v, g: torch.lerp(g * g, v, BETA2), square, step_by)
                step_by = map_params(adam_step(unbiased[step]), step_by, square)
            phi = add_scaled(phi, step_by, -self.inner_lr)
            path.append({**begin, **phi})
        return path, square

    def given(
        self, examples: int, rng: torch.Generator, params: Params, state: State
    ) -> dict[str, Tensor]:
        """The numbers of one meta-batch besides θ: random ones [E, M] that shuffle the M examples E
        times, and what the second moment of each inner step is divided by, [k]."""
        keys = shuffling(examples, self.inner_batch, self.inner_steps, rng)
        like, done = next(iter(params.values())), state.get("steps", 0)
        unbiased = [1 - BETA2 ** (done + step + 1) for step in range(self.inner_steps)]
        divisors = torch.tensor(unbiased, dtype=like.dtype, device=like.device)
        return {KEYS: keys.to(like.device), UNBIASED: divisors}

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way = count_classes(batch.query.y, problem)
        examples = batch.support.y.shape[1] + batch.query.y.shape[1]
        # One shuffle for all tasks, whose rows are random.
        given = self.given(examples, rng, params, state)

        def moved(at: Problem, every: Params, episode: Episode) -> tuple[Params, Metrics]:
            path, square = self.trained_on(at, every, union(episode), way)
            phi = path[-1]
            prediction = at.predict(phi, episode.query.x, together=True)
            if self.head != "linear":  # a row goes to the mean of what the classes made of it
                phi, square = ({**one, **mean_rows(one)} for one in (phi, square))
            left = {SQUARE + name: value for name, value in square.items()}
            metrics = query_loss(at, prediction, episode.query)[1]
            return {**subtract(trained(at, every), phi), **left}, metrics

        found, metrics = outer_direction((self, way), moved, problem, {**params, **given}, batch)
        after = {"steps": state.get("steps", 0) + self.inner_steps} if state else {}
        return Update(without(found, OWN), after, metrics, select(found, (OWN,)))


def mean_rows(params: Params) -> Params:
    """The head's rows as their mean, one row; nothing where there is no head."""
    return {name: params[name].mean(0, keepdim=True) for name in HEAD if name in params}


def adam_step(unbiased: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """g / (√(v / unbiased) + ε)."""
    return lambda g, v: g / ((v / unbiased).sqrt() + EPS)
