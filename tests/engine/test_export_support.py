"""A learner exported with its adaptation inside adapts as PyTorch does, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from tiny_models import adapted_model, random_pictures, saved, tiny_model, tiny_source

from metacli.algorithms import ALGORITHMS, names
from metacli.engine.export import export
from metacli.engine.exporting import onnx_ops
from metacli.engine.exporting.graph_support import support_graph, traced_sizes
from metacli.engine.models.model import FewShotModel
from metacli.errors import DataError
from metacli.types import Batch

NOTHING = "no cache"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / NOTHING))
    monkeypatch.chdir(tmp_path)


def with_own_numbers(model: FewShotModel) -> FewShotModel:
    own, state = model.learner().init(model.problem(), model.params)
    return replace(model, params={**model.params, **own}, state=state)


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every classifier of the table with each of its heads and classifiers; two inner steps, so
    that the second starts where the first arrived."""
    for name in names("meta"):
        entry = ALGORITHMS[name]
        hints = get_type_hints(entry.load())
        few = {"inner_steps": 2} if "inner_steps" in hints else {}
        needed = {"classes": 7, **few} if "classes" in hints else few
        which = [
            {field: value}
            for field in ("head", "classifier")
            if field in hints
            for value in get_args(hints[field])
        ]
        for fields in which or [{}]:
            if "classification" in entry.learner(**needed, **fields).kinds:
                yield name, {**needed, **fields}


def can(name: str, fields: dict[str, Any]) -> bool:
    return ALGORITHMS[name].learner(**fields).traceable


CASES = list(cases())


def learner(name: str, **fields: Any) -> FewShotModel:
    algorithm = {"name": name, **fields, **ALGORITHMS[name].preset}
    return with_own_numbers(tiny_model(algorithm, norm="group", shape=(1, 16, 16)))


@pytest.mark.slow
def test_the_graph_of_a_protonet_is_its_adapt_and_predict_for_another_way_and_shot() -> None:
    model = learner("protonet")
    graph = support_graph(model)
    x = torch.from_numpy(random_pictures(11, (1, 16, 16)))
    y = torch.tensor([0, 1, 2, 3, 0, 1, 2])  # four classes, of which the last has one example
    with torch.no_grad():
        found = graph.module(x[:7].float(), torch.eye(4)[y], x[7:].float())
        problem = model.problem()
        phi = model.learner().adapt(problem, model.params, Batch(x[:7], y), model.state)
        expected = torch.softmax(model.learner().predict(problem, phi, x[7:]), 1)
    torch.testing.assert_close(found, expected)
    assert [one.shape[0] for one in graph.inputs] == ["support", "support", "queries"]
    assert graph.inputs[1].shape == ("support", "way")


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 20, 17)])
def test_no_size_of_a_graphs_inputs_is_taken_for_one_of_the_model(shape: tuple[int, ...]) -> None:
    algorithm = {"name": "maml_plus_plus", "head": "proto", "inner_steps": 6}
    model = with_own_numbers(tiny_model(algorithm, norm="group", shape=shape))
    sizes = traced_sizes(model)
    dimensions = {size for one in model.params.values() for size in one.shape}
    assert 6 in dimensions
    assert len({*sizes.values()}) == 3
    assert not {*sizes.values()} & (dimensions | {*shape})


