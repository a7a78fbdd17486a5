"""Logistic regression: scikit-learn's numbers, without scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys
from sklearn.linear_model import LogisticRegression

from metacli.nn.solvers import logistic
from metacli.nn.solvers.logistic import fit_logistic, fit_logistics

pytestmark = pytest.mark.usefixtures("one_thread")


def blobs(m: int, d: int, classes: int, spread: float = 1.0, seed: int = 0) -> tuple:
    """x [M, D] around a centre for each class, y [M]."""
    rng = toys.rng(seed)
    y = torch.arange(m) % classes
    centres = torch.randn(classes, d, generator=rng, dtype=torch.float64) / d**0.5
    noise = torch.randn(m, d, generator=rng, dtype=torch.float64) / d**0.5
    return centres[y] + spread * noise, y


def scikit(x: torch.Tensor, y: torch.Tensor, c: float = 1.0) -> LogisticRegression:
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000)
    return model.fit(x.numpy(), y.numpy())


@pytest.mark.parametrize(
    ("m", "d", "classes"),
    [(60, 4, 3), (200, 10, 5), (15, 15, 3), (6, 784, 3), (25, 2000, 5), (12, 1, 3)],
)
def test_weights_equal_those_of_scikit_learn(m: int, d: int, classes: int) -> None:
    x, y = blobs(m, d, classes)
    weight, bias = fit_logistic(x, y, classes)
    model = scikit(x, y)
    np.testing.assert_allclose(weight.numpy(), model.coef_, atol=1e-6, rtol=0)
    shift = bias.numpy() - model.intercept_  # a constant added to all logits changes nothing
    np.testing.assert_allclose(shift - shift.mean(), 0, atol=1e-6)


@pytest.mark.parametrize(("m", "d"), [(40, 3), (10, 300)])
def test_two_classes_are_those_of_scikit_learn_too(m: int, d: int) -> None:
    x, y = blobs(m, d, 2)
    weight, bias = fit_logistic(x, y, 2)
    model = scikit(x, y)
    np.testing.assert_allclose((weight[1] - weight[0]).numpy(), model.coef_[0], atol=1e-6, rtol=0)
    np.testing.assert_allclose((bias[1] - bias[0]).item(), model.intercept_[0], atol=1e-6)
    chances = torch.softmax(x @ weight.T + bias, 1)
    np.testing.assert_allclose(chances.numpy(), model.predict_proba(x.numpy()), atol=1e-7)


@pytest.mark.parametrize("c", [0.01, 100.0])
def test_c_is_the_weight_of_the_examples(c: float) -> None:
    x, y = blobs(30, 6, 3)
    weight, _ = fit_logistic(x, y, 3, c)
    np.testing.assert_allclose(weight.numpy(), scikit(x, y, c).coef_, atol=1e-5, rtol=1e-5)


def test_pixels_of_few_images_give_the_weights_of_scikit_learn() -> None:
    rng = toys.rng(3)
    y = torch.arange(20) % 4
    ink = (torch.rand(4, 784, generator=rng, dtype=torch.float64) < 0.2)[y]
    x = ink * torch.rand(20, 784, generator=rng, dtype=torch.float64)
    weight, _ = fit_logistic(x, y, 4)
    np.testing.assert_allclose(weight.numpy(), scikit(x, y).coef_, atol=1e-6, rtol=0)


def test_unbalanced_and_repeated_examples_still_converge() -> None:
    x, y = blobs(9, 50, 3)
    rows = torch.tensor([0, 0, 0, 0, 1, 2, 3, 6, 4])
    weight, bias = fit_logistic(x[rows], y[rows], 3)
    np.testing.assert_allclose(weight.numpy(), scikit(x[rows], y[rows]).coef_, atol=1e-6, rtol=0)
    assert bool(torch.isfinite(bias).all())


def test_newtons_steps_are_few_and_leave_the_mean_of_the_intercepts_at_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = blobs(60, 4, 3)
    steps, solve = [], logistic.system_solved
    monkeypatch.setattr(
        logistic, "system_solved", lambda a, b: (steps.append(len(b)), solve(a, b))[1]
    )
    found = logistic.by_newton(x.numpy(), y.numpy(), 3, 10.0, 0.5)
    assert len(steps) <= 10
    assert abs(found[:, -1].mean()) < 1e-12
    assert abs(found[:, -1]).max() > 1e-3


def test_steps_that_overshoot_are_shortened_until_the_optimum_is_reached() -> None:
    """Examples of very different length, two classes of one example: a whole step of Newton's makes
    the loss larger. At the optimum C Σ (p - label) x + W is 0, and so is Σ (p - label)."""
    draw = toys.rng(68)
    x = torch.randn(13, 3, generator=draw, dtype=torch.float64)
    x = x * torch.exp(2 * torch.randn(13, 1, generator=draw, dtype=torch.float64))
    y = torch.tensor([0, 1, 2, *[0] * 10])
    weight, bias = fit_logistic(x, y, 3, 100.0)
    error = torch.softmax(x @ weight.T + bias, 1) - torch.nn.functional.one_hot(y)
    np.testing.assert_allclose((100 * error.T @ x + weight).numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(error.sum(0).numpy(), 0, atol=1e-8)


def test_fit_works_where_gradients_are_off() -> None:
    x, y = blobs(30, 6, 3)
    with torch.no_grad():
        found = fit_logistic(x, y, 3)[0]
    assert torch.equal(found, fit_logistic(x, y, 3)[0])


def test_several_c_at_a_time_each_give_the_weights_of_scikit_learn() -> None:
    x, y = blobs(25, 300, 5)
    found = fit_logistics(x, y, 5, dict.fromkeys((100.0, 0.1, 10.0), 1e-7))
    for c, (weight, _) in found.items():
        np.testing.assert_allclose(weight.numpy(), scikit(x, y, c).coef_, atol=1e-5, rtol=0)
        assert torch.equal(weight, fit_logistics(x, y, 5, {c: 1e-7})[c][0])


def test_many_classes_are_computed_in_blocks_with_the_same_loss_and_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(0)
    z, y = draw.normal(size=(23, 3)), np.arange(23) % 7
    loss_at, inputs, _ = logistic.objective_of(z, y, 7, 2.0, 0.5)
    monkeypatch.setattr(logistic, "BLOCK", 35)  # five examples
    blocks = logistic.objective_in_blocks(z, y, 7, 2.0, 0.5)
    for _ in range(3):
        flat = draw.normal(size=7 * inputs.shape[1])
        (loss, slope), (whole, wanted, _) = blocks(flat), loss_at(flat)
        assert loss == pytest.approx(whole, rel=1e-13)
        np.testing.assert_allclose(slope, wanted, rtol=1e-11, atol=1e-12)
    found = logistic.by_lbfgs(z, y, 7, 2.0, 0.5)
    monkeypatch.undo()
    np.testing.assert_allclose(found, logistic.by_lbfgs(z, y, 7, 2.0, 0.5), atol=1e-7)


def test_more_classes_than_a_block_has_room_for_are_taken_row_by_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = blobs(12, 3, 3)
    at, arrays = np.linspace(-1, 1, 12), (x.double().numpy(), y.numpy(), 3, 2.0, 0.5)
    value, slope = logistic.objective_in_blocks(*arrays)(at)
    monkeypatch.setattr(logistic, "BLOCK", 2)
    by_rows, slope_by_rows = logistic.objective_in_blocks(*arrays)(at)
    assert by_rows == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(slope_by_rows, slope, rtol=1e-10)
