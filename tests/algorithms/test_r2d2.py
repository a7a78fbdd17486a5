"""R2-D2: a dense ridge solve in numpy, the two forms of the solution, and what the paper claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
import torch
import toys

from metacli.algorithms.meta.r2d2 import R2D2
from metacli.nn.solvers.ridge import ridge
from metacli.types import Batch, Episode, Params

pytestmark = pytest.mark.usefixtures("one_thread")


def solved(Z: np.ndarray, Y: np.ndarray, weights: np.ndarray, penalty: float) -> np.ndarray:
    """(ZᵀAZ + λI)⁻¹ ZᵀAY with a column of ones, by numpy: [D + 1, N]."""
    Z = np.hstack([Z, np.ones((len(Z), 1))])
    A = np.diag(weights)
    return np.linalg.inv(Z.T @ A @ Z + penalty * np.eye(Z.shape[1])) @ (Z.T @ A @ Y)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=toys.rng(seed), dtype=torch.float64)


def bare(kind: str = "classification", features: int = 4, **options: object) -> tuple:
    """A learner on features that are the inputs, and its own numbers."""
    learner, problem = R2D2(**options), toys.bare_problem(kind, features, None)  # type: ignore[arg-type]
    own, state = learner.init(problem, {"any": torch.zeros(1, dtype=torch.float64)})
    assert state == {}
    return learner, problem, own


def test_ridge_of_two_points_on_a_line() -> None:
    # With λ = 1 and weights of 1: (ZᵀZ + I) = [[6, 3], [3, 3]], ZᵀY = [4, 2], so W = 2/3, b = 0.
    z = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    weight, bias = ridge(z, y, torch.ones(2, dtype=torch.float64), 1.0)
    assert (weight.item(), bias.item()) == pytest.approx((2 / 3, 0.0), abs=1e-14)


@pytest.mark.parametrize("solve", ["auto", "features", "examples"])
@pytest.mark.parametrize(("rows", "columns"), [(3, 20), (20, 3), (7, 6), (6, 6)])
def test_every_form_equals_a_dense_solve(solve: str, rows: int, columns: int) -> None:
    z, y = random(rows, columns), random(rows, 2, seed=1)
    weights = torch.rand(rows, generator=toys.rng(2), dtype=torch.float64)
    weight, bias = ridge(z, y, weights, 0.3, solve)  # type: ignore[arg-type]
    wanted = solved(z.numpy(), y.numpy(), weights.numpy(), 0.3)
    np.testing.assert_allclose(weight.numpy(), wanted[:-1].T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(bias.numpy(), wanted[-1], rtol=0, atol=1e-10)


def test_auto_solves_the_smaller_system(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, real = [], torch.linalg.solve
    monkeypatch.setattr(torch.linalg, "solve", lambda A, B: sizes.append(len(A)) or real(A, B))
    for rows, columns in ((3, 20), (20, 3)):
        ridge(random(rows, columns), random(rows, 2), torch.ones(rows, dtype=torch.float64), 1.0)
    assert sizes == [3, 4]


def test_adapt_on_an_unbalanced_support_is_the_weighted_ridge_by_hand() -> None:
    learner, problem, own = bare(init_lambda=0.5, init_scale=3.0)
    own["r2d2.bias"] = torch.tensor(-0.25, dtype=torch.float64)
    z, y = random(6, 4), torch.tensor([0, 0, 0, 0, 1, 2])
    adapted = learner.adapt(problem, own, Batch(z, y), {})
    weights = np.array([1 / 4] * 4 + [1, 1]) / 3
    wanted = solved(z.numpy(), np.eye(3)[y], weights, 0.5)
    assert set(adapted) == {"head.weight", "head.bias"}
    np.testing.assert_allclose(adapted["head.weight"], 3 * wanted[:-1].T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(adapted["head.bias"], 3 * wanted[-1] - 0.25, rtol=0, atol=1e-10)
    x = random(5, 4, seed=3)
    found = learner.predict(problem, adapted, x).numpy()
    by_hand = 3 * (np.hstack([x.numpy(), np.ones((5, 1))]) @ wanted) - 0.25
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-10)


def test_balanced_classes_give_the_authors_division_by_the_number_of_examples() -> None:
    learner, problem, own = bare(init_scale=1.0)
    z, y = random(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    adapted = learner.adapt(problem, own, Batch(z, y), {})
    # The column of ones is divided with the features.
    Z = np.hstack([z.numpy(), np.ones((6, 1))]) / math.sqrt(6)
    wanted = np.linalg.inv(Z.T @ Z + np.eye(5)) @ Z.T @ (np.eye(3)[y] / math.sqrt(6))
    np.testing.assert_allclose(adapted["head.weight"], wanted[:-1].T, rtol=0, atol=1e-10)


def test_a_regression_is_ridge_on_the_features() -> None:
    learner, problem, own = bare("regression", init_lambda=0.01)
    assert set(own) == {"r2d2.log_lambda"}
    z, y = random(5, 4), random(5, 1, seed=1)
    adapted = learner.adapt(problem, own, Batch(z, y), {})
    wanted = solved(z.numpy(), y.numpy(), np.full(5, 1 / 5), 0.01)
    found = learner.predict(problem, adapted, z)
    by_hand = np.hstack([z.numpy(), np.ones((5, 1))]) @ wanted
    np.testing.assert_allclose(found.numpy(), by_hand, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_padding_that_is_masked_out_changes_nothing(kind: str) -> None:
    learner, problem, own = bare(kind)
    y = random(6, 1, seed=1) if kind == "regression" else torch.tensor([0, 0, 1, 1, 2, 2])
    support = Batch(random(6, 4), y)
    found = [learner.adapt(problem, own, b, {}) for b in (support, toys.padded(support, 5))]
    toys.assert_same(found[1], found[0])


@pytest.mark.parametrize("solve", ["auto", "features", "examples"])
@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("norm", ["batch", "group", "running"])
def test_conv4_direction_equals_the_hand_written_one(norm: str, chunk: int, solve: str) -> None:
    learner = R2D2(init_lambda=0.7, init_scale=4.0, solve=solve)  # type: ignore[arg-type]
    problem = toys.conv_problem(None, norm=norm, chunk=chunk)
    params, episodes, network = toys.shaken(problem), toys.pictures(2), reference.ConvNet(norm)
    own, _ = learner.init(problem, params)
    params |= own

    def task_loss(theta: Params, index: int) -> torch.Tensor:
        support, query = toys.task(episodes, index)
        if norm == "running":
            both = network(theta, torch.cat([support.x, query.x]))
            seen, asked = both[: len(support.y)], both[len(support.y) :]
        else:
            seen, asked = network(theta, support.x), network(theta, query.x)
        ones = torch.ones(len(seen), 1, dtype=torch.float64)
        Z = torch.cat([seen, ones], 1)
        Y = torch.eye(3, dtype=torch.float64)[support.y]
        eye = torch.eye(Z.shape[1], dtype=torch.float64)
        penalty = torch.exp(theta["r2d2.log_lambda"]) * eye
        W = torch.inverse(Z.T @ Z / len(Z) + penalty) @ Z.T @ Y / len(Z)
        out = torch.cat([asked, ones[: len(asked)]], 1) @ W
        return reference.class_averaged(theta["r2d2.scale"] * out + theta["r2d2.bias"], query.y)

    learned = problem.trainable | frozenset(own)
    wanted, mean = reference.meta_gradient(task_loss, params, learned, 2)
    update = learner.direction(problem, params, episodes, {}, toys.rng())
    toys.assert_same(update.direction, wanted)
    assert float(wanted["r2d2.log_lambda"].abs()) > 1e-4
    assert float(wanted["r2d2.bias"].abs()) < 1e-12  # the same for every class
    torch.testing.assert_close(update.metrics["query_loss"], mean, rtol=1e-10, atol=0)


def test_the_order_of_the_support_does_not_matter() -> None:
    learner, problem, own = bare()
    z, y, order = random(6, 4), torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([4, 1, 5, 0, 2, 3])
    found = [learner.adapt(problem, own, b, {}) for b in (Batch(z, y), Batch(z[order], y[order]))]
    toys.assert_same(found[1], found[0])


def test_a_class_with_its_examples_doubled_keeps_the_head() -> None:
    learner, problem, own = bare()
    z, y = random(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    rows = torch.tensor([0, 1, 2, 3, 2, 3, 4, 5])
    found = [learner.adapt(problem, own, b, {}) for b in (Batch(z, y), Batch(z[rows], y[rows]))]
    toys.assert_same(found[1], found[0])


def test_vmap_and_loop_agree_on_masked_supports() -> None:
    episodes = toys.pictures(2)
    wide = [toys.padded(toys.task(episodes, index).support, 4) for index in range(2)]
    support = Batch(*(torch.stack(parts) for parts in zip(*wide, strict=True)))
    found = []
    for chunk, batch in ((1, episodes), (1, Episode(support, episodes.query)), (2, None)):
        problem = toys.conv_problem(None, chunk=chunk)
        params = toys.shaken(problem)
        own, _ = R2D2().init(problem, params)
        batch = Episode(support, episodes.query) if batch is None else batch
        found.append(R2D2().direction(problem, params | own, batch, {}, toys.rng()).direction)
    toys.assert_same(found[1], found[0])
    toys.assert_same(found[2], found[0])


def test_a_small_penalty_on_enough_points_finds_the_line() -> None:
    learner, problem, own = bare("regression", features=1, init_lambda=1e-9)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    adapted = learner.adapt(problem, own, Batch(x, 3 * x - 1), {})
    assert adapted["head.weight"].item() == pytest.approx(3, abs=1e-7)
    assert adapted["head.bias"].item() == pytest.approx(-1, abs=1e-7)
