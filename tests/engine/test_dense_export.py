"""A model of dense tasks as one file: pixels in, one output for each task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_export_example import run_alone

from metacli.data.scenes.generated import CLASSES, scenes
from metacli.engine.dense.build import build_dense
from metacli.engine.dense.folder import DenseModel, load_dense, save_dense
from metacli.engine.dense.predicting import maps_of
from metacli.engine.export import export
from metacli.engine.exporting.dense import Pixels, exportable_dense, reference
from metacli.engine.exporting.graph import Arrays
from metacli.errors import BundleError, DataError
from metacli.nn.dense.targets import TASKS
from metacli.schema.load import load

pytestmark = pytest.mark.usefixtures("workplace")
SMALL = ("data.size=16", "data.val=9", "backbone.widths=[8,8]")


def saved(sharing: str = "hard") -> Path:
    """An untrained model in the current folder."""
    recipe = build_dense(load("scenes-hard", [*SMALL, f"sharing.name={sharing}"])).recipe
    model = DenseModel(recipe, {}, sharing, provenance={"recipe": "scenes-hard"})
    statistics = {"target.mean": torch.tensor(4.0), "target.scale": torch.tensor(1.5)}
    params = {**model.problem().init(0), **statistics}
    save_dense(replace(model, params=params), Path("model"))
    return Path("model")


def images(count: int = 3) -> np.ndarray:
    return scenes(load_dense(Path("model")).options, "test").images[:count]


@pytest.mark.parametrize("sharing", ["hard", "mtan", "cross-stitch", "apart"])
def test_the_graph_says_what_predict_says(sharing: str) -> None:
    model = load_dense(saved(sharing))
    x = images()
    chances, depth, normals = Pixels(model)(torch.from_numpy(x.astype(np.float32)))
    assert chances.shape == (3, len(CLASSES), 16, 16)
    assert torch.allclose(chances.sum(1), torch.ones(3, 16, 16))
    for at, found in enumerate(maps_of(model, x)):
        assert np.array_equal(chances[at].argmax(0).numpy(), found.labels)
        assert np.allclose(depth[at].numpy(), found.depth, atol=1e-5)
        assert np.allclose(normals[at].numpy(), found.normals, atol=1e-5)


def test_parity_is_measured_in_probability_deviations_of_depth_and_unit_vectors() -> None:
    made = exportable_dense(saved(), with_support=False)

    def run(x: np.ndarray) -> Arrays:
        chances, depth, normals = reference(made.model, made.model.params, x)
        return chances, depth + np.float32(0.15), normals

    found = made.parity(run, 0.2, 0)
    assert found.max_abs == pytest.approx(0.15 / 1.5, rel=1e-4)
    assert (found.tolerance, found.n) == (0.2, 9)
    same = made.parity(lambda x: reference(made.model, made.model.params, x), None, 0)
    assert same.max_abs <= 1e-5


def test_what_cannot_be_exported_says_so_before_anything_is_written() -> None:
    folder = saved()
    with pytest.raises(DataError, match="does not adapt"):
        export(folder, with_support=True)
    Path("there.pt2").write_text("mine")
    with pytest.raises(BundleError, match="already exists"):
        export(folder, out="there.pt2")
    assert [path.name for path in Path().glob("*.pt2*")] == ["there.pt2"]


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_the_file_and_its_example_say_what_predict_says(format: str) -> None:
    folder = saved()
    result = export(folder, out=f"dense.{format}")
    assert result.parity.max_abs <= result.parity.tolerance
    assert tuple(one.name for one in result.outputs) == TASKS
    assert result.inputs[0].shape == ("batch", 3, 16, 16)
    for at, x in enumerate(images(2)):
        Image.fromarray(x.transpose(1, 2, 0)).save(f"{at}.png")
    head, *rows = run_alone(str(result.example), "0.png", "1.png")
    assert head == ["image", *CLASSES, "nearest", "farthest", "arrays"]
    wanted = maps_of(load_dense(folder), images(2))
    for at, (row, one) in enumerate(zip(rows, wanted, strict=True)):
        kept = np.load(f"{at}.png.npz")
        assert row[0] == f"{at}.png"
        assert np.array_equal(kept["segmentation"], one.labels)
        assert np.allclose(kept["depth"], one.depth, atol=1e-4)
        assert np.allclose(kept["normals"], one.normals, atol=1e-4)
        assert float(row[-3]) == pytest.approx(one.depth.min(), rel=1e-4)
