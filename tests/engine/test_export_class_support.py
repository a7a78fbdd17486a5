"""The in-context learner of sets of classifications as one file, with the labelled examples of a
set as inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_export_example import run_alone
from test_own_set_runs import GLYPHS, one_set, recipe

from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.exporting.class_support import (
    Shown,
    answered,
    as_inputs,
    exportable_support,
    made_up,
)
from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.exporters import run_pt2, to_pt2
from metacli.engine.exporting.graph_class_support import class_support_graph
from metacli.engine.meta_train import meta_train
from metacli.engine.predict import predict
from metacli.engine.results.export import ExportResult
from metacli.engine.sets.class_folder import load_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.errors import DataError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def of_rows(tmp_path: Path, targets: str = "sick, dose", name: str = "mtnp") -> ClassSetModel:
    run = tmp_path / "run"
    meta_train(recipe(tmp_path, name, f'set: which, target: "{targets}"'), [], out=str(run))
    return load_classes(run / "model")


def of_images(tmp_path: Path, variant: str = "styles") -> ClassSetModel:
    text = GLYPHS.replace("mmaml, inner_steps: 1", "mtnp, width: 8").replace("styles", variant)
    (tmp_path / "sets.yaml").write_text(text)
    meta_train(str(tmp_path / "sets.yaml"), [], out=str(tmp_path / "run"))
    return load_classes(tmp_path / "run" / "model")


@pytest.mark.parametrize(
    ("targets", "inputs", "outputs"),
    [
        ("sick, dose", ["support_y", "support_value"], ["probabilities", "values"]),
        pytest.param("dose, age", ["support_value"], ["values"], marks=pytest.mark.slow),
    ],
)
def test_any_support_of_rows_goes_in_and_every_task_is_answered_as_by_the_model(
    targets: str, inputs: list[str], outputs: list[str], tmp_path: Path
) -> None:
    made = exportable_support(of_rows(tmp_path, targets), "run")
    names = ["support_x", *inputs, "support_task", "ways", "query_x"]
    assert [one.name for one in made.graph.inputs] == names
    assert [one.name for one in made.graph.outputs] == outputs
    parity = made.parity(run_pt2(to_pt2(made.graph, made.about())), None, 0)
    assert parity.max_abs <= parity.tolerance
    assert parity.supports == (3, 14, 60)
    assert parity.n == 9 * (1 + 2 + 4)
    assert parity.inputs == "sets made up of rows of the data"


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["styles", "alphabets"])
def test_images_with_labels_that_are_shared_and_labels_that_are_not(
    variant: str, tmp_path: Path
) -> None:
    model = of_images(tmp_path, variant)
    assert model.facts.shared_labels == (variant == "styles")
    made = exportable_support(model, "run")
    assert made.graph.inputs[0].shape == ("labels", 1, 28, 28)
    parity = made.parity(run_pt2(to_pt2(made.graph, made.about())), None, 0)
    assert parity.max_abs <= parity.tolerance


def test_the_order_of_examples_and_classes_changes_nothing_and_absent_classes_have_none(
    tmp_path: Path,
) -> None:
    model = of_rows(tmp_path)
    module, entrance = class_support_graph(model).module, entrance_of(model.facts.inputs)
    rows = np.random.default_rng(0).normal(size=(20, *model.facts.inputs.shape)).astype(np.float32)
    shown = made_up(model.facts, rows, (3, 12, 3), np.random.default_rng(1))
    shown = shown._replace(number=np.where(shown.number == 2, 1, shown.number))

    def asked(of: Shown) -> list[np.ndarray]:
        given = [torch.from_numpy(one) for one in as_inputs(of, entrance, model.facts)]
        with torch.no_grad():
            return [one.numpy() for one in module(*given)]

    first = asked(shown)
    assert first[0].shape == (3, 9, 3)
    classified = shown.ways > 0
    assert not first[0][..., 2].any()  # nobody shows class 2
    np.testing.assert_allclose(first[0][classified].sum(-1), 1, rtol=1e-5)
    assert not first[0][~classified].any()
    order = np.random.default_rng(2).permutation(12)
    mixed = shown._replace(x=shown.x[order], number=shown.number[order], owner=shown.owner[order])
    for one, other in zip(first, asked(mixed), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    of_class = shown.ways[shown.owner] > 0
    swapped = asked(shown._replace(number=np.where(of_class, 1 - shown.number, shown.number)))
    np.testing.assert_allclose(swapped[0][..., 0], first[0][..., 1], atol=1e-5)
    np.testing.assert_allclose(answered(model, shown)[1], first[1], atol=1e-5)


@pytest.mark.slow
def test_the_example_says_what_a_model_adapted_to_the_same_rows_says(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    of_rows(tmp_path)
    run, mine = str(tmp_path / "run"), str(tmp_path / "mine")
    adapt(run, one_set(tmp_path / "set.csv"), ["data.target=sick,dose"], out=mine)
    found = export(run, with_support=True, out=str(tmp_path / "learner.onnx"))
    assert isinstance(found, ExportResult)
    assert found.usage == "SUPPORT.csv TARGET,TARGET ROWS.csv"
    assert found.readme is not None
    assert "up to 4096 labelled examples of up to 64 tasks" in found.readme.read_text()
    asked = tmp_path / "asked.csv"
    asked.write_text("a,b,age\n1,0,20\n-1,0.5,30\n")
    lines = run_alone(str(found.example), str(tmp_path / "set.csv"), "sick,dose", str(asked))
    rows = predict(mine, str(asked))["rows"]
    assert len(lines) == len(rows) == 4
    for (_, task, said, *sure), row in zip(lines, rows, strict=True):
        assert task == row["task"]
        if task == "dose":
            assert float(said) == pytest.approx(row["prediction"], rel=1e-3)
        else:
            assert said == row["prediction"]
            assert float(sure[0]) == pytest.approx(max(row["probabilities"].values()), abs=1e-3)


@pytest.mark.slow
def test_the_example_reads_folders_of_tasks_and_classes(tmp_path: Path) -> None:
    of_images(tmp_path)
    draw = np.random.default_rng(0)
    for task in ("pen", "brush"):
        for kind in ("cross", "ring"):
            folder = tmp_path / "set" / task / kind
            folder.mkdir(parents=True)
            for one in range(3):
                pixels = draw.integers(0, 255, (28, 28), np.uint8)
                Image.fromarray(pixels).save(folder / f"{one}.png")
    asked = tmp_path / "new" / "pen" / "a.png"
    asked.parent.mkdir(parents=True)
    Image.fromarray(draw.integers(0, 255, (28, 28), np.uint8)).save(asked)
    run, mine = str(tmp_path / "run"), str(tmp_path / "mine")
    adapt(run, tmp_path / "set", out=mine)
    found = export(run, with_support=True, out=str(tmp_path / "learner.pt2"))
    assert isinstance(found, ExportResult)
    lines = run_alone(str(found.example), str(tmp_path / "set"), str(asked))
    said = {task: (label, float(sure)) for _, task, label, sure in lines}
    (row,) = predict(mine, str(tmp_path / "new"))["rows"]
    assert set(said) == {"pen", "brush"}
    assert said["pen"][0] == row["prediction"]
    assert said["pen"][1] == pytest.approx(max(row["probabilities"].values()), abs=1e-3)


def test_only_an_in_context_learner_takes_its_support(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="mreptile cannot be exported with its support: mtnp can"):
        exportable_support(of_rows(tmp_path, name="mreptile"), "run")
    with pytest.raises(DataError, match="not been adapted to a set yet") as caught:
        export(str(tmp_path / "run"))
    assert "--with-support" in str(caught.value.hint)
