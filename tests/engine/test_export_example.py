"""The example beside an exported file runs where metacli cannot be imported, and says the same."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import (
    CLASSES,
    adapted_model,
    saved,
    tiny_model,
    tiny_regression,
    tiny_source,
    write_classes,
)

from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.predict import predict

PACKAGES = {str(Path(module.__file__ or "").parents[1]) for module in (np, torch, Image)}
# Nothing of the environment but the packages that the example names.
RUNNER = """
import runpy, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "metacli":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without())
sys.path[:0] = {packages!r}
try:
    import metacli
except ModuleNotFoundError:
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    sys.exit("metacli is here")
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "no cache"))
    monkeypatch.chdir(tmp_path)


def run_alone(*words: str) -> list[list[str]]:
    """Lines of the example, by tabs."""
    code = RUNNER.format(packages=sorted(PACKAGES))
    command = [sys.executable, "-I", "-S", "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def pictures(folder: Path) -> list[str]:
    """A grey, a colour and a transparent picture, of other sizes than the model's."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    shapes = {"grey": (20, 30), "colour": (9, 16, 3), "transparent": (16, 16, 4)}
    for name, shape in shapes.items():
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return sorted(str(path) for path in folder.iterdir())


@pytest.mark.slow
def test_images_are_changed_as_the_model_had_them_fitted(tmp_path: Path) -> None:
    made = adapted_model(tiny_model(shape=(3, 16, 16)))
    changed = replace(made.inputs, changes=("grey", "contrast", "invert"))
    model = saved(replace(made, inputs=changed), tmp_path / "mine")
    result = export(model, format="onnx")
    assert result["inputs"][0]["changes"] == ["grey", "contrast", "invert"]
    paths = pictures(tmp_path / "pictures")
    rows = predict(model, paths)["rows"]
    lines = run_alone(str(tmp_path / "mine.onnx.example.py"), *paths)
    assert [line[1] for line in lines] == [row["prediction"] for row in rows]
    best = [max(row["probabilities"].values()) for row in rows]
    assert [float(line[2]) for line in lines] == pytest.approx(best, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", pytest.param("pt2", marks=pytest.mark.slow)])
def test_an_adapted_model(tmp_path: Path, format: str) -> None:
    model = saved(adapted_model(tiny_model()), tmp_path / "mine")
    result = export(model, format=format)
    paths = pictures(tmp_path / "pictures")
    rows = predict(model, paths)["rows"]
    expected = [
        [row["input"], row["prediction"], f"{max(row['probabilities'].values()):.4f}"]
        for row in rows
    ]
    assert run_alone(result["example"], *paths) == expected
    text = Path(result["readme"]).read_text()
    assert ", ".join(CLASSES) in text
    assert Path(result["example"]).name in text


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_a_learner_with_its_support(tmp_path: Path, format: str) -> None:
    source = saved(tiny_model(), tmp_path / "source")
    task = write_classes(tmp_path / "task", {"ant": 3, "bee": 2, "cat": 4, "dog": 2})
    paths = pictures(tmp_path / "pictures")
    adapt(source, str(task), out="mine")
    rows = predict("mine", paths)["rows"]
    expected = [[row["input"], row["prediction"]] for row in rows]
    result = export(source, format=format, with_support=True)
    found = run_alone(result["example"], str(task), *paths)
    assert [row[:2] for row in found] == expected
    shown = [max(row["probabilities"].values()) for row in rows]
    np.testing.assert_allclose([float(row[2]) for row in found], shown, atol=1e-4)


def test_without_its_words_it_says_which_it_takes(tmp_path: Path) -> None:
    whole = saved(tiny_source(), tmp_path / "learner")
    example = export(whole, format="onnx", with_support=True)["example"]
    for words in ((), ("--help",), ("0:0 1:0.8",)):
        command = [sys.executable, example, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        wanted = f"usage: python {Path(example).name} 'X:Y X:Y X:Y' NUMBERS...\n"
        assert done.stderr == wanted


@pytest.mark.slow
def test_numbers(tmp_path: Path) -> None:
    model = tiny_regression()
    result = export(saved(model, tmp_path / "waves"), format="onnx")
    found = run_alone(result["example"], "0.5", "-2.0")
    expected = model.learner().predict(model.problem(), model.params, torch.tensor([[0.5], [-2.0]]))
    assert [row[0] for row in found] == ["0.5", "-2.0"]
    np.testing.assert_allclose([float(row[1]) for row in found], expected[:, 0].numpy(), rtol=1e-4)
    whole = saved(tiny_source(), tmp_path / "learner")
    told = export(whole, format="onnx", with_support=True)
    rows = run_alone(told["example"], "0:0 1:0.8 2:0.9", "0.5")
    assert len(rows) == 1
    assert np.isfinite(float(rows[0][1]))
