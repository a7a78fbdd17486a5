"""P>M>F: ProtoNet in training, and one fine-tuned on the augmented support at adaptation."""

from __future__ import annotations

import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.pmf import BETA1, BETA2, EPS, MOVES, PMF, augmented
from metacli.algorithms.meta.protonet import ProtoNet

pytestmark = pytest.mark.usefixtures("one_thread")


def test_training_is_protonet() -> None:
    problem = toys.conv_problem(None, norm="layer")
    params, episodes = toys.shaken(problem), toys.pictures(2)
    found = PMF().direction(problem, params, episodes, {}, toys.rng())
    wanted = ProtoNet().direction(problem, params, episodes, {}, toys.rng())
    toys.assert_bits(found.direction, wanted.direction)


def test_without_a_rate_adaptation_is_protonet() -> None:
    problem = toys.conv_problem(None, norm="layer")
    params, support = toys.shaken(problem), toys.task(toys.pictures(1)).support
    for learner in (PMF(lr=0.0), PMF(steps=0)):
        found = learner.adapt(problem, params, support)
        toys.assert_bits(found, ProtoNet().adapt(problem, params, support))


def test_the_steps_are_those_of_a_hand_written_adam() -> None:
    problem, network = toys.conv_problem(None, norm="layer"), reference.ConvNet("layer")
    params, support = toys.shaken(problem), toys.task(toys.pictures(1)).support
    learner, draws = PMF(lr=0.01, steps=3), torch.Generator().manual_seed(0)
    phi = {name: params[name].clone().requires_grad_() for name in problem.trainable}
    first = {name: torch.zeros_like(value) for name, value in phi.items()}
    second = {name: torch.zeros_like(value) for name, value in phi.items()}
    for step in range(1, 4):
        asked = augmented(support.x, learner.drop, draws)
        theta = {**params, **phi}
        means = reference.class_means(network(theta, support.x), support.y)
        logits = reference.nearest_mean(network(theta, asked), means, "euclidean", 1.0)
        loss = reference.class_averaged(logits, support.y)
        slopes = dict(zip(phi, torch.autograd.grad(loss, list(phi.values())), strict=True))
        for name, slope in slopes.items():
            first[name] = BETA1 * first[name] + (1 - BETA1) * slope
            second[name] = BETA2 * second[name] + (1 - BETA2) * slope**2
            move = first[name] / (1 - BETA1**step)
            size = (second[name] / (1 - BETA2**step) + EPS**2).sqrt()
            phi[name] = (phi[name] - 0.01 * move / size).detach().requires_grad_()
    found = learner.adapt(problem, params, support)
    toys.assert_same({n: found[n] for n in phi}, {n: v.detach() for n, v in phi.items()}, atol=1e-8)
    assert any(not torch.equal(found[name], params[name]) for name in phi)


def test_an_augmented_image_is_moved_and_one_of_features_has_gaps() -> None:
    draws = torch.Generator().manual_seed(0)
    images = torch.arange(2 * 16 * 16, dtype=torch.float64).view(2, 1, 16, 16)
    views = augmented(images, 0.5, draws)
    assert views.shape == images.shape
    for one, view in zip(images, views, strict=True):
        assert sorted(view.flatten().tolist()) == sorted(one.flatten().tolist())
    rows = torch.ones(50, 200)
    kept = augmented(rows, 0.3, draws)
    assert set(kept.flatten().tolist()) == {0.0, 1.0}
    assert 0.67 < float(kept.mean()) < 0.73


def test_fine_tuning_lowers_the_loss_on_its_support() -> None:
    problem = toys.conv_problem(None, norm="layer")
    params, support = toys.shaken(problem), toys.task(toys.pictures(1)).support

    def loss(learner: PMF) -> float:
        adapted = learner.adapt(problem, params, support)
        return float(problem.loss(learner.predict(problem, adapted, support.x), support))

    assert loss(PMF(lr=0.01, steps=20)) < loss(PMF(lr=0.0))


def test_images_are_moved_both_ways_by_an_eighth_at_most_and_half_of_them_mirrored() -> None:
    """One bright pixel left of the middle tells where an image went."""
    images = torch.zeros(400, 1, 16, 16)
    images[:, 0, 8, 7] = 1.0
    views = augmented(images, 0.5, torch.Generator().manual_seed(1))
    rows, columns = (views[:, 0].flatten(1).argmax(1) // 16, views[:, 0].flatten(1).argmax(1) % 16)
    most = 16 // MOVES
    assert {int(one) - 8 for one in rows} == set(range(-most, most + 1))
    assert {int(one) - 7 for one in columns} == set(range(-most, most + 2))  # mirrored: from 8
    assert 7.3 < float(columns.double().mean()) < 7.7  # half of them begin at 8
