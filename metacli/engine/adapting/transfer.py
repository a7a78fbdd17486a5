"""Transfer methods on a user's support: which there are, and settings picked by validation inside
the support."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from metacli.algorithms.learner import Adapter
from metacli.algorithms.transfer.transfer import Transfer, network_of
from metacli.engine.adapting.splits import Split, stratified_folds
from metacli.nn.layers.fresh import draw_weights
from metacli.nn.problem import Problem, make_module
from metacli.trees import without
from metacli.types import Batch, Params, State

FOLDS = 3  # inside the support: each costs a whole adaptation
ROWS = 64  # embedded at a time


def starting_point(params: Params, learner: Adapter) -> Params:
    """θ for a transfer method: without the head of a classifier whose classes are not the
    target's."""
    return without(params, "head.") if learner.trains_on == "classes" else params


def settled(
    learner: Adapter,
    problem: Problem,
    params: Params,
    state: State,
    support: Batch,
    seed: int = 0,
) -> Adapter:
    """The learner with every setting that is not given picked inside the support: the smallest
    mean loss on folds of it. A source's own learner is returned as it is."""
    if not isinstance(learner, Transfer) or learner.complete:
        return learner
    splits = validation_folds(problem, support, seed)
    if not splits:
        return learner.usual()
    if learner.frozen and problem.statistics != "support":
        problem, params, support = on_features(problem, params, support)
    losses: dict[Transfer, float] = {}
    for split in splits:
        part = Batch(support.x[split.support], support.y[split.support])
        rest = Batch(support.x[split.query], support.y[split.query])
        for one, found in learner.explore(problem, params, part, state, rest.x):
            loss = float(problem.loss(found, rest)) * len(rest.y)
            losses[one] = losses.get(one, 0.0) + loss
    return min(losses, key=lambda one: losses[one])


def validation_folds(problem: Problem, support: Batch, seed: int) -> list[Split]:
    """Few folds; none where every class has a single example."""
    y = support.y.cpu().numpy()
    if problem.kind == "regression":  # every row may stand anywhere
        y = y[:, 0] * 0
    return stratified_folds(y, seed, FOLDS)


def from_scratch(problem: Problem, params: Params, seed: int) -> Params:
    """Random weights for the same network, whatever it began from; the statistics of its inputs
    stay as they are. The global random state is left as it was."""
    module = copy.deepcopy(problem.module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        draw_weights(module)
    network = network_of(problem, params)
    fresh = {name: value.detach() for name, value in module.state_dict().items()}
    return {n: v if n.startswith("input.") else fresh[n].to(v) for n, v in network.items()}


@torch.no_grad()
def on_features(problem: Problem, params: Params, support: Batch) -> tuple[Problem, Params, Batch]:
    """The same task as seen by what never changes the network: rows are features."""
    network = network_of(problem, params)
    rows = embedded(problem, network, support.x)
    bare = Problem(
        module=make_module(nn.Identity(), nn.Identity()),
        features=problem.features,
        kind=problem.kind,
        head=None,
    )
    return bare, {}, Batch(rows, support.y)


def embedded(problem: Problem, params: Params, x: Tensor) -> Tensor:
    """Features [M, D], some rows at a time; for networks that take each row by itself."""
    return torch.cat([problem.embed(params, part) for part in x.split(ROWS)])
