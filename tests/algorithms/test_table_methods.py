"""Transfer methods for the columns of tables, beside scikit-learn and slow obvious code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from metacli.algorithms.transfer.blend import Blend
from metacli.algorithms.transfer.boosted_trees import BoostedTrees
from metacli.algorithms.transfer.last_value import LastValue
from metacli.algorithms.transfer.linear_probe import LinearProbe
from metacli.algorithms.transfer.mean import Mean
from metacli.algorithms.transfer.nearest_neighbours import NearestNeighbours
from metacli.algorithms.transfer.random_forest import RandomForest
from metacli.nn.solvers.boosting import fit_boosted
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH = 4


def columns(classes: int = 0, rows: int = 40) -> tuple[Batch, torch.Tensor]:
    """Numbers with many ties, as those of tables; labels, or values where there are no classes."""
    draw = torch.Generator().manual_seed(classes)
    x = torch.randint(0, 6, (2 * rows, WIDTH), generator=draw).float() / 3
    noise = torch.randn(len(x), generator=draw)
    value = x[:, 0] - x[:, 1] * (x[:, 2] > 1) + 0.3 * noise
    if not classes:
        return Batch(x[:rows], value[:rows, None]), x[rows:]
    order = value.argsort().argsort()
    return Batch(x[:rows], (order * classes // len(x))[:rows]), x[rows:]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("classes", [2, 3])
def test_boosted_trees_of_classes_are_scikit_learns(classes: int, depth: int) -> None:
    support, x = columns(classes)
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = BoostedTrees(depth=depth, rounds=12, rate=0.2)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    model = GradientBoostingClassifier(
        n_estimators=12, learning_rate=0.2, max_depth=depth, min_samples_leaf=3, random_state=0
    ).fit(support.x.numpy(), support.y.numpy())
    wanted = model.predict_proba(x.numpy())
    np.testing.assert_allclose(torch.softmax(found, 1).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 3])
def test_boosted_trees_of_values_are_scikit_learns(depth: int) -> None:
    support, x = columns()
    problem = toys.bare_problem("regression", WIDTH, None)
    learner = BoostedTrees(depth=depth, rounds=12, rate=0.2)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    model = GradientBoostingRegressor(
        n_estimators=12, learning_rate=0.2, max_depth=depth, min_samples_leaf=3, random_state=0
    ).fit(support.x.numpy(), support.y[:, 0].numpy())
    np.testing.assert_allclose(found[:, 0].numpy(), model.predict(x.numpy()), atol=1e-6)


def test_an_example_on_the_threshold_goes_where_scikit_learn_sends_it() -> None:
    """Between neighbours among float32 the middle is none of float32."""
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    x = torch.tensor([[low]] * 5 + [[high]] * 5)
    y = torch.tensor([[0.0]] * 5 + [[1.0]] * 5)
    model = GradientBoostingRegressor(n_estimators=1, learning_rate=1.0, max_depth=1)
    wanted = model.fit(x.numpy(), y[:, 0].numpy()).predict(x.numpy())
    grown = fit_boosted(x, y, "regression", depth=1, rounds=1, rate=1.0)
    np.testing.assert_allclose(grown(x)[:, 0].numpy(), wanted, atol=1e-6)


def test_fewer_rounds_of_a_choice_are_those_that_were_grown_alone() -> None:
    support, x = columns(3)
    problem = toys.bare_problem("classification", WIDTH, None)
    tried = dict(BoostedTrees().explore(problem, {}, support, {}, x))
    assert {(one.depth, one.rounds) for one in tried} == {(1, 10), (1, 50), (3, 10), (3, 50)}
    for one, found in tried.items():
        alone = one.predict(problem, one.adapt(problem, {}, support), x)
        torch.testing.assert_close(found, alone, rtol=0, atol=0)


@pytest.mark.parametrize("k", [1, 4, 99])
def test_nearest_neighbours_vote_and_those_as_far_away_as_the_last_vote_too(k: int) -> None:
    support, x = columns(3)
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = NearestNeighbours(k=k)
    logits = learner.predict(problem, learner.adapt(problem, {}, support), x)
    rows, y = support.x.double().numpy(), support.y.numpy()
    share, most = np.bincount(y) / len(y), min(k, len(y))
    for query, found in zip(x.double().numpy(), logits.exp().numpy(), strict=True):
        apart = np.square(rows - query).sum(1)
        near = y[apart <= np.sort(apart)[most - 1] + 1e-3]
        votes = np.bincount(near, minlength=3) / len(near)
        np.testing.assert_allclose(found, (most * votes + share) / (most + 1), atol=1e-5)


def test_nearest_neighbours_of_values_answer_with_their_mean() -> None:
    support = Batch(torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[2.0], [4.0], [90.0]]))
    problem = toys.bare_problem("regression", 1, None)
    learner = NearestNeighbours(k=2)
    found = learner.predict(problem, learner.adapt(problem, {}, support), torch.tensor([[0.2]]))
    torch.testing.assert_close(found, torch.tensor([[3.0]]))


@pytest.mark.parametrize(("learner", "wanted"), [(Mean(), 32.0), (LastValue(), 90.0)])
def test_the_mean_and_the_last_value_are_reported_whatever_the_input(
    learner: Mean, wanted: float
) -> None:
    support = Batch(torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[2.0], [4.0], [90.0]]))
    problem = toys.bare_problem("regression", 1, None)
    adapted = learner.adapt(problem, {}, support)
    found = learner.predict(problem, adapted, torch.tensor([[0.2], [-7.0]]))
    torch.testing.assert_close(found, torch.tensor([[wanted], [wanted]]))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_random_forest_of_classes_is_scikit_learns_with_the_shares_as_one_more_vote(
    share: float,
) -> None:
    support, x = columns(3)
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = RandomForest(share=share, trees=7, depth=6, votes=4.0)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    model = RandomForestClassifier(
        7, max_depth=6, max_features=share or "sqrt", random_state=0
    ).fit(support.x.numpy(), support.y.numpy())
    shares = np.bincount(support.y.numpy()) / len(support.y)
    wanted = (4 * model.predict_proba(x.numpy()) + shares) / 5
    np.testing.assert_allclose(found.exp().numpy(), wanted, atol=1e-6)


def test_a_random_forest_of_values_is_scikit_learns() -> None:
    support, x = columns()
    problem = toys.bare_problem("regression", WIDTH, None)
    learner = RandomForest(votes=1.0, trees=7, depth=6)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    model = RandomForestRegressor(7, max_depth=6, max_features="sqrt", random_state=0)
    model.fit(support.x.numpy(), support.y[:, 0].numpy())
    np.testing.assert_allclose(found[:, 0].numpy(), model.predict(x.numpy()), atol=1e-6)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_blend_is_the_mean_of_what_its_three_models_say(classes: int) -> None:
    support, x = columns(classes)
    kind = "classification" if classes else "regression"
    problem = toys.bare_problem(kind, WIDTH, None)
    learner = Blend(penalty=0.5)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    said = [
        one.predict(problem, one.adapt(problem, {}, support), x)
        for one in (
            LinearProbe(penalty=0.5),
            BoostedTrees(depth=3, rounds=50),
            RandomForest(votes=10.0),
        )
    ]
    wanted = torch.stack([torch.softmax(one, 1) for one in said] if classes else said).mean(0)
    torch.testing.assert_close(found.exp() if classes else found, wanted)
    tried = {
        one: logits
        for method in (LinearProbe(), BoostedTrees(), RandomForest())
        for one, logits in method.explore(problem, {}, support, {}, x)
    }
    for one, logits in Blend().explored(problem, tried).items():
        alone = dict(Blend().explore(problem, {}, support, {}, x))[one]
        torch.testing.assert_close(logits, alone)
