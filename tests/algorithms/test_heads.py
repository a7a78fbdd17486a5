"""Heads on frozen features of length 1, beside slow obvious code in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge

from metacli.algorithms.transfer.cosine_classifier import DIRECTIONS, CosineClassifier
from metacli.algorithms.transfer.logistic import Logistic
from metacli.algorithms.transfer.ridge import Ridge
from metacli.algorithms.transfer.simpleshot import SimpleShot
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")
WAY, SHOT, WIDTH = 4, 3, 7


def features(way: int = WAY) -> tuple[Batch, torch.Tensor]:
    """Features far from the origin, as those behind a ReLU are, in an order without classes."""
    draw = torch.Generator().manual_seed(way)
    y = torch.arange(way).repeat(SHOT)
    middle = 2 + torch.randn(way, WIDTH, generator=draw, dtype=torch.float64)
    noise = torch.randn(len(y), WIDTH, generator=draw, dtype=torch.float64)
    x = torch.randn(9, WIDTH, generator=draw, dtype=torch.float64) + 2
    return Batch(middle[y] + noise, y), x


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("way", [2, 4])
@pytest.mark.parametrize("c", [0.5, 100.0])
def test_logistic_is_scikit_learns_on_features_of_length_1(c: float, way: int) -> None:
    support, x = features(way)
    problem, learner = toys.bare_problem("classification", WIDTH, None), Logistic(c=c)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000)
    model.fit(unit(support.x.numpy()), support.y.numpy())
    wanted = model.predict_proba(unit(x.numpy()))
    np.testing.assert_allclose(torch.softmax(found, 1).numpy(), wanted, atol=2e-3)


@pytest.mark.parametrize("shot", [1, 3])  # fewer rows than features, and more
def test_ridge_is_scikit_learns_to_the_one_hot_labels(shot: int) -> None:
    support, x = features()
    support = Batch(support.x[: WAY * shot], support.y[: WAY * shot])
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = Ridge(penalty=0.3, scale=5.0)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    model = SklearnRidge(alpha=0.3).fit(unit(support.x.numpy()), np.eye(WAY)[support.y.numpy()])
    np.testing.assert_allclose(found.numpy(), 5 * model.predict(unit(x.numpy())), atol=1e-10)


@pytest.mark.parametrize("transform", ["length", "centred"])
def test_simpleshot_is_the_distance_to_the_mean_of_what_was_transformed(transform: str) -> None:
    support, x = features()
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = SimpleShot(transform=transform, scale=3.0)
    found = learner.predict(problem, learner.adapt(problem, {}, support), x)
    rows, y = support.x.numpy(), support.y.numpy()
    centre = np.mean([rows[y == n].mean(0) for n in range(WAY)], 0)
    centre = centre if transform == "centred" else np.zeros(WIDTH)
    for query, logits in zip(x.numpy(), found.numpy(), strict=True):
        z = (query - centre) / np.linalg.norm(query - centre)
        for n in range(WAY):
            each = [(row - centre) / np.linalg.norm(row - centre) for row in rows[y == n]]
            wanted = -3 * ((z - np.mean(each, 0)) ** 2).sum()
            np.testing.assert_allclose(logits[n], wanted, atol=1e-12)


def test_centring_takes_away_what_all_classes_share() -> None:
    support, x = features()
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = SimpleShot(transform="centred", scale=3.0)
    far = 1000.0
    moved = Batch(support.x + far, support.y)
    near = learner.predict(problem, learner.adapt(problem, {}, support), x)
    there = learner.predict(problem, learner.adapt(problem, {}, moved), x + far)
    torch.testing.assert_close(there, near, rtol=0, atol=1e-8)


def test_cosine_classifier_is_adam_on_directions_with_gradients_by_differences() -> None:
    support, _ = features()
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = CosineClassifier(scale=4.0, lr=0.05, steps=3)
    found = learner.adapt(problem, {}, support)[DIRECTIONS].numpy()
    z, y = unit(support.x.numpy()), support.y.numpy()

    def loss(w: np.ndarray) -> float:
        scores = 4.0 * z @ unit(w).T
        each = np.log(np.exp(scores).sum(1)) - scores[np.arange(len(y)), y]
        return float(np.mean([each[y == n].mean() for n in range(WAY)]))

    w = unit(np.stack([z[y == n].mean(0) for n in range(WAY)]))
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, 4):
        slope = np.zeros_like(w)
        for place in np.ndindex(w.shape):
            move = np.zeros_like(w)
            move[place] = 1e-6
            slope[place] = (loss(w + move) - loss(w - move)) / 2e-6
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        w = w - 0.05 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(found, unit(w), atol=1e-6)


@pytest.mark.parametrize("learner", [Logistic(c=1.0), Ridge(penalty=1.0, scale=6.0)])
def test_only_the_direction_of_a_feature_counts(learner: Logistic | Ridge) -> None:
    support, x = features()
    problem = toys.bare_problem("classification", WIDTH, None)
    longer = Batch(support.x * torch.arange(1, len(support.y) + 1)[:, None], support.y)
    phi = learner.adapt(problem, {}, support)
    torch.testing.assert_close(
        learner.predict(problem, learner.adapt(problem, {}, longer), 7 * x),
        learner.predict(problem, phi, x),
        rtol=1e-7,
        atol=1e-7,
    )