def test_gradient_steps_are_written_out_in_the_graph() -> None:
    """One step of MAML on a linear network is known by heart."""
    model = tiny_source()
    recipe = model.recipe.model_copy(
        update={"backbone": type(model.recipe.backbone)(name="mlp", hidden=[])}
    )
    model = replace(model, recipe=recipe)
    weight, bias = torch.tensor([[0.5]]), torch.tensor([0.25])
    params = {**model.problem().init(0), "head.weight": weight, "head.bias": bias}
    model = replace(model, params=params)
    x, y, query = torch.tensor([[1.0], [3.0], [-2.0]]), torch.ones(3, 1), torch.tensor([[4.0]])
    with torch.no_grad():
        found = support_graph(model).module(x, y, query)
    error = x * weight + bias - y
    lr = model.learner().inner_lr
    stepped = weight - lr * 2 * (error * x).mean(), bias - lr * 2 * error.mean()
    torch.testing.assert_close(found, query * stepped[0] + stepped[1])


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("format", ["pt2", "onnx"])
@pytest.mark.parametrize(("name", "fields"), [case for case in CASES if can(*case)])
def test_a_learner_of_the_table(
    tmp_path: Path, name: str, fields: dict[str, Any], format: str
) -> None:
    model = saved(learner(name, **fields), tmp_path / "m")
    result = export(model, format=format, with_support=True)
    assert result["parity"]["max_abs"] <= 1e-5
    sizes = result["parity"]["supports"]
    assert len(set(sizes)) == 3
    assert result["outputs"][0]["shape"][0] == "queries"


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "task", "running", "layer"])
def test_statistics_of_the_support_are_inside(tmp_path: Path, norm: str) -> None:
    model = with_own_numbers(tiny_model(norm=norm))
    result = export(saved(model, tmp_path / "m"), with_support=True)
    assert result["parity"]["max_abs"] <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_regression_takes_points_and_gives_values(tmp_path: Path, format: str) -> None:
    model = tiny_source()
    result = export(saved(model, tmp_path / "waves"), with_support=True, format=format)
    assert result["parity"]["inputs"] == "tasks of the training data"
    assert result["parity"]["supports"] == [4, 6, 9]
    assert result["outputs"][0] == {
        "name": "values",
        "dtype": "float32",
        "shape": ["queries", 1],
    }


def test_the_cases_are_those_of_the_table() -> None:
    able = {name for name, fields in CASES if can(name, fields)}
    classify = {
        name for name in names("meta") if "classification" in ALGORITHMS[name].learner().kinds
    }
    assert {name for name, _ in CASES} == classify
    # Two take steps of their own optimiser, one keeps the whole support.
    assert able == classify - {"reptile", "pmf", "tables-prior"}
    assert ("maml", {"inner_steps": 2, "head": "shared"}) in CASES
    assert ("pretrain", {"classes": 7, "classifier": "cosine"}) in CASES


@pytest.mark.parametrize(("name", "fields"), [case for case in CASES if not can(*case)])
def test_a_learner_that_cannot_names_those_that_can(
    tmp_path: Path, name: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match=f"{name} cannot be exported") as caught:
        export(saved(learner(name, **fields), tmp_path / "m"), with_support=True)
    hint = str(caught.value.hint)
    assert "protonet" in hint
    assert "maml" in hint
    assert "reptile" not in hint


def test_an_adapted_model_has_its_support_inside_already(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="adapted already"):
        export(saved(adapted_model(tiny_model()), tmp_path / "m"), with_support=True)


CONVOLUTIONS = [
    {"stride": 1, "padding": 1},
    {"stride": 2, "padding": 1},
    {"stride": 2, "padding": 0},
    {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2)},
    {"stride": 1, "padding": 1, "groups": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_the_gradient_of_a_convolution_is_torchs(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = torch.Generator().manual_seed(0)
    groups = options.get("groups", 1)
    x = torch.randn(3, 4, 9, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4 // groups, 3, 3, generator=rng, dtype=torch.float64)
    bias = torch.randn(6, generator=rng, dtype=torch.float64)
    weight.requires_grad_()
    bias.requires_grad_()
    out = torch.nn.functional.conv2d(x, weight, bias, **options)
    grad = torch.randn(out.shape, generator=rng, dtype=torch.float64)
    expected = torch.autograd.grad(out, (x, weight, bias), grad)
    pairs = {key: _pair(options.get(key, 1)) for key in ("stride", "padding", "dilation")}
    found = onnx_ops.convolution_backward(
        grad, x, weight, [6], *pairs.values(), False, [0, 0], groups, [True, True, True]
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


@pytest.mark.parametrize("size", [8, 9])
def test_the_gradient_of_max_pooling_is_torchs(size: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, size, size, generator=rng, dtype=torch.float64, requires_grad=True)
    out, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    grad = torch.randn(out.shape, generator=rng, dtype=torch.float64)
    (expected,) = torch.autograd.grad(out, x, grad)
    found = onnx_ops.max_pool_backward(grad, x, [2, 2], [2, 2], [0, 0], [1, 1], False, indices)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e7])
def test_newtons_iteration_solves_badly_conditioned_systems(condition: float) -> None:
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    A = torch.from_numpy(basis @ np.diag(np.geomspace(1, condition, 12)) @ basis.T)
    B = torch.from_numpy(rng.standard_normal((12, 3)))
    found, *_ = onnx_ops.solve(A, B)
    torch.testing.assert_close(found, torch.linalg.solve(A, B), rtol=1e-8, atol=1e-8)
