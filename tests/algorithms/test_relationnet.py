"""RelationNet against a loop over pairs, and what it can learn that a distance cannot."""

from __future__ import annotations

import pytest
import torch
import toys
from torch import nn

from metacli.algorithms.meta.relationnet import NAMES, RelationNet
from metacli.types import Batch, Episode

pytestmark = pytest.mark.usefixtures("one_thread")


def start(learner: RelationNet):
    problem = toys.conv_problem(None)
    params = toys.shaken(problem)
    own, state = learner.init(problem, params)
    return problem, {**params, **own}, state


def test_scores_and_loss_are_those_of_a_loop_over_pairs() -> None:
    learner = RelationNet(hidden=5)
    problem, params, state = start(learner)
    episodes = toys.pictures(1)
    support, query = toys.task(episodes)
    update = learner.direction(problem, params, episodes, state, toys.rng())
    first, second = nn.Linear(2 * problem.features, 5).double(), nn.Linear(5, 1).double()
    with torch.no_grad():
        for value, name in zip((*first.parameters(), *second.parameters()), NAMES, strict=True):
            value.copy_(params[name])
        features = problem.embed(params, torch.cat([support.x, query.x]), together=True)
        own, theirs = features.split([len(support.x), len(query.x)])
        errors = []
        for row, label in zip(theirs, query.y.tolist(), strict=True):
            for n in range(3):
                pair = torch.cat([own[support.y == n].mean(0), row])
                r = torch.sigmoid(second(torch.relu(first(pair))))
                errors.append((r - float(label == n)) ** 2)
    torch.testing.assert_close(update.metrics["query_loss"], torch.cat(errors).mean())
    adapted = learner.adapt(problem, params, support)
    assert learner.predict(problem, adapted, query.x).shape == (len(query.x), 3)


def test_the_direction_is_the_slope_of_its_loss() -> None:
    learner = RelationNet(hidden=4)
    problem, params, state = start(learner)
    episodes = toys.pictures(2)
    step = learner.direction(problem, params, episodes, state, toys.rng()).direction
    assert set(step) == problem.trainable | set(NAMES)
    rng = toys.rng(3)
    along = {n: torch.randn(v.shape, generator=rng, dtype=v.dtype) for n, v in step.items()}
    ends = [
        learner.direction(
            problem,
            {**params, **{n: params[n] + s * v for n, v in along.items()}},
            episodes,
            state,
            toys.rng(),
        ).metrics["query_loss"]
        for s in (1e-6, -1e-6)
    ]
    found = torch.stack([(step[n] * along[n]).sum() for n in along]).sum()
    torch.testing.assert_close(found, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-9)


@pytest.mark.slow
def test_it_learns_to_compare_in_a_way_that_no_distance_does() -> None:
    """Rows belong to the class whose feature has the *opposite* sign: the nearest mean is always
    wrong, a learned comparison is right."""
    problem, learner = toys.bare_problem("classification", 1, None), RelationNet(hidden=16)
    theta = {"unused": torch.zeros(1, dtype=torch.float64)}
    own, state = learner.init(problem, theta)
    own = {name: value.double() for name, value in own.items()}
    rng = toys.rng(1)

    def episodes() -> Episode:
        sign = torch.tensor([1.0, -1.0], dtype=torch.float64)
        support = sign[:, None] * (0.5 + torch.rand(16, 2, 1, generator=rng, dtype=torch.float64))
        query = -sign[:, None] * (0.5 + torch.rand(16, 2, 1, generator=rng, dtype=torch.float64))
        flipped = torch.rand(16, 1, 1, generator=rng) < 0.5
        support, query = (torch.where(flipped, -one, one) for one in (support, query))
        y = torch.tensor([0, 1]).expand(16, 2).contiguous()
        return Episode(Batch(support, y), Batch(query, y))

    for _ in range(300):
        update = learner.direction(problem, own, episodes(), state, toys.rng())
        own = {name: value - 1.0 * update.direction[name] for name, value in own.items()}
    assert update.metrics["query_accuracy"] > 0.95
