"""MatchingNet: the attention by hand, and what follows from it."""

from __future__ import annotations

import math

import pytest
import reference
import torch
import toys
from torch import Tensor

from metacli.algorithms.meta.matchingnet import MEMBER, MEMORY, MatchingNet
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def attended(asked: Tensor, seen: Tensor, y: Tensor, scale: float) -> Tensor:
    """log P(n | x) of every query, one at a time."""
    rows = []
    for one in asked:
        attention = []
        for other in seen:
            length = torch.sqrt((one**2).sum()) * torch.sqrt((other**2).sum())
            attention.append(torch.exp(scale * (one * other).sum() / length))
        total = sum(attention[1:], attention[0])
        mass = []
        for label in sorted(set(y.tolist())):
            own = [a for a, right in zip(attention, y.tolist(), strict=True) if right == label]
            mass.append(torch.log(sum(own[1:], own[0]) / total))
        rows.append(torch.stack(mass))
    return torch.stack(rows)


def test_attention_to_three_directions_of_a_plane() -> None:
    problem = toys.bare_problem("classification", 2, None)
    x = torch.tensor([[2.0, 0.0], [0.0, 7.0], [0.0, -1.0]], dtype=torch.float64)
    learner = MatchingNet(scale=2.0)
    adapted = learner.adapt(problem, {}, Batch(x, torch.tensor([0, 1, 1])), {})
    found = learner.predict(problem, adapted, torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    a, b, c = math.exp(2 * 0.6), math.exp(2 * 0.8), math.exp(-2 * 0.8)
    wanted = [math.log(a / (a + b + c)), math.log((b + c) / (a + b + c))]
    assert found[0].tolist() == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("norm", ["batch", "group", "running"])
def test_conv4_direction_equals_the_hand_written_one(norm: str, chunk: int) -> None:
    learner, problem = MatchingNet(scale=4.0), toys.conv_problem(None, norm=norm, chunk=chunk)
    params, episodes, network = toys.shaken(problem), toys.pictures(2), reference.ConvNet(norm)

    def task_loss(theta: Params, index: int) -> Tensor:
        support, query = toys.task(episodes, index)
        if norm == "running":
            both = network(theta, torch.cat([support.x, query.x]))
            seen, asked = both[: len(support.y)], both[len(support.y) :]
        else:
            seen, asked = network(theta, support.x), network(theta, query.x)
        return reference.class_averaged(attended(asked, seen, support.y, 4.0), query.y)

    wanted, mean = reference.meta_gradient(task_loss, params, problem.trainable, 2)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)
    assert max(float(g.abs().max()) for g in wanted.values()) > 1e-3
    torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-10, atol=0)


def test_an_unbalanced_support_gives_the_sums_of_attention_by_hand() -> None:
    problem = toys.conv_problem(None)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1, shot=3))
    rows = torch.tensor([0, 1, 2, 3, 6, 7])
    learner = MatchingNet()
    adapted = learner.adapt(problem, params, Batch(support.x[rows], support.y[rows]), {})
    seen, asked = (problem.embed(params, x) for x in (support.x[rows], query.x))
    found = learner.predict(problem, adapted, query.x)
    wanted = attended(asked, seen, support.y[rows], 10.0)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 2])
def test_padding_that_is_masked_out_changes_nothing(chunk: int) -> None:
    problem = toys.conv_problem(None, chunk=chunk)
    params, episodes = toys.shaken(problem), toys.pictures(2)
    wide = [toys.padded(toys.task(episodes, index).support, 4) for index in range(2)]
    support = Batch(*(torch.stack(parts) for parts in zip(*wide, strict=True)))
    found = [
        MatchingNet().direction(problem, params, batch, {}, toys.rng()).direction
        for batch in (episodes, Episode(support, episodes.query))
    ]
    toys.assert_same(found[1], found[0])
    supports = (toys.task(episodes).support, wide[0])
    adapted = [MatchingNet().adapt(problem, params, batch, {}) for batch in supports]
    toys.assert_same(adapted[1], adapted[0])
    assert adapted[1][MEMORY].shape == (6, problem.features)
    assert adapted[1][MEMBER].shape == (6, 3)


def test_a_thousand_times_the_cosine_neither_overflows_nor_vanishes() -> None:
    problem, learner = toys.bare_problem("classification", 2, None), MatchingNet(scale=1000.0)
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    adapted = learner.adapt(problem, {}, Batch(x, torch.tensor([0, 1])), {})
    assert learner.predict(problem, adapted, x).tolist() == [[0.0, -2000.0], [-2000.0, 0.0]]


def test_one_shot_answers_like_the_nearest_neighbour_by_angle() -> None:
    problem = toys.conv_problem(None)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1, way=5, shot=1))
    adapted = MatchingNet().adapt(problem, params, support, {})
    seen, asked = problem.embed(params, support.x), problem.embed(params, query.x)
    near = torch.nn.functional.cosine_similarity(asked[:, None], seen, dim=2).argmax(1)
    assert MatchingNet().predict(problem, adapted, query.x).argmax(1).tolist() == near.tolist()


def test_the_order_of_the_support_does_not_matter_and_neither_does_an_examples_length() -> None:
    problem, learner = toys.bare_problem("classification", 4, None), MatchingNet()
    x = torch.randn(6, 4, generator=toys.rng(), dtype=torch.float64)
    y, order = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([4, 1, 5, 0, 2, 3])
    batches = (Batch(x, y), Batch(x[order], y[order]), Batch(3 * x, y))
    found = [learner.predict(problem, learner.adapt(problem, {}, b, {}), x) for b in batches]
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[2], found[0], rtol=0, atol=1e-12)
