"""Several logistic regressions at once are those of each alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from metacli.nn.solvers import lbfgs, logistic_each
from metacli.nn.solvers.lbfgs_each import KEPT, Pairs, minimised_each
from metacli.nn.solvers.logistic import fit_logistics
from metacli.nn.solvers.logistic_each import Asked, answers_each, objectives

PRECISIONS = {1.0: 1e-4, 10.0: 1e-3, 100.0: 1e-2, 1000.0: 0.1}


def sets(way: int, sizes: tuple[int, ...], width: int) -> list[Asked]:
    draw = torch.Generator().manual_seed(way)
    normal = partial(torch.randn, generator=draw, dtype=torch.float64)
    return [
        Asked(normal(size, width), torch.arange(size) % way, normal(4, width)) for size in sizes
    ]


def alone(asked: Asked, way: int) -> dict[float, Tensor]:
    fitted = fit_logistics(asked.x, asked.y, way, PRECISIONS)
    return {c: asked.query @ weight.T + bias for c, (weight, bias) in fitted.items()}


def require_alike(given: list[Asked], wanted: list[dict[float, Tensor]], rtol: float) -> None:
    for found, each in zip(answers_each(given, PRECISIONS), wanted, strict=True):
        assert list(found) == list(each) == list(PRECISIONS)
        for c, logits in each.items():
            torch.testing.assert_close(found[c], logits, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(
    ("way", "width", "rtol"),
    # Where more examples than features make the optimum flat, what is left of the gradient shows.
    [(2, 5, 1e-7), (3, 40, 1e-7), (5, 7, 1e-3), (4, 12, 1e-7)],
)
def test_sets_of_different_sizes_are_fitted_as_each_alone(
    way: int, width: int, rtol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sets(way, (13, 12, 9, 13, 10), width)
    wanted = [alone(one, way) for one in given]
    monkeypatch.setattr(logistic_each, "fit_logistics", None)  # not one after the other
    require_alike(given, wanted, rtol)


def test_examples_that_repeat_span_fewer_axes_and_answer_as_each_alone() -> None:
    given = [
        Asked(torch.cat([x, x[:5]]), torch.cat([y, y[:5]]), query)
        for x, y, query in sets(3, (12, 9), 30)
    ]
    require_alike(given, [alone(one, 3) for one in given], 1e-5)


def test_sets_of_different_classes_are_fitted_in_their_order() -> None:
    three, two = sets(3, (12, 9), 30), sets(2, (8,), 30)
    given = [three[0], two[0], three[1]]
    wanted = [alone(one, way) for one, way in zip(given, (3, 2, 3), strict=True)]
    for found, each in zip(answers_each(iter(given), PRECISIONS), wanted, strict=True):
        for c, logits in each.items():
            torch.testing.assert_close(found[c], logits, rtol=1e-7, atol=1e-7)


def test_large_sets_have_the_very_bits_of_each_alone() -> None:
    given = sets(5, (200, 199), 60)
    for one, found in zip(given, answers_each(given, PRECISIONS), strict=True):
        assert all(torch.equal(found[c], wanted) for c, wanted in alone(one, 5).items())


def test_features_that_are_not_finite_spoil_no_other_set() -> None:
    given = sets(3, (12, 9), 30)
    given[0].x[3, 4] = float("nan")
    found = answers_each(given, PRECISIONS)
    for c, wanted in alone(given[1], 3).items():
        torch.testing.assert_close(found[1][c], wanted, rtol=1e-7, atol=1e-7)
    assert found[0][1.0].shape == (4, 3)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_gradient_is_that_of_the_loss_and_rows_of_zeros_have_no_part(classes: int) -> None:
    draw = np.random.default_rng(classes)
    inputs, target = draw.normal(size=(3, 6, 4)), np.eye(classes)[draw.integers(0, classes, (3, 6))]
    inputs[:, :, -1] = 1.0
    inputs[1, 4:], target[1, 4:] = 0.0, 0.0
    flat, every = draw.normal(size=(3, classes * 4)), np.arange(3)
    functions = objectives(inputs, target, 7.0)
    loss, slope = functions(flat, every)
    for place in range(flat.shape[1]):
        moved = np.zeros_like(flat)
        moved[:, place] = 1e-6
        rise = functions(flat + moved, every)[0] - functions(flat - moved, every)[0]
        np.testing.assert_allclose(rise / 2e-6, slope[:, place], atol=1e-6)
    short = objectives(inputs[1:2, :4], target[1:2, :4], 7.0)(flat[1:2], np.arange(1))
    np.testing.assert_allclose(short[0], loss[1:2])
    np.testing.assert_allclose(short[1], slope[1:2])


def test_each_problem_takes_the_steps_that_it_takes_alone() -> None:
    """Rosenbrock's valley from several points: many line searches fail, at different steps."""
    begin = np.random.default_rng(0).normal(size=(6, 4)) * 2
    seen: list[int] = []

    def valley(x: np.ndarray) -> tuple[float, np.ndarray]:
        rise, near = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        slope = np.zeros_like(x)
        slope[1:] += 200 * rise
        slope[:-1] -= 400 * rise * x[:-1] + 2 * near
        return float((100 * rise**2 + near**2).sum()), slope

    def valleys(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(which))
        found = [valley(one) for one in x]
        return np.array([one[0] for one in found]), np.stack([one[1] for one in found])

    precision = np.array([1e-8, 1e-8, 1e-2, 1e-8, 10.0, 1e-8])
    together = minimised_each(valleys, begin, precision, 500)
    alone = [lbfgs.minimised(valley, *one, 500) for one in zip(begin, precision, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-6)
    assert seen[0] == 6
    assert seen[-1] < 6  # the others are done
    few = minimised_each(valleys, begin, precision, 3)
    np.testing.assert_allclose(few[0], lbfgs.minimised(valley, begin[0], 1e-8, 3), rtol=1e-9)
    assert np.array_equal(minimised_each(valleys, begin, precision, 0), begin)


def test_a_problem_whose_changes_rounding_hides_ends_soon_and_the_other_one_goes_on() -> None:
    curves, above = 10.0 ** np.arange(6), np.array([1e30, 0.0])

    def bowls(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return above[which] + (curves * x**2).sum(1) / 2, curves * x

    def hidden(x: np.ndarray) -> tuple[float, np.ndarray]:
        return above[0] + float((curves * x**2).sum()) / 2, curves * x

    begin, precision = np.ones((2, 6)), np.full(2, 1e-6)
    found = minimised_each(bowls, begin, precision, 500)
    few = minimised_each(bowls, begin, precision, lbfgs.IDLE)
    np.testing.assert_array_equal(found[0], few[0])
    np.testing.assert_allclose(found[0], lbfgs.minimised(hidden, begin[0], 1e-6, 500), rtol=1e-9)
    assert np.abs(curves * found[0]).max() > 1e-6
    assert np.abs(curves * found[1]).max() <= 1e-6


@pytest.mark.parametrize("spacings", [2, 8])
def test_rounding_is_as_large_as_the_value_whatever_its_sign(spacings: int) -> None:
    value, slope = np.array([1e6, -1e6]), 1e-7
    above = value + spacings * np.spacing(1e6)

    def flat(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begun = x[:, 0] == 0
        return np.where(begun, value[which], above[which]), np.where(begun, slope, 0.0)[:, None]

    found = minimised_each(flat, np.zeros((2, 1)), np.full(2, 1e-9), 5)
    assert found[:, 0].tolist() == ([-slope] * 2 if spacings == 2 else [0.0] * 2)


def test_changes_that_rounding_hides_end_a_negative_value_as_soon_as_a_positive_one() -> None:
    spacing, seen = np.spacing(1e6), []

    def falling(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(which)
        calls = np.array([sum(int(one in past) for past in seen) for one in which])
        value = np.array([1e6, -1e6])[which] - spacing * calls
        return value, 1e-7 * 0.5 ** calls[:, None]

    minimised_each(falling, np.zeros((2, 1)), np.zeros(2), 50)
    assert [len(one) for one in seen] == [2] * (lbfgs.IDLE + 1)


def test_pairs_that_rounding_spoiled_are_forgotten_and_the_gradient_is_followed() -> None:
    step, inverse = np.zeros((2, KEPT, 3)), np.zeros((2, KEPT))
    step[:, -1], inverse[:, -1] = 1.0, (-5.0, 1 / 3)
    change = step.copy()
    change[0] = 0.0  # no curvature could be so
    pairs = Pairs(step, change, inverse)
    slope = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    found = pairs.directions(np.arange(2), slope)
    np.testing.assert_array_equal(found[0], -slope[0])
    assert pairs.inverse[:, -1].tolist() == [0.0, 1 / 3]
    assert (found[1] * slope[1]).sum() < 0
