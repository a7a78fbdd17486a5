"""The inner loop that the MAML family shares: how φ starts, how it steps, and the gradient through
it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from metacli.autodiff import constant_grad, grad, mean_direction, mean_gradient
from metacli.compiled import Programs
from metacli.errors import UsageProblem
from metacli.nn.layers.products import rows_first
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.trees import detach, map_params, pick, select, subtract
from metacli.types import Batch, Episode, Metrics, Params

HeadName = Literal["linear", "proto", "shared"]
HEAD = ("head.weight", "head.bias")


Rate = Callable[[int, str], float | Tensor]
"""(0-based step, parameter name) -> the inner rate, a number or a tensor that broadcasts to the
parameter."""


Memory = tuple[Params, ...]
"""What an inner optimiser remembers from step to step, such as its moments."""


class InnerRule(Protocol):
    """What an inner step makes of a gradient: the seam for learned rates, preconditioners and
    optimisers. Differentiable by whatever it is made of."""

    def init(self, phi: Params) -> Memory:
        """The memory before the first step."""
        ...

    def update(self, step: int, gradient: Params, memory: Memory) -> tuple[Params, Memory]:
        """What 0-based `step` subtracts from φ, and the memory for the next one."""
        ...


@dataclass(frozen=True)
class Descent:
    """φ ← φ − lr T(∇L(φ)), for a transform T of the gradient (none: the gradient itself)."""

    lr: float | Rate
    transform: Callable[[Params], Params] | None = None

    def init(self, phi: Params) -> Memory:
        return ()

    def update(self, step: int, gradient: Params, memory: Memory) -> tuple[Params, Memory]:
        if self.transform is not None:
            gradient = self.transform(gradient)
        rates = {name: self.lr(step, name) if callable(self.lr) else self.lr for name in gradient}
        return {name: rates[name] * value for name, value in gradient.items()}, memory


def rule_path(
    loss: Callable[[Params], Tensor],
    phi: Params,
    rule: InnerRule,
    *,
    steps: int,
    first_order: bool,
) -> list[Params]:
    """φ_0 .. φ_steps of φ ← φ − rule(∇L(φ)). `first_order` treats inner gradients as constants."""
    path, memory = [phi], rule.init(phi)
    for step in range(steps):
        gradient = constant_grad(loss, phi) if first_order else grad(loss, phi)
        update, memory = rule.update(step, gradient, memory)
        phi = subtract(phi, update)
        path.append(phi)
    return path


def head_size(head: HeadName, way: int) -> int | None:
    """Rows of the head in θ: one per class, none, or a single one that every class starts from."""
    return {"linear": way, "proto": None, "shared": 1}[head]


def start(problem: Problem, params: Params, support: Batch, head: HeadName, way: int) -> Params:
    """φ_0: θ with a head of `way` classes.

    `proto` (Proto-MAML, Triantafillou et al. 2020, section 3.2): w_n = 2 c_n, b_n = −‖c_n‖², with
    which the linear head is the nearest class mean. `shared`: one learned row, copied for every
    class.
    """
    if head == "linear":
        return params
    if head == "shared":
        if HEAD[0] not in params:
            raise UsageProblem(
                'head="shared" starts from a head in θ, and this network has its own outputs',
                hint='head="linear", or head="proto" on a network that ends in features',
            )
        weight, bias = params[HEAD[0]], params[HEAD[1]]
        return {**params, HEAD[0]: weight.expand(way, -1), HEAD[1]: bias.expand(way)}
    means = class_means(problem.embed(params, support.x, together=True), support, way)  # [N, D]
    return {**params, HEAD[0]: 2 * means, HEAD[1]: -means.square().sum(1)}


def class_means(features: Tensor, support: Batch, way: int) -> Tensor:
    """c_n, the mean of each class's features: [M, D] -> [N, D]."""
    member = membership(support.y, way, support.mask, features.dtype)  # [M, N]
    return member.T @ features / member.sum(0)[:, None]


def inner_path(
    problem: Problem,
    params: Params,
    support: Batch,
    *,
    way: int,
    head: HeadName,
    adapts: tuple[str, ...] = ("",),
    rule: InnerRule,
    steps: int,
    first_order: bool,
) -> list[Params]:
    """θ_0 .. θ_steps as whole parameter dicts; only trainable names that start with one of
    `adapts` move."""
    begin = start(problem, params, support, head, way)
    fast = select(movable(problem, begin), adapts)
    loss = support_loss(problem, detach(begin) if first_order else begin, support, fast)
    moved = rule_path(loss, fast, rule, steps=steps, first_order=first_order)
    return [{**begin, **phi} for phi in moved]


def movable(problem: Problem, begin: Params) -> Params:
    """What an inner loop may move: the trained part of φ_0, with its head wherever that is from."""
    return pick(begin, problem.trainable | frozenset(HEAD))


def support_loss(
    problem: Problem, begin: Params, support: Batch, fast: Params
) -> Callable[[Params], Tensor]:
    """L_S as a function of the parameters that move. Where only the head does (ANIL), the features
    are computed once."""
    if all(name in HEAD for name in fast):
        features = problem.embed(begin, support.x, together=True)
        return lambda phi: problem.loss(problem.read_out({**begin, **phi}, features), support)
    return lambda phi: problem.loss_on({**begin, **phi}, support)


