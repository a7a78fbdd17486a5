"""Generated tables: the same ones for ever, of the shapes that are promised, and no two alike."""

from __future__ import annotations

import numpy as np
import pytest

from metacli.data.tables_prior.columns import columns_of, leveled
from metacli.data.tables_prior.dice import Dice
from metacli.data.tables_prior.functions import FUNCTIONS, unit
from metacli.data.tables_prior.generated import (
    CATEGORY,
    DIGEST,
    MISSING,
    MOST_CLASSES,
    MOST_COLUMNS,
    NUMBER,
    QUERY,
    TOKENS,
    GeneratedTables,
    Shape,
    table,
)
from metacli.errors import DataError

GROUPS = range(40)


@pytest.fixture(scope="module")
def groups() -> list:
    source = GeneratedTables(("test", 0))
    return [source.at(number) for number in GROUPS]


def test_the_generator_is_version_1() -> None:
    assert DIGEST == "2d03a62ca7158bdb8a1d04d70a66df943f869090b025efe314354bc26fbffdee"


def test_a_table_stays_what_it_was() -> None:
    """Sums of a regression and of a classification, written down when they were made."""
    cells, y = table(Shape(1, 20, 5, 0), "golden", 0)
    np.testing.assert_allclose(
        [np.abs(cells[..., 0]).sum(), y.sum()], [276.8610307984751, 77.4971940383561], rtol=1e-7
    )
    cells, y = table(Shape(1, 20, 5, 3), "golden", 1)
    np.testing.assert_allclose(np.abs(cells[..., 0]).sum(), 364.3534946353787, rtol=1e-7)
    assert "".join(str(int(one)) for one in y) == "01222210121202000102212221010102220000200201"


def test_a_group_does_not_depend_on_others() -> None:
    one, other = (GeneratedTables(("test", 0)).at(7) for _ in range(2))
    np.testing.assert_array_equal(one.cells, other.cells)
    assert not np.array_equal(one.cells, GeneratedTables(("test", 1)).at(7).cells)


def test_shapes_are_those_that_are_promised(groups: list) -> None:
    shapes = [one.shape for one in groups]
    for one in groups:
        tables, support, columns, classes = one.shape
        assert one.cells.shape == (tables, support + QUERY, columns, 2)
        assert one.y.shape == (tables, support + QUERY)
        assert 5 <= support <= 200
        assert 1 <= columns <= MOST_COLUMNS
        assert classes == 0 or 2 <= classes <= MOST_CLASSES
        assert tables == 1 or tables * max(1, classes) * (support + QUERY) * (columns + 3) <= TOKENS
        assert np.isfinite(one.cells).all()
        assert np.isfinite(one.y).all()
    assert {one.classes for one in shapes} >= {0, 2, 3}
    assert min(one.support for one in shapes) < 10
    assert max(one.support for one in shapes) > 100


def test_every_class_is_in_the_support_and_once_more(groups: list) -> None:
    classified = [one for one in groups if one.shape.classes]
    assert classified
    for one in classified:
        for y in one.y:
            counts = np.bincount(y.astype(int), minlength=one.shape.classes)
            assert len(counts) == one.shape.classes
            assert counts.min() >= 2
            assert set(y[: one.shape.support]) == set(range(one.shape.classes))


def test_cells_are_numbers_categories_or_missing(groups: list) -> None:
    kinds = np.concatenate([one.cells[..., 1].ravel() for one in groups])
    assert set(kinds) == {NUMBER, CATEGORY, MISSING}
    assert 0.02 < np.mean(kinds == CATEGORY) < 0.6
    assert 0.002 < np.mean(kinds == MISSING) < 0.3
    for one in groups:
        values, what = one.cells[..., 0], one.cells[..., 1]
        assert not values[what == MISSING].any()
        names = values[what == CATEGORY]
        assert not len(names) or (names.min() >= 0 and names.max() < 12)
        category, number = (what == CATEGORY).any(1), (what == NUMBER).any(1)
        assert not (category & number).any()


def test_labels_have_no_order(groups: list) -> None:
    """No class is more frequent because of its number."""
    pairs = [one.y for one in groups if one.shape.classes == 2]
    shares = np.concatenate([y.mean(1) for y in pairs])
    assert len(shares) > 100
    assert abs(shares.mean() - 0.5) < 4 * shares.std() / len(shares) ** 0.5


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_unit_scale_and_depends_on_its_columns(name: str) -> None:
    x = Dice("x", name).normal(400, 4)
    found = FUNCTIONS[name][0](Dice("f", name), x, 3)
    assert found.shape == (400, 3)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    assert np.all((np.abs(found.std(0) - 1) < 1e-9) | (found.std(0) == 0))
    assert found.std(0).max() > 0
    order = Dice("order").order(400)
    again = FUNCTIONS[name][0](Dice("f", name), x, 3)
    np.testing.assert_array_equal(found, again)
    moved = np.corrcoef(found[:, 0], found[order, 0])[0, 1]
    assert abs(moved) < 0.3


def test_a_linear_function_is_explained_by_its_columns() -> None:
    x = Dice("x").normal(200, 3)
    y = FUNCTIONS["linear"][0](Dice("f"), x, 1)[:, 0]
    design = np.column_stack([x, np.ones(200)])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert float(np.abs(rest).max()) < 1e-9


def test_categories_hold_what_they_are_worth() -> None:
    names, worth = leveled(Dice("levels", 3), Dice("x").normal(300))
    for name in set(names):
        assert len(set(worth[names == name])) == 1


def test_dice_are_uniform_and_normal() -> None:
    numbers = Dice("dice").uniform(20_000)
    assert 0 <= numbers.min() < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.01
    normal = Dice("dice").normal(20_000)
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.02
    counts = np.bincount([Dice("pick", i).pick((1.0, 3.0)) for i in range(400)])
    assert 0.65 < counts[1] / 400 < 0.85
    assert {Dice("count", i).count(2, 4) for i in range(60)} == {2, 3, 4}
    assert {Dice("log", i).log_count(1, 3) for i in range(60)} == {1, 2, 3}
    assert sorted(Dice("order").order(9)) == list(range(9))


def test_constant_columns_have_no_scale() -> None:
    assert not unit(np.full((5, 1), 3.0)).any()
    made = columns_of(Dice("same"), np.zeros((12, 3)))
    assert np.isfinite(made.worth).all()


def test_rows_that_are_not_made_are_refused() -> None:
    with pytest.raises(DataError, match="5 to 200"):
        GeneratedTables(rows=(5, 300))
