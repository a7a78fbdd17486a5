"""An exported file says what the model says, or there is none."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import (
    CLASSES,
    adapted_model,
    random_pictures,
    saved,
    tiny_model,
    tiny_regression,
    write_classes,
)

import metacli
from metacli.data.few_shot.pools import make_pool
from metacli.engine import extras
from metacli.engine.events import ignore
from metacli.engine.export import export
from metacli.engine.exporting import exportable, graph, parity, real_inputs
from metacli.engine.exporting import exporters as module
from metacli.engine.exporting.exporters import META, Format, run_pt2, to_pt2
from metacli.engine.exporting.parity import batches, float32_error
from metacli.engine.models.opening import open_model
from metacli.errors import (
    BundleError,
    CheckFailed,
    DataError,
    EnvironmentProblem,
    RunFailed,
    UsageProblem,
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "no cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def left() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


@pytest.fixture
def mine(tmp_path: Path) -> str:
    return saved(adapted_model(tiny_model()), tmp_path / "mine")


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter of no time, for what happens around it."""
    made: list[graph.Graph] = []

    def make(one: graph.Graph, meta: Any) -> bytes:
        made.append(one)
        return b"a file"

    @torch.no_grad()
    def run(*arrays: np.ndarray) -> graph.Arrays:
        return (made[-1].module(*map(torch.from_numpy, arrays)).numpy(),)

    monkeypatch.setitem(module.FORMATS, "pt2", Format(make, lambda data: run))


def test_a_pt2_loaded_by_torch_alone_gives_the_probabilities_of_predict(mine: str) -> None:
    result = export(mine)
    program = torch.export.load(result["file"]).module()
    x = random_pictures(9, (1, 16, 16), seed=1)
    expected = graph.reference(open_model(mine, torch.device("cpu"), print).model, x)
    for size in (1, 5, 9):  # sizes that were not compared by the command itself
        found = program(torch.from_numpy(x[:size].astype(np.float32))).detach().numpy()
        np.testing.assert_allclose(found, expected[:size], atol=1e-6)
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-6)
    assert result["file"] == str(Path("mine.pt2").absolute())
    assert result["bytes"] == Path("mine.pt2").stat().st_size
    assert result["parity"]["max_abs"] <= 1e-5
    assert result["outputs"][0]["labels"] == list(CLASSES)


def test_a_pt2_holds_labels_and_its_input_but_no_image_and_no_path(mine: str) -> None:
    export(mine)
    extra = {META: ""}
    program = torch.export.load("mine.pt2", extra_files=extra)
    about = json.loads(extra[META])
    assert about["labels"] == list(CLASSES)
    assert about["inputs"][0]["shape"] == ["batch", 1, 16, 16]
    (example,), _ = program.example_inputs
    assert example.abs().max() == 0
    here = str(Path(metacli.__file__).parents[1]).encode()
    with zipfile.ZipFile("mine.pt2") as archive:
        assert not [name for name in archive.namelist() if here in archive.read(name)]


