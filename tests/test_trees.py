"""Arithmetic on parameter dicts, on numbers small enough to do in the head."""

from __future__ import annotations

import pytest
import torch

from metacli import trees
from metacli.types import Params


def two() -> Params:
    return {"a.w": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b.w": torch.tensor(5.0)}


def plain(params: Params) -> dict[str, list]:
    return {name: value.tolist() for name, value in params.items()}


def test_map_params_applies_key_by_key_and_keeps_the_keys_of_the_first() -> None:
    other = {"b.w": torch.tensor(10.0), "a.w": torch.ones(2, 2), "c": torch.zeros(1)}
    found = trees.map_params(torch.add, two(), other)
    assert plain(found) == {"a.w": [[2.0, 3.0], [4.0, 5.0]], "b.w": 15.0}
    with pytest.raises(KeyError):
        trees.map_params(torch.add, other, two())


def test_add_scaled_moves_the_keys_of_the_direction_and_leaves_the_rest() -> None:
    start = two()
    found = trees.add_scaled(start, {"b.w": torch.tensor(2.0)}, -0.5)
    assert plain(found) == {"a.w": [[1.0, 2.0], [3.0, 4.0]], "b.w": 4.0}
    assert found["a.w"] is start["a.w"]
    assert plain(start) == plain(two())
    with pytest.raises(KeyError):
        trees.add_scaled(start, {"new": torch.tensor(1.0)}, 1.0)


def test_subtract_is_left_minus_right() -> None:
    right = {"a.w": torch.ones(2, 2), "b.w": torch.tensor(7.0), "extra": torch.zeros(1)}
    assert plain(trees.subtract(two(), right)) == {"a.w": [[0.0, 1.0], [2.0, 3.0]], "b.w": -2.0}


def test_select_takes_prefixes_and_pick_takes_whole_names() -> None:
    params = {
        name: torch.zeros(1) for name in ("head.weight", "head.bias", "backbone.0", "headless")
    }
    assert list(trees.select(params, ["head."])) == ["head.weight", "head.bias"]
    assert list(trees.select(params, ["head"])) == ["head.weight", "head.bias", "headless"]
    assert list(trees.select(params, [""])) == list(params)
    assert trees.select(params, []) == {}
    assert list(trees.pick(params, ["backbone.0", "head.weight", "absent"])) == [
        "head.weight",
        "backbone.0",
    ]


def test_detach_shares_memory_and_clone_does_not() -> None:
    source = {"w": torch.ones(2, requires_grad=True)}
    loose, copy = trees.detach(source), trees.clone(source)
    assert not loose["w"].requires_grad
    assert not copy["w"].requires_grad
    assert loose["w"].data_ptr() == source["w"].data_ptr()
    assert copy["w"].data_ptr() != source["w"].data_ptr()


def test_unflatten_is_the_inverse_of_flatten() -> None:
    vector = trees.flatten(two())
    assert vector.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert plain(trees.unflatten(vector, two())) == plain(two())
    with pytest.raises((RuntimeError, ValueError)):
        trees.unflatten(torch.zeros(4), two())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_all_finite_sees_one_bad_number_in_any_place(bad: float) -> None:
    assert trees.all_finite(two())
    assert trees.all_finite({})
    for name in two():
        params = two()
        params[name].view(-1)[-1] = bad
        assert not trees.all_finite(params)


def test_all_finite_is_not_fooled_by_infinities_that_cancel() -> None:
    infinity = float("inf")
    assert not trees.all_finite({"w": torch.tensor([infinity, -infinity])})
    assert not trees.all_finite({"v": torch.tensor(infinity), "w": torch.tensor(-infinity)})


def test_without_leaves_a_prefix_out_and_dot_sums_the_products() -> None:
    assert list(trees.without({**two(), "own.lr": torch.zeros(1)}, "own.")) == ["a.w", "b.w"]
    other = {"b.w": torch.tensor(2.0), "a.w": torch.tensor([[1.0, 0.0], [-1.0, 2.0]])}
    assert trees.dot(two(), other).item() == 1 - 3 + 8 + 10