End = Callable[[Problem, Params, Batch, int], Params]
"""(problem, θ, support, way) -> φ, with which the query is predicted."""


TaskLoss = Callable[[Problem, Params, Episode], tuple[Tensor, Metrics]]
"""(problem, θ and every other number, one episode) -> (loss, metrics)."""


def query_gradient(
    learner: Hashable,
    end: End,
    problem: Problem,
    params: Params,
    episodes: Episode,
    own: str | None = None,
) -> tuple[Params, Metrics]:
    """∇_θ (1/B) Σ_i L(φ_i(θ); Q_i) and the mean query metrics.

    Args:
        learner: all that `end` depends on besides its arguments; a compiled program is kept by it.
        own: how the names of the learner's own learned parameters start, which are then a part
            of θ.
    """
    way = count_classes(episodes.query.y, problem)

    def task_loss(at: Problem, every: Params, episode: Episode) -> tuple[Tensor, Metrics]:
        phi = end(at, every, episode.support, way)
        prediction = at.predict(phi, episode.query.x, together=True)
        return query_loss(at, prediction, episode.query)

    return outer_gradient((learner, way), task_loss, problem, params, episodes, own)


def outer_gradient(
    name: Hashable,
    loss: TaskLoss,
    problem: Problem,
    params: Params,
    episodes: Episode,
    own: str | None = None,
) -> tuple[Params, Metrics]:
    """∇_θ of the mean loss over the tasks, and the mean metrics; by a compiled program where the
    problem asks for one.

    Args:
        name: all that `loss` depends on besides its arguments; a compiled program is kept by it.
        params: θ, and what else `loss` is made of: a number that is not here stays in the program
            as it was in the step that made it.
        own: as of `query_gradient`.
    """
    theta = trained(problem, params, own)
    if not problem.compiled:
        alone = lambda moved, task: loss(problem, {**params, **moved}, task)  # noqa: E731
        return mean_gradient(alone, theta, episodes, problem.chunk)
    given = {key: value for key, value in params.items() if key not in theta}
    inside = problem.in_products  # made here: no module can be copied while a graph is traced
    return Programs(problem.programs).mean_gradient(
        lambda moved, rest, task: loss(inside, {**rest, **map_params(rows_first, moved)}, task),
        theta,
        given,
        episodes,
        problem.chunk,
        name,
    )


TaskDirection = Callable[[Problem, Params, Episode], tuple[Params, Metrics]]
"""(problem, θ and every other number, one episode) -> (direction, metrics)."""


def outer_direction(
    name: Hashable, fn: TaskDirection, problem: Problem, params: Params, episodes: Episode
) -> tuple[Params, Metrics]:
    """The mean over the tasks of a direction that is not a gradient, and the mean metrics; by a
    compiled program where the problem asks for one. Arguments as of `outer_gradient`."""
    if not problem.compiled:
        return mean_direction(lambda task: fn(problem, params, task), episodes, problem.chunk)
    inside = problem.in_products
    return Programs(problem.programs).mean_direction(
        lambda every, _, task: fn(inside, map_params(rows_first, every), task),
        params,
        {},
        episodes,
        problem.chunk,
        name,
    )


def query_loss(problem: Problem, prediction: Tensor, query: Batch) -> tuple[Tensor, Metrics]:
    """The loss on a query and the metrics that training reports."""
    loss = problem.loss(prediction, query)
    score = problem.metric(prediction.detach(), query.y).mean()
    return loss, {"query_loss": loss, f"query_{problem.metric_name}": score}


def trained(problem: Problem, params: Params, own: str | None = None) -> Params:
    """The part of θ that the outer optimiser moves, with the numbers whose names start with
    `own`."""
    mine = {} if own is None else select(params, (own,))
    return {**pick(params, problem.trainable), **mine}


def learned_like(problem: Problem, params: Params) -> Params:
    """One tensor for each name that the inner loop moves, of the shape that something learned for
    it has: θ's own, and a single row for a head that is built from the support."""
    theta = trained(problem, params)
    if not problem.features:  # a network with its own outputs, whose head is a part of it
        return theta
    row = next(iter(theta.values())).new_zeros(1, problem.features)
    return {HEAD[0]: row, HEAD[1]: row[:, 0], **theta}


def union(episode: Episode) -> Batch:
    """Support and query as one batch; rows without a mask count."""
    support, query = episode
    x, y = torch.cat([support.x, query.x]), torch.cat([support.y, query.y])
    if support.mask is None and query.mask is None:
        return Batch(x, y)
    every = (torch.ones(len(half.x), dtype=torch.bool, device=x.device) for half in episode)
    masks = [
        one if half.mask is None else half.mask for half, one in zip(episode, every, strict=True)
    ]
    return Batch(x, y, torch.cat(masks))


def count_classes(y: Tensor, problem: Problem) -> int:
    """N of a support or query, from its labels unless the problem says it; computed outside
    `torch.vmap`, which has no data-dependent numbers."""
    if problem.kind != "classification":
        return 1
    return int(y.max()) + 1 if problem.way is None else problem.way
