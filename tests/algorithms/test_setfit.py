"""SetFit beside pairs in a loop, a hand-written Adam and scikit-learn's logistic regression; the F
of P>M>F beside PMF."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import toys
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from metacli.algorithms.meta.pmf import PMF
from metacli.algorithms.transfer.setfit import BETA1, BETA2, EPS, SetFit, on_pairs
from metacli.algorithms.transfer.tuned_prototype import FineTunedPrototype
from metacli.nn.problem import Problem
from metacli.types import Batch, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def task(way: int = 3, shot: int = 4) -> tuple[Problem, Params, Batch, Batch]:
    problem = toys.conv_problem(None, norm="group", width=8)
    support, query = toys.task(toys.pictures(1, way, shot))
    return problem, toys.shaken(problem), support, query


def by_pairs(
    problem: Problem, params: Params, support: Batch, lr: float, steps: int
) -> tuple[nn.Module, torch.Tensor]:
    """The network after Adam on a loop over pairs, and its features of the support."""
    network = copy.deepcopy(problem.module).double()
    network.load_state_dict({name: params[name] for name in network.state_dict()})
    weights = list(network.parameters())
    first, second = ([torch.zeros_like(one) for one in weights] for _ in range(2))
    for step in range(1, steps + 1):
        z = network(support.x)
        near, far = [], []
        for a in range(len(z)):
            for b in range(a):
                cosine = F.cosine_similarity(z[a], z[b], dim=0)
                if support.y[a] == support.y[b]:
                    near.append((cosine - 1) ** 2)
                else:
                    far.append(cosine**2)
        loss = torch.stack(near).mean() + torch.stack(far).mean()
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for at, slope in enumerate(slopes):
                first[at] = BETA1 * first[at] + (1 - BETA1) * slope
                second[at] = BETA2 * second[at] + (1 - BETA2) * slope**2
                size = (second[at] / (1 - BETA2**step) + EPS**2).sqrt()
                weights[at] -= lr * first[at] / (1 - BETA1**step) / size
    return network, network(support.x).detach()


def test_setfit_is_adam_on_every_pair_and_logistic_regression_on_the_features() -> None:
    problem, params, support, query = task()
    learner = SetFit(lr=1e-2, steps=4, c=10.0)
    phi = learner.adapt(problem, params, support, {})
    network, features = by_pairs(problem, params, support, 1e-2, 4)
    for name, value in network.named_parameters():
        torch.testing.assert_close(phi[name], value.detach(), rtol=0, atol=1e-8)
    model = LogisticRegression(C=10.0, tol=1e-10, max_iter=100_000)
    model.fit(F.normalize(features).numpy(), support.y.numpy())
    asked = F.normalize(network(query.x).detach()).numpy()
    found = torch.softmax(learner.predict(problem, phi, query.x), 1).numpy()
    np.testing.assert_allclose(found, model.predict_proba(asked), atol=2e-3)


def test_pairs_of_one_class_come_nearer_than_those_of_two() -> None:
    problem, params, support, _ = task()
    phi = SetFit(lr=1e-2, steps=30, c=10.0).adapt(problem, params, support, {})

    def cosines(theta: Params) -> tuple[float, float]:
        z = F.normalize(problem.embed(theta, support.x))
        same = support.y[:, None] == support.y
        off = ~torch.eye(len(z), dtype=torch.bool)
        return float((z @ z.T)[same & off].mean()), float((z @ z.T)[~same].mean())

    (near, far), (near_before, far_before) = cosines(phi), cosines(params)
    assert near - far > 2 * (near_before - far_before)


def test_one_example_of_each_class_has_pairs_of_two_classes_alone() -> None:
    problem, params, support, query = task(shot=1)
    phi = SetFit(lr=1e-2, steps=3, c=10.0).adapt(problem, params, support, {})
    assert bool(torch.isfinite(SetFit().predict(problem, phi, query.x)).all())


def test_examples_of_one_class_alone_have_a_loss_without_pairs_of_two() -> None:
    problem, params, support, _ = task(way=3)
    one = Batch(support.x[support.y == 0], support.y[support.y == 0])
    loss = on_pairs(problem, params, one)(params)
    assert bool(torch.isfinite(loss))
    assert float(loss) > 0


def test_no_step_is_logistic_regression_on_the_network_as_it_is() -> None:
    problem, params, support, query = task()
    phi = SetFit(lr=1e-2, steps=0, c=10.0).adapt(problem, params, support, {})
    for name, value in problem.module.state_dict().items():
        torch.testing.assert_close(phi[name], params[name].to(value.device), rtol=0, atol=0)
    z = F.normalize(problem.embed(params, support.x)).numpy()
    model = LogisticRegression(C=10.0, tol=1e-10, max_iter=100_000).fit(z, support.y.numpy())
    found = torch.softmax(SetFit().predict(problem, phi, query.x), 1).numpy()
    asked = F.normalize(problem.embed(params, query.x)).numpy()
    np.testing.assert_allclose(found, model.predict_proba(asked), atol=2e-3)


def test_the_fine_tuned_prototype_is_pmf_on_a_network_that_was_not_meta_trained() -> None:
    problem, params, support, query = task()
    ours, theirs = FineTunedPrototype(lr=1e-2, steps=3), PMF(lr=1e-2, steps=3)
    phi = ours.adapt(problem, {**params, "head.weight": torch.ones(1)}, support, {})
    toys.assert_bits(phi, theirs.adapt(problem, params, support, {}))
    tried = dict(FineTunedPrototype(lr=1e-2).explore(problem, params, support, {}, query.x))
    one = FineTunedPrototype(lr=1e-2, steps=10)
    assert set(tried) == {one, FineTunedPrototype(lr=1e-2, steps=30)}
    wanted = one.predict(problem, one.adapt(problem, params, support, {}), query.x)
    torch.testing.assert_close(tried[one], wanted, rtol=0, atol=1e-12)
