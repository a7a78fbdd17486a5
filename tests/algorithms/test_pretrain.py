"""Pre-training: an ordinary classifier in training, and each simple classifier at adaptation."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
import toys
from sklearn.linear_model import LogisticRegression

from metacli.algorithms.meta.pretrain import Pretrain, all_examples
from metacli.algorithms.meta.protonet import PROTOTYPES
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def global_labels(episodes: Episode, labels: list[list[int]]) -> Episode:
    table = torch.tensor(labels)
    return Episode(*(half._replace(y=table.gather(1, half.y)) for half in episodes))


@pytest.mark.parametrize("norm", ["batch", "group", "running"])
def test_direction_is_the_gradient_of_one_classifier_on_all_images(norm: str) -> None:
    learner, problem = Pretrain(classes=7), toys.conv_problem(7, norm=norm)
    params, network = toys.shaken(problem), reference.ConvNet(norm)
    episodes = global_labels(toys.pictures(2), [[4, 0, 6], [1, 6, 2]])
    x = torch.cat([half.x.flatten(0, 1) for half in episodes])
    y = torch.cat([half.y.flatten() for half in episodes])

    def loss(theta: Params, _: int) -> torch.Tensor:
        return reference.class_averaged(reference.linear(theta, network(theta, x)), y)

    wanted, mean = reference.meta_gradient(loss, params, problem.trainable, 1)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)
    torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-10, atol=0)
    seen = sorted(set(y.tolist()))
    absent = [label for label in range(7) if label not in seen]
    assert absent == [3, 5]
    assert bool((update.direction["head.weight"][seen].abs().amax(1) > 0).all())


def test_padding_is_no_example() -> None:
    episodes = toys.pictures(2)
    wide = [toys.padded(toys.task(episodes, index).support, 4) for index in range(2)]
    support = Batch(*(torch.stack(parts) for parts in zip(*wide, strict=True)))
    found = all_examples(Episode(support, episodes.query))
    wanted = all_examples(episodes)
    assert torch.equal(found.x, wanted.x)
    assert torch.equal(found.y, wanted.y)
    assert found.x.shape == (1, 24, 1, toys.SIDE, toys.SIDE)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_nearest_class_means_by_hand(distance: str) -> None:
    learner = Pretrain(classifier=distance, scale=5.0, classes=9)  # type: ignore[arg-type]
    problem = toys.conv_problem(9)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    adapted = learner.adapt(problem, params, support, {})
    network = reference.ConvNet("group")
    means = reference.class_means(network(params, support.x), support.y)
    wanted = reference.nearest_mean(network(params, query.x), means, distance, 5.0)
    found = learner.predict(problem, adapted, query.x)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    assert set(adapted) == {n for n in params if not n.startswith("head.")} | {PROTOTYPES}


def unit_features(problem: toys.Problem, params: Params, x: torch.Tensor) -> np.ndarray:
    features = problem.embed(params, x).numpy()
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_logistic_regression_is_scikit_learns_on_features_of_length_one() -> None:
    learner, problem = Pretrain(classifier="logistic", penalty=0.5, classes=9), toys.conv_problem(9)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1, shot=4))
    keep = torch.tensor([0, 1, 2, 3, 4, 5, 8])  # four, two and one
    uneven = Batch(support.x[keep], support.y[keep])
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000)
    theirs.fit(unit_features(problem, params, uneven.x), uneven.y.numpy())
    wanted = theirs.predict_proba(unit_features(problem, params, query.x))
    for batch in (uneven, toys.padded(uneven, 3)):
        adapted = learner.adapt(problem, params, batch, {})
        found = learner.predict(problem, adapted, query.x).softmax(1).numpy()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
        assert adapted["head.weight"].shape == (3, problem.features)


def test_ridge_regression_by_numpy() -> None:
    learner = Pretrain(classifier="ridge", penalty=0.1, scale=3.0, classes=9)
    problem = toys.conv_problem(9)
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    adapted = learner.adapt(problem, params, support, {})
    found = learner.predict(problem, adapted, query.x).numpy()
    ones = np.ones((6, 1))
    Z = np.hstack([unit_features(problem, params, support.x), ones])
    Y = np.eye(3)[support.y.numpy()]
    W = np.linalg.solve(Z.T @ Z / 6 + 0.1 * np.eye(Z.shape[1]), Z.T @ Y / 6)
    wanted = 3 * np.hstack([unit_features(problem, params, query.x), ones]) @ W
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("classifier", ["cosine", "euclidean", "logistic", "ridge"])
def test_every_classifier_answers_row_by_row_with_statistics_of_the_support(
    classifier: str,
) -> None:
    learner = Pretrain(classifier=classifier, classes=9)  # type: ignore[arg-type]
    problem = toys.conv_problem(9, norm="batch")
    params, (support, query) = toys.shaken(problem), toys.task(toys.pictures(1))
    adapted = learner.adapt(problem, params, support, {})
    whole = learner.predict(problem, adapted, query.x)
    alone = torch.cat([learner.predict(problem, adapted, query.x[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-10)
    together = learner.predict_together(problem, adapted, query.x)
    assert float((together - whole).abs().max()) > 1e-3
