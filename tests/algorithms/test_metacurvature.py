"""Meta-Curvature: the products of its matrices by einsum, MAML at the identity, and slopes."""

from __future__ import annotations

import pytest
import torch
import toys

from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.metacurvature import FILTER, IN, OUT, MetaCurvature, curved

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=toys.rng(seed), dtype=torch.float64)


def test_a_filters_gradient_is_multiplied_along_each_of_its_axes() -> None:
    g, o, i, f = drawn(3, 2, 2, 2), drawn(3, 3, seed=1), drawn(2, 2, seed=2), drawn(4, 4, seed=3)
    found = curved(g, "w", {OUT + "w": o, IN + "w": i, FILTER + "w": f})
    wanted = torch.zeros(3, 2, 4, dtype=torch.float64)
    flat = g.flatten(2)
    for a in range(3):
        for b in range(2):
            for c in range(4):
                for x in range(3):
                    for y in range(2):
                        for z in range(4):
                            wanted[a, b, c] += o[a, x] * i[b, y] * f[c, z] * flat[x, y, z]
    torch.testing.assert_close(found, wanted.view(3, 2, 2, 2), rtol=1e-12, atol=1e-12)


def test_matrices_and_vectors_have_fewer_axes() -> None:
    g, o, i = drawn(3, 2), drawn(3, 3, seed=1), drawn(2, 2, seed=2)
    torch.testing.assert_close(curved(g, "w", {OUT + "w": o, IN + "w": i}), o @ g @ i.T)
    torch.testing.assert_close(curved(g[:, 0], "b", {OUT + "b": o}), o @ g[:, 0])
    one = torch.full((1, 1), 2.0, dtype=torch.float64)  # a head of any number of classes
    torch.testing.assert_close(curved(g, "w", {OUT + "w": one, IN + "w": i}), 2 * g @ i.T)


@pytest.mark.parametrize("head", ["linear", "proto"])
def test_at_the_identity_it_is_maml(head) -> None:
    problem = toys.conv_problem(3 if head == "linear" else None)
    params, episodes = toys.shaken(problem), toys.pictures(2)
    learner = MetaCurvature(inner_lr=0.1, inner_steps=2, head=head)
    own, state = learner.init(problem, params)
    found = learner.direction(problem, {**params, **own}, episodes, state, toys.rng()).direction
    maml = MAML(inner_lr=0.1, inner_steps=2, head=head)
    wanted = maml.direction(problem, params, episodes, {}, toys.rng()).direction
    toys.assert_same({name: found[name] for name in wanted}, wanted)
    assert set(found) - set(wanted) == set(own)


def test_the_gradient_of_the_matrices_is_that_of_finite_differences() -> None:
    problem, episodes = toys.conv_problem(3), toys.pictures(1)
    learner = MetaCurvature(inner_lr=0.2, inner_steps=2)
    params = toys.shaken(problem)
    own, state = learner.init(problem, params)
    own = {name: v + 0.1 * drawn(*v.shape, seed=5) for name, v in own.items()}

    def at(extra: dict[str, torch.Tensor]) -> torch.Tensor:
        theta = {**params, **own, **extra}
        return learner.direction(problem, theta, episodes, state, toys.rng()).metrics["query_loss"]

    step = learner.direction(problem, {**params, **own}, episodes, state, toys.rng()).direction
    for name in (OUT + "head.weight", IN + "head.weight", next(n for n in own if FILTER in n)):
        along, eps = drawn(*own[name].shape, seed=6), 1e-6
        slope = (at({name: own[name] + eps * along}) - at({name: own[name] - eps * along})) / 2
        torch.testing.assert_close((step[name] * along).sum(), slope / eps, rtol=1e-5, atol=1e-8)


def test_a_task_that_lives_in_one_direction_teaches_the_matrices_to_keep_to_it() -> None:
    """Linear regression y = a x₀ with targets of unit noise in x₁: only the first input matters in
    every task, so training raises its share of the inner step."""
    from metacli.types import Batch, Episode

    problem = toys.bare_problem("regression", 2, 1)
    learner = MetaCurvature(inner_lr=0.3)
    params = {"head.weight": torch.zeros(1, 2).double(), "head.bias": torch.zeros(1).double()}
    own, state = learner.init(problem, params)
    theta = {**params, **own}
    for step in range(150):
        x = drawn(8, 10, 2, seed=2 * step)
        a = drawn(8, 1, 1, seed=2 * step + 1)
        noise = 0.5 * drawn(8, 10, 1, seed=10_000 + step)
        y = a * x[..., :1] + noise
        episodes = Episode(Batch(x[:, :3], y[:, :3]), Batch(x[:, 3:], y[:, 3:]))
        update = learner.direction(problem, theta, episodes, state, toys.rng())
        theta = {n: v - 0.05 * update.direction.get(n, 0) for n, v in theta.items()}
    inner = theta[IN + "head.weight"]
    assert inner[0, 0] > 1.2 * inner[1, 1].abs()
