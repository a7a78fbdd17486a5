"""A small logistic regression under several C at once is that of each C alone, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from metacli.nn.solvers.logistic import by_newton
from metacli.nn.solvers.newton_each import newton_each, solved_each

SEVERAL = (1000.0, 0.1, 100.0, 1.0, 10.0)


def drawn(rows: int, columns: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    draw, y = np.random.default_rng(rows), np.arange(rows) % classes
    return draw.normal(size=(rows, columns)) + draw.normal(size=(classes, columns))[y], y


@pytest.mark.parametrize(("rows", "columns", "classes"), [(17, 6, 2), (16, 6, 3), (40, 9, 5)])
def test_several_c_at_once_have_the_bits_of_each_alone(
    rows: int, columns: int, classes: int
) -> None:
    z, y = drawn(rows, columns, classes)
    together = newton_each(z, y, classes, SEVERAL, 0.5)
    for c, found in zip(SEVERAL, together, strict=True):
        assert np.array_equal(found, by_newton(z, y, classes, c, 0.5))


def test_columns_of_very_different_size_have_them_too() -> None:
    z, y = drawn(20, 4, 3)
    z[:, 1], z[:, 2] = z[:, 0], 1e9 * z[:, 2]  # the matrix is singular, and steps are halved
    together = newton_each(z, y, 3, SEVERAL, 0.5)
    for c, found in zip(SEVERAL, together, strict=True):
        assert np.array_equal(found, by_newton(z, y, 3, c, 0.5))


def test_a_singular_system_has_its_shortest_solution_and_the_others_theirs() -> None:
    matrices = np.array([[[2.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    found = solved_each(matrices, np.array([[2.0, 2.0], [2.0, 2.0]]))
    np.testing.assert_allclose(found, [[1.0, 0.5], [1.0, 1.0]])


def test_a_small_c_whose_loss_is_far_below_one_has_the_bits_too() -> None:
    z, y = drawn(40, 9, 5)
    together = newton_each(z, y, 5, (1e-5, 1e-3), 0.5)
    for c, found in zip((1e-5, 1e-3), together, strict=True):
        assert np.array_equal(found, by_newton(z, y, 5, c, 0.5))
