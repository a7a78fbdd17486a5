"""Cells to numbers and back: equal to scikit-learn's, and the same after the model was stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from metacli.data.tables.encoding import Encoding, Numeric, Target
from metacli.data.tables.fitting import fit_encoding, fit_target
from metacli.data.tables.reader import Table, parse_table
from metacli.errors import DataError


def table_of(text: str) -> Table:
    return parse_table(text.encode(), "csv", "t.csv")


LEARNED = table_of("a,b,c\n1,red,5\n2,blue,5\n4,red,5\n9,green,5\n")
KINDS = {"a": "numeric", "b": "categorical", "c": "constant"}


def test_numbers_are_scaled_and_words_one_hot_as_scikit_learn_does() -> None:
    x = fit_encoding([LEARNED], KINDS).encode(LEARNED)  # type: ignore[arg-type]
    numbers = StandardScaler().fit_transform(np.array([[1.0], [2], [4], [9]]))
    words = OneHotEncoder(sparse_output=False).fit_transform(
        [["red"], ["blue"], ["red"], ["green"]]
    )
    np.testing.assert_allclose(x[:, :1], numbers, rtol=1e-6)
    np.testing.assert_array_equal(x[:, 1:4], words)
    np.testing.assert_array_equal(x[:, 4:], 0)  # nothing unknown; a constant is zero


def test_a_missing_number_is_the_mean_and_says_so_in_a_column_of_its_own() -> None:
    learned = table_of("a\n1\n?\n3\n")
    encoding = fit_encoding([learned], {"a": "numeric"})
    np.testing.assert_allclose(encoding.encode(learned), [[-1, 0], [0, 1], [1, 0]])


def test_a_word_that_was_not_learned_is_unknown_and_so_is_a_missing_one() -> None:
    encoding = fit_encoding([LEARNED], {"b": "categorical"})
    x = encoding.encode(table_of("b,n\npink,1\n,2\nred,3\n"))
    np.testing.assert_array_equal(x, [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]])


def test_statistics_are_over_the_rows_of_all_tables() -> None:
    encoding = fit_encoding([table_of("a\n1\n3\n"), table_of("a\n5\n")], {"a": "numeric"})
    assert encoding.columns[0] == Numeric("a", 3.0, pytest.approx(np.std([1, 3, 5])), False)


def test_an_encoding_survives_being_written() -> None:
    encoding = fit_encoding([LEARNED], KINDS)  # type: ignore[arg-type]
    again = Encoding.from_dict(json.loads(json.dumps(encoding.as_dict())))
    assert again == encoding
    assert again.width == encoding.encode(LEARNED).shape[1]


def test_columns_that_a_later_table_lacks_are_all_named() -> None:
    encoding = fit_encoding([LEARNED], KINDS)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="lacks 2 of the 3 columns that the model takes: b, c"):
        encoding.encode(table_of("a,x\n1,2\n"))


def test_a_word_where_the_model_wants_a_number_is_named_by_row() -> None:
    encoding = fit_encoding([LEARNED], {"a": "numeric"})
    with pytest.raises(DataError, match="row 3, column a"):
        encoding.encode(table_of("a\n1\nx\n"))


def test_a_target_is_scaled_and_scaled_back() -> None:
    values = np.array([3.0, 5.0, 10.0])
    target = fit_target("price", values, "EUR")
    np.testing.assert_allclose(target.encode(values).mean(), 0, atol=1e-12)
    np.testing.assert_allclose(target.encode(values).std(), 1)
    np.testing.assert_allclose(target.decode(target.encode(values)), values)
    assert target.as_dict()["unit"] == "EUR"


def test_a_constant_target_keeps_its_scale_finite() -> None:
    assert fit_target("y", np.array([2.0, 2.0])).scale == 1.0


def test_a_target_of_which_nothing_was_learned_is_left_as_it_is() -> None:
    values = np.array([3.0, 5.0, 10.0])
    target = Target("price")
    np.testing.assert_array_equal(target.encode(values), values)
    np.testing.assert_array_equal(target.decode(values), values)


DATED = "when,n\n2024-01-05,1\n2024-03-05,2\n,3\n2024-03-05,4\n"


def test_the_parts_of_a_date_that_never_change_tell_nothing() -> None:
    """Months differ and so do days of the week; the year and the day are the same throughout."""
    encoding = fit_encoding([table_of(DATED)], {"when": "date"})
    assert encoding.titles == ("when: month", "when: month missing", "when: weekday")
    x = encoding.encode(table_of(DATED))
    assert x.shape == (4, 3)
    assert x[2].tolist() == [0.0, 1.0, 0.0]
    same = fit_encoding([table_of("when,n\n2024-01-05,1\n2024-01-05,2\n")], {"when": "date"})
    assert same.titles == ("when: year",)


def test_a_date_is_read_back_only_with_parts_and_an_order_that_exist() -> None:
    encoding = fit_encoding([table_of(DATED)], {"when": "date"})
    written = json.loads(json.dumps(encoding.as_dict()))
    assert Encoding.from_dict(written) == encoding
    for key in ("part", "order"):
        spoiled = json.loads(json.dumps(written))
        spoiled["columns"][0][key] = "century"
        with pytest.raises(ValueError, match="century"):
            Encoding.from_dict(spoiled)


def test_a_column_with_a_wild_cell_is_cut_on_either_side() -> None:
    usual = [str(n) for n in range(-20, 21)]
    learned = table_of("a,n\n" + "".join(f"{one},1\n" for one in [*usual, "1e30"]))
    encoding = fit_encoding([learned], {"a": "numeric"})
    limit = encoding.columns[0].limit  # type: ignore[union-attr]
    assert limit is not None
    x = encoding.encode(table_of("a,n\n1e30,1\n-1e30,1\n0,1\n"))
    assert x[:, 0].tolist() == pytest.approx([limit, -limit, 0.0], abs=1e-6)
    written = json.loads(json.dumps(encoding.as_dict()))
    assert Encoding.from_dict(written) == encoding
    written["columns"][0]["limit"] = 0.5
    assert Encoding.from_dict(written).columns[0].limit == 0.5  # type: ignore[union-attr]
    for wrong in (0, -1):
        written["columns"][0]["limit"] = wrong
        with pytest.raises(ValueError, match="limit"):
            Encoding.from_dict(written)


def test_a_table_of_every_kind_of_column_is_as_wide_as_its_titles() -> None:
    table = table_of("a,b,when,n\n1,red,2024-01-05,1\n,blue,2024-02-07,2\n3,,2023-02-07,3\n")
    kinds = {"a": "numeric", "b": "categorical", "when": "date"}
    encoding = fit_encoding([table], kinds)  # type: ignore[arg-type]
    assert len(encoding.titles) == encoding.width == encoding.encode(table).shape[1] == 2 + 3 + 4
    assert encoding.names == ("a", "b", "when")


@pytest.mark.parametrize(
    ("learned", "later", "wanted"),
    [
        (["5%", "10%", "full"], ["10%", "5%"], ["10%", "5%"]),
        (["1,5", "2,5", "many"], ["2,5", "1,5"], ["2,5", "1,5"]),
        (["5%", "$5", "full"], ["5%", "full"], ["5%", "full"]),
        (["5%", "5 %", "full"], ["5 %"], [None]),  # either of the first two
    ],
)
def test_a_category_that_alone_would_be_a_number_is_still_that_category(
    learned: list[str], later: list[str], wanted: list[str | None]
) -> None:
    def of(cells: list[str]) -> Table:
        return table_of("a;b\n" + "".join(f"{cell};x\n" for cell in cells))

    encoding = fit_encoding([of(learned)], {"a": "categorical"})
    values = [*sorted(learned), None]
    assert [values[at] for at in encoding.encode(of(later)).argmax(1)] == wanted


def test_two_hundred_words_are_categories_and_one_more_is_refused() -> None:
    def words(count: int) -> Table:
        return table_of("a,n\n" + "".join(f"w{number},1\n" for number in range(count)))

    encoding = fit_encoding([words(200)], {"a": "categorical"})
    assert encoding.width == 201  # and unknown
    with pytest.raises(DataError, match="201 different words") as caught:
        fit_encoding([words(201)], {"a": "categorical"})
    assert caught.value.code == "table.categories"