def test_an_onnx_file_runs_in_onnxruntime_with_its_labels(
    mine: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    result = export(mine, format="onnx", out="m.onnx")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    x = random_pictures(5, (1, 16, 16), seed=1)
    (found,) = session.run(["probabilities"], {"pixels": x.astype(np.float32)})
    model = open_model(mine, torch.device("cpu"), print).model
    np.testing.assert_allclose(found, graph.reference(model, x), atol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == list(CLASSES)
    assert session.get_inputs()[0].shape[1:] == [1, 16, 16]
    assert result["parity"]["checked"]
    assert b"stack_trace" not in Path("m.onnx").read_bytes()
    assert capfd.readouterr() == ("", "")


VARIANTS = [
    ({"name": "maml", "head": "linear"}, {"norm": "batch", "downsample": "stride"}),
    ({"name": "maml", "head": "proto"}, {"norm": "group", "features": "mean"}),
    ({"name": "maml", "head": "shared"}, {"norm": "none"}),
    ({"name": "protonet", "distance": "cosine"}, {"norm": "running"}),
]


@pytest.mark.parametrize(("algorithm", "backbone"), VARIANTS)
@pytest.mark.parametrize("format", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
def test_every_head_and_norm_can_be_exported(
    tmp_path: Path, algorithm: dict[str, Any], backbone: dict[str, Any], format: str
) -> None:
    model = adapted_model(tiny_model(algorithm, **backbone))
    result = export(saved(model, tmp_path / "m"), format=format)
    assert result["parity"]["max_abs"] <= 1e-5
    assert result["outputs"][0]["shape"] == ["batch", 3]


@pytest.mark.slow
@pytest.mark.parametrize("downsample", ["pool", "stride"])
@pytest.mark.parametrize("norm", ["batch", "group", "layer", "none"])
@pytest.mark.parametrize("head", ["linear", "proto", "shared"])
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_the_whole_matrix(
    tmp_path: Path, head: str, norm: str, downsample: str, format: str
) -> None:
    network = tiny_model({"name": "maml", "head": head}, norm=norm, downsample=downsample)
    result = export(saved(adapted_model(network), tmp_path / "m"), format=format)
    assert result["parity"]["max_abs"] <= 1e-5


def test_a_colour_model_takes_three_channels(tmp_path: Path) -> None:
    model = adapted_model(tiny_model(shape=(3, 16, 20)))
    result = export(saved(model, tmp_path / "m"))
    assert result["inputs"][0]["shape"] == ["batch", 3, 16, 20]
    assert "RGB" in result["inputs"][0]["values"]


def test_a_regression_is_exported_as_values(tmp_path: Path) -> None:
    model = tiny_regression()
    result = export(saved(model, tmp_path / "waves"))
    assert result["outputs"] == [{"name": "values", "dtype": "float32", "shape": ["batch", 1]}]
    assert result["parity"]["inputs"] == "random numbers"
    x = torch.tensor([[0.5], [-2.0], [4.0]])
    found = torch.export.load("waves.pt2").module()(x)
    wanted = torch.from_numpy(graph.reference(model, x.numpy()))  # unscaled in float64
    torch.testing.assert_close(found, wanted, check_dtype=False)


@pytest.mark.usefixtures("instant")
def test_parity_is_measured_on_the_images_of_the_task(tmp_path: Path) -> None:
    write_classes(tmp_path / "task", {"ant": 3, "bee": 4})
    (tmp_path / "task" / "ant" / "broken.png").write_bytes(b"no picture")
    model = saved(adapted_model(tiny_model(), task="../task"), tmp_path / "mine")
    parity = export(model)["parity"]
    assert (parity["inputs"], parity["n"]) == ("the task's images", 7)


@pytest.mark.usefixtures("instant")
def test_without_the_task_parity_is_measured_on_random_pixels_of_the_seed(tmp_path: Path) -> None:
    model = saved(adapted_model(tiny_model(), task="../gone"), tmp_path / "mine")
    found = export(model, seed=3)["parity"]
    assert (found["inputs"], found["n"]) == ("random pixels", real_inputs.MOST)


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize(
    ("size", "inputs"), [(16, "images of the training data"), (28, "random pixels")]
)
def test_the_training_data_stand_in_where_they_have_the_size_of_the_input(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, inputs: str
) -> None:
    pool = make_pool(
        name="glyphs",
        split="train",
        scheme=None,
        classes=["a", "b"],
        rows=[np.arange(3), np.arange(3, 6)],
        store=random_pictures(6, (1, size, size)),
        contents="0",
    )
    monkeypatch.setattr(real_inputs, "load_pool", lambda *_: pool)
    assert export(mine, dry_run=True)["parity"]["inputs"] == "random pixels"  # nothing in the cache
    (tmp_path / "no cache" / "glyphs").mkdir(parents=True)
    assert export(mine, dry_run=True)["parity"]["inputs"] == inputs


@pytest.mark.parametrize("total", [1, 2, 5, 12, 64])
def test_batches_of_several_sizes_and_all_are_compared(total: int) -> None:
    spans = batches(total)
    assert [end - start for start, end in spans] == [min(n, total) for n in (1, 2, 7)] + [total]
    assert all(0 <= start < end <= total for start, end in spans)


@pytest.mark.parametrize(
    "found",
    [[0.5, 0.2, 0.3], [0.7, 0.2, 0.1], [0.5, 0.2, float("nan")], [0.5, 0.2, float("-inf")]],
)
def test_a_difference_counts_in_either_direction(found: list[float]) -> None:
    expected = (np.array([0.6, 0.2, 0.2]),)
    largest = parity.difference((np.array(found, np.float32),), expected)
    assert not largest <= 0.09
    assert parity.difference(expected, expected) == 0.0


def test_the_largest_difference_is_over_every_output() -> None:
    zero = np.zeros(3)
    assert parity.difference((zero, zero - 2.0), (zero, zero)) == 2.0
    assert parity.difference((zero - 3.0, zero + 2.0), (zero, zero)) == 3.0
    broken = np.array([0.0, np.nan, 0.0])
    for found in ((zero, broken), (broken, zero + 1.0)):  # wherever it stands
        assert np.isnan(parity.difference(found, (zero, zero)))


@pytest.mark.parametrize("error", [1e-3, -1e-3, float("nan")])
def test_a_file_that_disagrees_is_not_written(
    mine: str, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    real = module.FORMATS["pt2"]

    def load(data: bytes) -> graph.Run:
        run = real.load(data)
        return lambda x: (run(x)[0] + (error if len(x) == 7 else 0),)  # one batch size only

    monkeypatch.setitem(module.FORMATS, "pt2", Format(real.make, load))
    with pytest.raises(CheckFailed, match="differs from PyTorch") as caught:
        export(mine)
    assert caught.value.exit_code == 5
    assert caught.value.result is not None
    assert caught.value.result["file"] is None
    assert left() == []


def test_a_file_of_other_weights_disagrees(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = adapted_model(tiny_model({"name": "maml"}))
    make = lambda _, meta: to_pt2(graph.adapted_graph(other), meta)  # noqa: E731
    monkeypatch.setitem(module.FORMATS, "pt2", Format(make, run_pt2))
    with pytest.raises(CheckFailed):
        export(mine)


@pytest.mark.slow
def test_the_tolerance_that_was_asked_for_is_the_one_that_counts(
    mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted = lambda data: lambda x: (run_pt2(data)(x)[0] + np.float32(1e-3),)  # noqa: E731
    monkeypatch.setitem(module.FORMATS, "pt2", Format(to_pt2, shifted))
    with pytest.raises(CheckFailed):
        export(mine, tolerance=9e-4)
    assert export(mine, tolerance=2e-3)["parity"]["max_abs"] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.slow
def test_a_file_may_be_as_far_from_pytorch_as_float32_is_from_float64(
    mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = float32_error(open_model(mine, torch.device("cpu"), ignore), 0)
    assert 0 < real < 1e-5
    shifted = lambda data: lambda x: (run_pt2(data)(x)[0] + np.float32(1e-3),)  # noqa: E731
    monkeypatch.setitem(module.FORMATS, "pt2", Format(to_pt2, shifted))
    with pytest.raises(CheckFailed):
        export(mine)
    monkeypatch.setattr(exportable, "float32_error", lambda opened, seed: 6e-4)
    assert export(mine)["parity"]["tolerance"] == 1.2e-3
    with pytest.raises(CheckFailed):
        export(mine, tolerance=1e-5, out="other.pt2")


def test_a_file_for_numbers_may_be_as_far_from_pytorch_as_float32_is_from_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted = lambda data: lambda x: (run_pt2(data)(x)[0] + np.float32(1e-3),)  # noqa: E731
    monkeypatch.setitem(module.FORMATS, "pt2", Format(to_pt2, shifted))
    with pytest.raises(CheckFailed, match="differs from PyTorch"):
        export(saved(tiny_regression(), tmp_path / "m"), format="pt2")


def test_an_unadapted_model_is_refused_with_the_command_that_adapts_it(tmp_path: Path) -> None:
    model = saved(tiny_model(), tmp_path / "m")
    with pytest.raises(DataError, match="not been adapted") as caught:
        export(model)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"metacli adapt {model}")


@pytest.mark.usefixtures("instant")
def test_an_existing_file_is_replaced_only_by_force(mine: str) -> None:
    Path("mine.pt2").write_text("precious")
    with pytest.raises(BundleError) as caught:
        export(mine)
    assert (caught.value.exit_code, caught.value.hint) == (3, "--force replaces it")
    assert Path("mine.pt2").read_text() == "precious"
    export(mine, force=True)
    assert Path("mine.pt2").read_bytes() == b"a file"
    assert left() == ["mine.pt2", "mine.pt2.README.md", "mine.pt2.example.py"]
    Path("mine.pt2").unlink()
    with pytest.raises(BundleError, match="already exists"):
        export(mine)  # an example that somebody may have changed is not overwritten either


@pytest.mark.usefixtures("instant")
def test_a_dry_run_compares_and_writes_nothing(mine: str) -> None:
    result = export(mine, dry_run=True)
    assert result["dry_run"]
    assert result["parity"]["checked"]
    assert left() == []


@pytest.mark.usefixtures("instant")
def test_a_full_disk_leaves_no_part_of_the_file(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def full(handle: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunFailed, match="no space left"):
            export(mine)
    assert left() == []


def test_a_missing_extra_is_reported_with_its_install_line(
    mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(EnvironmentProblem, match="onnxscript") as caught:
        export(mine, format="onnx")
    assert caught.value.hint == "pip install 'metacli[onnx]'"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "tflite"}, "unknown format"),
        ({"tolerance": -1.0}, "0 or more"),
        ({"tolerance": float("nan")}, "0 or more"),
        ({"out": "m.onnx", "format": "pt2"}, r"-o ends in \.onnx"),
    ],
)
def test_words_that_do_not_fit_together_are_wrong_usage(
    mine: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageProblem, match=words):
        export(mine, **options)


@pytest.mark.usefixtures("instant")
def test_a_model_in_a_folder_named_by_the_time_is_named_by_its_task(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "adapted" / "flowers" / "20260102T030405Z"
    result = export(saved(adapted_model(tiny_model()), folder))
    assert Path(result["file"]).name == "flowers.pt2"


def test_the_description_gives_the_range_of_pixels_and_one_label_per_output(mine: str) -> None:
    model = open_model(mine, torch.device("cpu"), print).model
    (entrance,), (leave,) = (one := graph.adapted_graph(model)).inputs, one.outputs
    assert re.fullmatch(r"0 to 255, grey, .* 16x16", entrance.values)
    assert leave.shape == ("batch", len(leave.labels))
