"""What a difference between a file and PyTorch is measured in."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metacli.data.tables.encoding import Target
from metacli.engine.exporting import parity
from metacli.types import Batch


@dataclass
class Regression:
    """As much of a model as the comparison asks for."""

    kind: str = "regression"
    inputs: Any = field(
        default_factory=lambda: SimpleNamespace(unscaled=Target("price", mean=100.0, scale=8.0))
    )
    params: dict[str, torch.Tensor] = field(default_factory=dict)


@pytest.mark.parametrize(("kind", "wanted"), [("regression", 0.25), ("classification", 2.0)])
def test_a_difference_after_adapting_is_in_standard_deviations_or_probability(
    kind: str, wanted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(torch.zeros(3, 2), torch.zeros(3))
    answers = np.array([[1.0], [2.0], [3.0]])
    monkeypatch.setattr(parity, "real_tasks", lambda *_: ([(batch, batch)], "rows"))
    monkeypatch.setattr(parity, "support_reference", lambda *_: answers)
    monkeypatch.setattr(parity, "support_arrays", lambda *_: (answers,))
    opened: Any = SimpleNamespace(model=Regression(kind))
    for off in (2.0, -2.0):  # in either direction
        found = parity.compare_support(opened, lambda given, off=off: (given + off,), 0)
        assert found.max_abs == pytest.approx(wanted)


def test_the_error_of_float32_is_what_it_loses_of_a_sum_in_standard_deviations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.array([[1.0, 1.0], [1.0, 0.0]])

    def answers(model: Regression, x: np.ndarray) -> np.ndarray:
        assert model.params["count"].dtype == torch.int64
        weight = model.params["weight"].numpy()
        return x.astype(weight.dtype) @ weight

    monkeypatch.setattr(parity, "real_pairs", lambda *_: (x, (), "rows"))
    monkeypatch.setattr(parity, "reference", answers)
    params = {"weight": torch.tensor([[1.0], [2.0**-30]]), "count": torch.tensor(7)}
    opened: Any = SimpleNamespace(model=Regression(params=params))
    assert parity.float32_error(opened, 0) == 2.0**-30 / 8  # 1 + 2⁻³⁰ is 1 in float32


@pytest.mark.parametrize(("any_way", "columns"), [(True, 3), (False, 5)])
def test_labels_have_a_column_for_each_class_of_the_model_or_of_the_support(
    *, any_way: bool, columns: int
) -> None:
    learner = SimpleNamespace(any_way=any_way)
    model: Any = SimpleNamespace(kind="classification", way=5, learner=lambda: learner)
    y = torch.tensor([2, 0, 1, 0])
    found = parity.targets_of(model, Batch(torch.zeros(4, 2), y))
    assert found.shape == (4, columns)
    assert found.argmax(1).tolist() == y.tolist()
    assert found.sum(1).tolist() == [1.0] * 4
