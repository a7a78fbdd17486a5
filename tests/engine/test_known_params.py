"""What is kept of networks is of their tensors as they are now."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from metacli.engine.models.hashes import weights_hash
from metacli.engine.storage.known_params import KEPT, once_per_network


@pytest.fixture
def calls() -> list[list[str]]:
    return []


def test_a_network_is_computed_once_and_again_after_a_change(calls: list[list[str]]) -> None:
    @once_per_network
    def total(params: Mapping[str, Tensor]) -> str:
        calls.append(sorted(params))
        return str(sum(float(one.sum()) for one in params.values()))

    params = {"a": torch.ones(3), "b": torch.ones(2)}
    assert [total(params), total(dict(params))] == ["5.0", "5.0"]
    assert len(calls) == 1
    params["a"].add_(1)
    assert total(params) == "8.0"
    params["b"] = torch.zeros(2)
    assert total(params) == "6.0"
    assert total({"a": params["a"]}) == "6.0"
    assert len(calls) == 4


def test_what_is_kept_is_bounded_and_no_tensor_is_kept_alive(calls: list[list[str]]) -> None:
    @once_per_network
    def first(params: Mapping[str, Tensor]) -> str:
        calls.append(list(params))
        return str(float(params["a"][0]))

    for number in range(50):  # the memory of each is that of the one before
        assert first({"a": torch.full((1,), float(number))}) == f"{number}.0"
    assert len(calls) == 50
    several = [{"a": torch.full((1,), float(number))} for number in range(KEPT + 1)]
    assert [first(one) for one in several] == [f"{number}.0" for number in range(KEPT + 1)]
    first(several[-1])
    assert len(calls) == 51 + KEPT
    first(several[0])
    assert len(calls) == 52 + KEPT


def test_tensors_of_inference_mode_are_read_each_time() -> None:
    with torch.inference_mode():
        params = {"a": torch.zeros(2)}
        before = weights_hash(params)
        params["a"].add_(1)
        assert weights_hash(params) != before
