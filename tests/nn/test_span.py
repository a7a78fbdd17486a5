"""Examples in a basis of their span: the same products, and weights that give the same scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metacli.nn.solvers import span
from metacli.nn.solvers.logistic import fit_logistics
from metacli.nn.solvers.span import MANY, by_axes, by_products, by_reflections, in_span


def examples(rows: int, columns: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=draw, dtype=torch.float64) + 0.3


def require_same(x: Tensor, placed: Tensor, back: span.Back, scale: float = 1.0) -> None:
    near = 1e-9 * scale
    torch.testing.assert_close(placed @ placed.T, x @ x.T, rtol=1e-10, atol=near)
    weight = examples(3, placed.shape[1], 9)
    near = 1e-9 * scale**0.5
    torch.testing.assert_close(x @ back(weight).T, placed @ weight.T, rtol=1e-9, atol=near)
    lengths = back(weight) @ back(weight).T  # the penalty is the same
    torch.testing.assert_close(lengths, weight @ weight.T, rtol=1e-9, atol=1e-9)


def require_on_axes(placed: Tensor) -> None:
    products = placed.T @ placed
    torch.testing.assert_close(products, products.diag().diag(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("centred", [False, True])
def test_products_and_reflections_place_examples_alike(centred: bool) -> None:
    x = examples(80, 300)
    x = x - x.mean(0) if centred else x
    for way in (by_axes, by_products):
        found = way(x)
        assert found is not None
        assert found[0].shape == (80, 79 if centred else 80)
        require_same(x, *found)
    require_same(x, *by_reflections(x))
    require_on_axes(in_span(x)[0])


def test_examples_that_repeat_or_are_few_go_the_safe_way(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = torch.cat([examples(50, 300), examples(50, 300)])
    assert by_products(twice) is None
    found = by_axes(twice)
    assert found is not None
    assert found[0].shape == (100, 50)
    near = examples(100, 300)
    near[:9] = near[9] + 1e-4 * examples(9, 300, 1)
    for way in (by_products, by_axes):
        assert way(near) is None
        assert way(torch.zeros(80, 100, dtype=torch.float64)) is None
    for x in (twice, near, examples(100, 30)):
        require_same(x, *in_span(x))
        require_on_axes(in_span(x)[0])
    monkeypatch.setattr(span, "by_axes", None)  # a few examples, or few features
    for x in (examples(MANY - 1, 300), examples(100, 30)):
        require_same(x, *in_span(x))
        require_on_axes(in_span(x)[0])


@pytest.mark.parametrize("value", [float("nan"), 1e30])
@pytest.mark.parametrize("shape", [(80, 300), (300, 80), (10, 30)])
def test_numbers_that_are_none_or_very_large_are_placed_all_the_same(
    shape: tuple[int, int], value: float
) -> None:
    x = examples(*shape)
    x[1, 2] = value
    placed, _ = in_span(x)
    assert placed.shape == (shape[0], min(shape))
    fit_logistics(x, torch.arange(shape[0]) % 3, 3, {1.0: 1e-3})  # ends


def test_a_few_short_axes_are_found_by_themselves() -> None:
    centred = examples(80, 300).float()
    centred = (centred - centred.mean(0)).double()  # but for float32's rounding
    near = examples(100, 300)
    near[:5] = near[5] + 1e-4 * examples(5, 300, 1)
    most = examples(100, 300)
    most[: span.SHORT] = most[span.SHORT] + 1e-4 * examples(span.SHORT, 300, 1)
    for x, axes in ((centred, 80), (near, 100), (most, 100)):
        found = by_axes(x)
        assert found is not None
        assert found[0].shape == (len(x), axes)
        require_same(x, *found)
        require_on_axes(found[0])


def test_what_is_hardly_more_than_rounding_goes_the_safe_way() -> None:
    x = examples(80, 300)
    x[:2] = x[2] + 3e-13 * examples(2, 300, 1)
    require_same(x, *in_span(x))


def test_short_axes_beside_a_very_long_one_are_kept() -> None:
    x = examples(80, 300)
    x[:, 0] *= 1e9
    require_same(x, *in_span(x), scale=1e18)
    assert in_span(x)[0].shape == (80, 80)


def test_a_sum_that_is_nothing_but_rounding_is_no_axis() -> None:
    for seed in range(20):
        rows, columns = examples(4, 1, seed), examples(1, 6, seed + 100)
        left, lengths = rows / rows.norm(), rows.norm() * columns.norm()[None]
        assert span.short_axes(rows @ columns, left, lengths, left.T) is None


def test_very_many_examples_are_placed_without_their_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span, "TURNED", 70)
    x = examples(80, 300)
    placed, back = in_span(x)
    torch.testing.assert_close(placed, by_products(x)[0])
    require_same(x, placed, back)
    many = examples(90, 75)
    assert in_span(many)[0] is many


def test_logistic_regression_is_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = examples(90, 200), torch.arange(90) % 3
    x = (x - x.mean(0)) / 20
    found = fit_logistics(x, y, 3, {1.0: 1e-9})[1.0]
    monkeypatch.setattr(span, "MANY", 10**9)
    other = fit_logistics(x, y, 3, {1.0: 1e-9})[1.0]
    for one, two in zip(found, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-8)
