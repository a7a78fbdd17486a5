"""Transfer methods: closed forms, scikit-learn's and torch's numbers in float64, and what their
papers promise."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
import toys
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.transfer import descent
from metacli.algorithms.transfer.descent import BATCH
from metacli.algorithms.transfer.fine_tune import FineTune
from metacli.algorithms.transfer.in_context import NETWORK, PRIOR
from metacli.algorithms.transfer.l2_sp import L2SP
from metacli.algorithms.transfer.linear_probe import LinearProbe
from metacli.algorithms.transfer.logistic import Logistic
from metacli.algorithms.transfer.lp_ft import LPFT
from metacli.algorithms.transfer.prototype import Prototype
from metacli.algorithms.transfer.transfer import choices
from metacli.autodiff import grad
from metacli.nn.problem import Problem
from metacli.types import Batch, Params

pytestmark = pytest.mark.usefixtures("one_thread")
HEAD = ("head.weight", "head.bias")
# What answers with means of the support: nothing to choose, and no better on it than its mean.
MEANS = {"mean", "last-value"}
ALONE = {*MEANS, "in-context"}  # one choice
# In-context answers with what a network has learned, which here has learned nothing; trees and
# neighbours answer with the means of several rows, and a support here has a few.
AVERAGES = {*ALONE, "nearest-neighbours", "boosted-trees", "random-forest", "blend"}
PARTS = ("feature", "threshold", "value", "base")
SINGLE = {f"{of}.{part}" for of in ("trees", "forest") for part in PARTS}  # as ONNX has trees


def settled(name: str) -> Any:
    """The transfer method with few steps."""
    learner = ALGORITHMS[name].load()()
    fields = {field.name for field in dataclasses.fields(learner)}
    return dataclasses.replace(learner, **({"steps": 4} if "steps" in fields else {})).usual()


def cases() -> list[tuple[str, str]]:
    found = [(n, kind) for n in names("transfer") for kind in ALGORITHMS[n].learner().kinds]
    assert len(found) > 6
    return found


each_case = pytest.mark.parametrize(("name", "kind"), cases())


def source(kind: str, norm: str = "group") -> tuple[Problem, Params, Batch, Batch]:
    """A network that was trained elsewhere, and a task: support and query."""
    if kind == "classification":
        problem = toys.conv_problem(None, norm=norm, width=8)
        support, query = toys.task(toys.pictures(1))
    else:
        problem = dataclasses.replace(toys.wave_problem(), head=None)
        support, query = toys.task(toys.waves(1))
    params = toys.shaken(problem)
    junk = torch.randn(7, problem.features, generator=toys.rng(), dtype=torch.float64)
    prior = {PRIOR + key: one for key, one in NETWORK.init(0, torch.float64).items()}
    own = {"head.weight": junk, "meta_sgd.lr": junk}
    return problem, {**params, **own, **prior}, support, query


@each_case
def test_adapts_without_touching_its_inputs_and_answers_row_by_row(name: str, kind: str) -> None:
    problem, params, support, query = source(kind)
    before = toys.copied(params)
    learner = settled(name)
    with torch.no_grad():
        phi = learner.adapt(problem, params, support, {})
    toys.assert_bits(params, before)
    toys.assert_bits(learner.adapt(problem, params, support, {}), phi)
    assert {value.dtype for name, value in phi.items() if name not in SINGLE} == {torch.float64}
    assert not any(name.startswith("meta_sgd") for name in phi)
    whole = learner.predict(problem, phi, query.x)
    assert whole.shape == (len(query.x), 3 if kind == "classification" else 1)
    rows = torch.cat([learner.predict(problem, phi, one[None]) for one in query.x.flip(0)])
    torch.testing.assert_close(rows.flip(0), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [name for name, kind in cases() if kind == "classification"])
@pytest.mark.parametrize("norm", ["batch", "running"])
def test_statistics_are_frozen_where_the_network_normalises_by_batches(
    name: str, norm: str
) -> None:
    problem, params, support, query = source("classification", norm)
    learner = settled(name)
    phi = learner.adapt(problem, params, support, {})
    whole = learner.predict(problem, phi, query.x)
    rows = torch.cat([learner.predict(problem, phi, one[None]) for one in query.x])
    torch.testing.assert_close(rows, whole, rtol=0, atol=1e-10)
    wanted = problem.batch_statistics(phi, support.x) if norm == "batch" else params
    name = next(key for key in phi if key.endswith(".mean"))
    torch.testing.assert_close(phi[name], wanted[name])


@each_case
@pytest.mark.slow
def test_a_choice_that_was_explored_is_the_model_that_is_kept(name: str, kind: str) -> None:
    """What validation judged is what `adapt` makes of the same support."""
    problem, params, support, query = source(kind)
    tried = ALGORITHMS[name].load()().explore(problem, params, support, {}, query.x)
    assert len({one for one, _ in tried}) == len(tried)
    assert (len(tried) == 1) == (name in ALONE)
    for one, found in (tried[0], tried[-1]):
        assert None not in dataclasses.asdict(one).values()
        phi = one.adapt(problem, params, support, {})
        torch.testing.assert_close(one.predict(problem, phi, query.x), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["logistic", "ridge"])
def test_supports_that_are_explored_together_are_those_explored_alone(name: str) -> None:
    problem, params, support, query = source("classification")
    learner = ALGORITHMS[name].load()()
    asked = [(support, query.x), (Batch(support.x[1:], support.y[1:]), query.x[:3])]
    together = learner.explore_each(problem, params, asked, {})
    for found, (part, x) in zip(together, asked, strict=True):
        alone = learner.explore(problem, params, part, {}, x)
        assert [one for one, _ in found] == [one for one, _ in alone]
        for (one, ours), (_, theirs) in zip(found, alone, strict=True):
            # Of a large C the descent ends where the gradient is small, here or there.
            rough = 0.05 if one == Logistic(c=1000.0) else 1e-6
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=rough)


@each_case
def test_a_field_that_is_given_is_not_chosen(name: str, kind: str) -> None:
    given = settled(name)
    assert choices(given, {}) == [given]
    problem, params, support, query = source(kind)
    assert [one for one, _ in given.explore(problem, params, support, {}, query.x)] == [given]


@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("way", [2, 4])
def test_linear_probe_is_scikit_learns_logistic_regression_on_the_features(
    penalty: float, way: int
) -> None:
    problem, params, _, _ = source("classification")
    support, query = toys.task(toys.pictures(1, way, 5))
    learner = LinearProbe(penalty=penalty)
    phi = learner.adapt(problem, params, support, {})
    features, others = (problem.embed(params, x).numpy() for x in (support.x, query.x))
    mean = features.mean(0)
    size = np.sqrt(np.square(features - mean).sum(1).mean())
    model = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=100_000)
    model.fit((features - mean) / size, support.y.numpy())
    found = torch.softmax(learner.predict(problem, phi, query.x), 1).numpy()
    np.testing.assert_allclose(found, model.predict_proba((others - mean) / size), atol=1e-6)


@pytest.mark.parametrize("points", [5, 40])  # fewer rows than features, and more
def test_linear_probe_is_scikit_learns_ridge_on_the_features(points: int) -> None:
    problem, params, _, _ = source("regression")
    support, query = toys.task(toys.waves(1, points))
    learner = LinearProbe(penalty=0.3)
    phi = learner.adapt(problem, params, support, {})
    features, others = (problem.embed(params, x).numpy() for x in (support.x, query.x))
    mean = features.mean(0)
    size = np.sqrt(np.square(features - mean).sum(1).mean())
    model = Ridge(alpha=0.3).fit((features - mean) / size, support.y.numpy())
    wanted = model.predict((others - mean) / size).reshape(-1, 1)
    np.testing.assert_allclose(learner.predict(problem, phi, query.x).numpy(), wanted, atol=1e-8)


def test_features_that_do_not_differ_give_the_share_of_each_class() -> None:
    problem = toys.bare_problem("classification", 3, None)
    support = Batch(torch.ones(6, 3, dtype=torch.float64), torch.tensor([0, 0, 0, 0, 1, 1]))
    phi = LinearProbe(penalty=1.0).adapt(problem, {}, support, {})
    found = torch.softmax(problem.read_out(phi, torch.ones(1, 3, dtype=torch.float64)), 1)
    torch.testing.assert_close(found[0], torch.tensor([2 / 3, 1 / 3]).double(), atol=1e-6, rtol=0)


def torchs_descent(
    problem: Problem, params: Params, support: Batch, learner: Any, begin: Params | None = None
) -> Params:
    """Fine-tuning as a user of torch writes it: a module, a head, torch.optim.Adam."""
    import copy

    network = copy.deepcopy(problem.module).double().train()
    own = network.state_dict()
    network.load_state_dict({name: params[name] for name in own})
    head = nn.Linear(problem.features, 3).double()
    with torch.no_grad():
        for name, value in head.named_parameters():
            value.copy_(begin[f"head.{name}"]) if begin else value.zero_()
    start = copy.deepcopy(network)
    head_rate = getattr(learner, "head_rate", 1.0)
    groups = [
        {"params": network.parameters(), "lr": learner.lr},
        {"params": head.parameters(), "lr": learner.lr * head_rate},
    ]
    optimizer = torch.optim.Adam(groups)
    for _ in range(learner.steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(network(support.x)), support.y)
        if isinstance(learner, L2SP):
            pairs = zip(network.parameters(), start.parameters(), strict=True)
            loss = loss + learner.alpha / 2 * sum((w - w0).square().sum() for w, w0 in pairs)
            loss = loss + learner.beta / 2 * sum(w.square().sum() for w in head.parameters())
        loss.backward()
        optimizer.step()
    found = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    heads = {f"head.{name}": value for name, value in head.named_parameters()}
    return {name: value.detach() for name, value in {**found, **heads}.items()}


@pytest.mark.parametrize(
    "learner",
    [
        FineTune(lr=1e-2, steps=7),
        FineTune(lr=3e-3, steps=5, head_rate=1.0),
        L2SP(lr=1e-2, steps=7, alpha=0.5, beta=0.2),
        LPFT(lr=1e-2, steps=7, penalty=0.2),
    ],
    ids=lambda one: type(one).__name__ + str(one.steps),
)
def test_descent_is_torchs_adam_on_a_module(learner: Any) -> None:
    problem, params, support, _ = source("classification")
    begin = None
    if isinstance(learner, LPFT):
        begin = LinearProbe(penalty=0.2).adapt(problem, params, support, {})
    wanted = torchs_descent(problem, params, support, learner, begin)
    toys.assert_same(learner.adapt(problem, params, support, {}), wanted, atol=1e-9)


def test_a_support_larger_than_a_batch_is_gone_through_once_before_any_row_comes_again() -> None:
    problem = toys.bare_problem("regression", 1, None)
    x = torch.arange(100, dtype=torch.float64)[:, None]
    one_step = FineTune(lr=1e-9, steps=1).adapt(problem, {}, Batch(x, x), {})
    assert set(one_step) == set(HEAD)
    learner = FineTune(lr=0.05, steps=200)
    phi = learner.adapt(problem, {}, Batch(x / 100, 3 * x / 100 - 1), {})
    torch.testing.assert_close(phi["head.weight"].item(), 3.0, atol=1e-2, rtol=0)
    torch.testing.assert_close(phi["head.bias"].item(), -1.0, atol=1e-2, rtol=0)


@pytest.mark.parametrize(("rows", "steps"), [(10, 2), (BATCH + 36, 5)])
def test_a_step_reads_the_whole_support_or_a_batch_of_a_larger_one(
    rows: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, seen, total = torch.randn(rows, 1, generator=toys.rng()), [], descent.total

    def watched(problem: Problem, begin: Params, part: Batch, *rest: Any) -> torch.Tensor:
        seen.append(part.x.flatten().tolist())
        return total(problem, begin, part, *rest)

    monkeypatch.setattr(descent, "total", watched)
    problem = toys.bare_problem("regression", 1, None)
    FineTune(lr=0.05, steps=steps).adapt(problem, {}, Batch(x, x), {})
    every = x.flatten().tolist()
    if rows <= BATCH:
        assert seen == [every] * steps
    else:
        assert [len(part) for part in seen] == [BATCH] * steps
        assert sorted([*seen[0], *seen[1]][:rows]) == sorted(every)


def test_rows_that_are_masked_out_of_a_support_as_large_as_a_batch_change_nothing() -> None:
    problem, rng = toys.bare_problem("regression", 3, None), toys.rng()
    x = torch.randn(BATCH, 3, generator=rng, dtype=torch.float64)
    y = torch.randn(BATCH, 1, generator=rng, dtype=torch.float64)
    there = torch.arange(BATCH) % 4 > 0
    learner = FineTune(lr=0.05, steps=5)
    found = learner.adapt(problem, {}, Batch(x, y, there), {})
    toys.assert_same(found, learner.adapt(problem, {}, Batch(x[there], y[there]), {}), atol=1e-9)


def test_the_gradient_of_l2_sp_is_that_of_the_paper() -> None:
    rng = toys.rng()
    phi = {n: torch.randn(3, 2, generator=rng, dtype=torch.float64) for n in ("net", "head.weight")}
    origin = {"net": torch.randn(3, 2, generator=rng, dtype=torch.float64)}
    learner = L2SP(alpha=0.7, beta=0.05)
    found = grad(learner.penalty(origin), phi)
    torch.testing.assert_close(found["net"], 0.7 * (phi["net"] - origin["net"]))
    torch.testing.assert_close(found["head.weight"], 0.05 * phi["head.weight"])


def test_l2_sp_without_penalties_is_fine_tuning_and_with_a_huge_one_stays_at_the_source() -> None:
    problem, params, support, _ = source("classification")
    plain = FineTune(lr=1e-2, steps=5).adapt(problem, params, support, {})
    free = L2SP(alpha=0.0, beta=0.0, lr=1e-2, steps=5).adapt(problem, params, support, {})
    toys.assert_bits(free, plain)

    def distance(alpha: float) -> float:
        phi = L2SP(alpha=alpha, lr=1e-2, steps=50).adapt(problem, params, support, {})
        return sum(float((phi[n] - params[n]).square().sum()) for n in problem.trainable & set(phi))

    assert distance(0.0) > 2 * distance(1.0) > 2 * distance(10.0) > 0


def test_lp_ft_bends_the_features_less_than_fine_tuning_in_the_first_step_and_begins_better() -> (
    None
):
    """Section 4 of the paper: the loss that the head begins with is what bends the features."""
    problem, params, support, _ = source("classification")
    begin = LPFT(steps=0, lr=1e-3).adapt(problem, params, support, {})
    scratch = FineTune(steps=0, lr=1e-3).adapt(problem, params, support, {})
    assert float(problem.loss_on(begin, support)) < float(problem.loss_on(scratch, support))
    toys.assert_bits(begin, LinearProbe(penalty=0.1).adapt(problem, params, support, {}))


def test_a_head_that_means_the_same_is_where_fine_tuning_begins() -> None:
    """One output in the source and in the target: a regression goes on from its own head."""
    problem, params, support, _ = source("regression")
    head = {"head.weight": params["head.weight"][:1], "head.bias": torch.ones(1).double()}
    begin = FineTune(steps=0, lr=1e-3).adapt(problem, {**params, **head}, support, {})
    assert torch.equal(begin["head.weight"], head["head.weight"])
    pulled = L2SP(steps=9, lr=1e-2, alpha=100.0)
    phi = pulled.adapt(problem, {**params, **head}, support, {})
    assert float((phi["head.weight"] - head["head.weight"]).abs().max()) < 0.1


def test_prototypes_are_class_means_and_cosine_is_the_angle() -> None:
    problem, params, support, query = source("classification")
    z, q = problem.embed(params, support.x), problem.embed(params, query.x)
    means = torch.stack([z[support.y == n].mean(0) for n in range(3)])
    near = Prototype(distance="euclidean")
    phi = near.adapt(problem, params, support, {})
    torch.testing.assert_close(near.predict(problem, phi, query.x), -(torch.cdist(q, means) ** 2))
    angle = Prototype(distance="cosine", scale=5.0)
    phi = angle.adapt(problem, params, support, {})
    wanted = 5 * nn.functional.cosine_similarity(q[:, None], means[None], dim=-1)
    torch.testing.assert_close(angle.predict(problem, phi, query.x), wanted)


@pytest.mark.parametrize(("name", "kind"), [one for one in cases() if one[0] not in AVERAGES])
def test_fits_its_support_better_than_no_features_could(name: str, kind: str) -> None:
    problem, params, support, _ = source(kind)
    learner = ALGORITHMS[name].load()().usual()
    phi = learner.adapt(problem, params, support, {})
    loss = float(problem.loss(learner.predict(problem, phi, support.x), support))
    middle = float((support.y - support.y.double().mean()).square().mean())
    # The scale of these cosines is fixed: their probabilities stay near each other.
    share = 0.96 if name in ("bd-cspn", "tim") else 0.9
    assert loss < share * (math.log(3) if kind == "classification" else middle)
