"""Models adapted to sets whose tasks may be classifications, as one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_export_example import run_alone
from test_own_set_runs import GLYPHS, one_set, recipe

from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.exporting.class_sets import ExportableClassSet
from metacli.engine.exporting.exporters import run_pt2, to_pt2
from metacli.engine.exporting.graph_class_sets import adapted_class_graph
from metacli.engine.load import LoadedModel, load
from metacli.engine.meta_train import meta_train
from metacli.engine.predict import predict
from metacli.engine.results.export import ExportResult
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.class_folder import load_adapted_classes
from metacli.errors import BundleError, DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def adapted_rows(tmp_path: Path, name: str) -> AdaptedClassSet:
    """A classification beside a regression."""
    run = tmp_path / "run"
    meta_train(recipe(tmp_path, name, 'set: which, target: "sick, dose"'), [], out=str(run))
    words = ["data.target=sick,dose"]
    adapt(str(run), one_set(tmp_path / "set.csv"), words, out=str(tmp_path / "mine"))
    return load_adapted_classes(tmp_path / "mine")


def adapted_images(tmp_path: Path, name: str) -> AdaptedClassSet:
    """Two tasks with the same two labels."""
    (tmp_path / "sets.yaml").write_text(GLYPHS.replace("mmaml", name))
    meta_train(str(tmp_path / "sets.yaml"), [], out=str(tmp_path / "run"))
    draw = np.random.default_rng(0)
    for task in ("pen", "brush"):
        for kind in ("cross", "ring"):
            (tmp_path / "set" / task / kind).mkdir(parents=True)
            for one in range(2):
                pixels = draw.integers(0, 255, (28, 28), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / task / kind / f"{one}.png")
    adapt(str(tmp_path / "run"), tmp_path / "set", out=str(tmp_path / "mine"))
    return load_adapted_classes(tmp_path / "mine")


def guarded(model: AdaptedClassSet) -> AdaptedClassSet:
    """The same, whose first task is answered alone."""
    first, *rest = model.tasks
    return replace(model, tasks=(replace(first, joint=False), *rest))


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("mmaml", "coupled")]


@pytest.mark.parametrize("name", ["mtnp", *SLOW])
def test_a_file_answers_every_task_as_predict_does(name: str, tmp_path: Path) -> None:
    model = adapted_rows(tmp_path, name)
    for one in (model, guarded(model)):
        made = ExportableClassSet(adapted_class_graph(one), one, "mine")
        data = to_pt2(made.graph, made.about())
        parity = made.parity(run_pt2(data), None, 0)
        assert parity.max_abs <= parity.tolerance
        assert parity.n > 14
    sick, dose = made.graph.outputs
    assert (sick.task, sick.labels, sick.shape) == ("sick", ("n", "y"), ("batch", 2))
    assert (dose.task, dose.labels, dose.shape) == ("dose", None, ("batch",))


@pytest.mark.slow
def test_the_example_beside_a_file_prints_what_predict_says(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    adapted_rows(tmp_path, "mtnp")
    found = export(str(tmp_path / "mine"), out=str(tmp_path / "mine.onnx"))
    assert isinstance(found, ExportResult)
    assert found.example is not None
    asked = tmp_path / "asked.csv"
    asked.write_text("a,b,age\n1,0,20\n-1,0.5,30\n")
    lines = run_alone(str(found.example), str(asked))
    rows = predict(str(tmp_path / "mine"), str(asked))["rows"]
    for (_, task, said), row in zip(lines, rows, strict=True):
        assert task == row["task"]
        value = row["prediction"]
        assert (
            said == value
            if isinstance(value, str)
            else float(said) == pytest.approx(value, rel=1e-3)
        )
    with pytest.raises(DataError, match="adapted already"):
        export(str(tmp_path / "mine"), with_support=True, out=str(tmp_path / "other.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmaml", "coupled"])
def test_images_go_in_as_pixels(name: str, tmp_path: Path) -> None:
    adapted_images(tmp_path, name)
    found = export(str(tmp_path / "mine"), out=str(tmp_path / "mine.pt2"))
    assert isinstance(found, ExportResult)
    assert found.inputs[0].shape == ("batch", 1, 28, 28)
    assert [one.labels for one in found.outputs] == 2 * [("cross", "ring")]
    assert found.parity.max_abs <= found.parity.tolerance


def test_a_model_in_memory_answers_files_as_predict_does(tmp_path: Path) -> None:
    adapted_rows(tmp_path, "mtnp")
    asked = tmp_path / "asked.csv"
    asked.write_text("a,b,age\n1,0,20\n-1,0.5,30\n")
    kept = load(tmp_path / "mine")
    assert isinstance(kept, LoadedModel)
    assert kept.tasks == ("sick", "dose")
    assert kept.predict(asked)["rows"] == predict(str(tmp_path / "mine"), str(asked))["rows"]
    with pytest.raises(UsageProblem, match="predicts files"):
        kept.predict(np.zeros((1, 3)))
    with pytest.raises(UsageProblem, match="--reject is for one adapted model"):
        predict(str(tmp_path / "mine"), str(asked), reject=0.5)
    with pytest.raises(BundleError, match="has not been adapted to a set yet"):
        load(tmp_path / "run")
