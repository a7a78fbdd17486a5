"""Mean and scale of a column, stable at any size of numbers and beside wild cells."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from metacli.data.tables.encoding import Numeric
from metacli.data.tables.fitting import fit_encoding, fit_target
from metacli.data.tables.levels import (
    LIMIT,
    ONE_IN,
    WILD,
    level_of,
    levels_of,
    surely_plain,
    wild_cells,
)
from metacli.data.tables.reader import parse_table
from metacli.errors import DataError

USUAL = np.array([3.0, -1.0, 4.0, 1.0, 5.0, 9.0, -2.0, 6.0])


def exact(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation in exact arithmetic."""
    numbers = [Fraction(float(one)) for one in values]
    mean = sum(numbers) / len(numbers)
    return float(mean), float(sum((one - mean) ** 2 for one in numbers) / len(numbers)) ** 0.5


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e10, -1e12])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e50])
def test_mean_and_scale_are_those_of_exact_arithmetic(offset: float, size: float) -> None:
    values = (USUAL + offset) * size
    level = level_of(values)
    mean, scale = exact(values)
    assert level.mean == pytest.approx(mean, rel=1e-12)
    assert level.scale == pytest.approx(scale, rel=1e-6)  # 1e-4 of a unit beside 1e12 is rounding
    assert level.limit is None


def test_ordinary_columns_have_the_statistics_of_numpy_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=500), rng.lognormal(0, 2, 500), rng.integers(0, 2, 500) * 1.0):
        level = level_of(values)
        assert (level.mean, level.scale) == (values.mean(), values.std())


@pytest.mark.parametrize("wild", [1e9, -1e25, 1e30])
def test_one_wild_cell_moves_nothing_and_is_cut(wild: float) -> None:
    values = np.append(USUAL, wild)
    level = level_of(values)
    assert level.wild == (8,)
    assert (level.mean, level.scale) == (USUAL.mean(), USUAL.std())
    encoding = fit_encoding(
        [parse_table(("a\n" + "".join(f"{v!r}\n" for v in values.tolist())).encode(), "csv", "t")],
        {"a": "numeric"},
    )
    column = encoding.columns[0]
    assert isinstance(column, Numeric)
    table = parse_table(f"a\n{wild!r}\n3\n".encode(), "csv", "t")
    found = encoding.encode(table)[:, 0]
    largest = np.abs((USUAL - USUAL.mean()) / USUAL.std()).max()
    assert found == pytest.approx([np.sign(wild) * LIMIT * largest, 0.125 / USUAL.std() * -1], 1e-5)
    assert Numeric.from_dict(column.as_dict()) == column


def test_a_column_that_is_mostly_zero_has_no_wild_cells() -> None:
    assert wild_cells(np.array([0.0] * 40 + [1e9])) == ()


def test_a_constant_or_empty_column_has_scale_one() -> None:
    assert level_of(np.full(5, 1e10)).scale == 1
    assert level_of(np.full(5, np.nan)) == level_of(np.zeros(0))


def test_a_wild_target_is_refused_and_reported() -> None:
    with pytest.raises(DataError, match=r"target y is 1e.30 in one row, and -2 to 9 in the others"):
        fit_target("y", np.append(USUAL, 1e30))


def test_columns_together_have_the_bits_of_each_alone() -> None:
    draw = np.random.default_rng(5)
    values = draw.normal(3, 2, (40, 9))
    values[:, 1] = 7.0
    values[3, 2] = 1e30
    values[::4, 3] = np.nan
    values[:, 4] *= 1e200
    values[:, 5] = 0.0
    values[:, 6] = draw.integers(0, 2, 40)
    for rows in (values, values[:5], values[:2], values[:0]):
        assert levels_of(rows) == [level_of(rows[:, at]) for at in range(9)]


def test_means_rule_wild_cells_out_only_where_there_are_none() -> None:
    rng = np.random.default_rng(3)
    ruled_out, wild = 0, 0
    for trial in range(400):
        rows = int(rng.integers(3, 120))
        values = rng.normal(size=rows) * 10.0 ** rng.integers(-3, 4) + rng.normal() * 100
        spread = np.sort(np.abs(values - np.median(values)))[-1 - max(1, rows // ONE_IN)]
        far = WILD * spread * (0.5, 0.999, 1.001, 3.0)[trial % 4]
        for place in rng.choice(rows, int(rng.integers(0, max(1, rows // ONE_IN) + 1)), False):
            values[place] = np.median(values) + far
        away = np.abs(values - np.median(values))
        usual = np.sort(away)[-1 - max(1, rows // ONE_IN)]
        slow = bool(usual > 0 and (away > WILD * usual).any())
        assert bool(wild_cells(values)) == slow
        sure = bool(surely_plain(values[None])[0])
        assert not (sure and slow)
        ruled_out, wild = ruled_out + sure, wild + slow
    assert ruled_out > 100
    assert wild > 50
