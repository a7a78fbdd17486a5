"""What a multi-task model is for: predicting rows as they were read in training, and new tasks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.cli.app import main
from metacli.data.multi_task.from_tables import Piece, table_set
from metacli.data.tables.choice import Choice
from metacli.data.tables.reader import parse_table
from metacli.engine.adapt import adapt
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.trunk_source import trunk_source
from metacli.engine.models import folder as models
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.training.multi_task.build import make_rows
from metacli.errors import BundleError, DataError

pytestmark = pytest.mark.usefixtures("one_thread")

BASE = """
version: 1
kind: multitask
seed: 0
data: {source: task-families, groups: 1, tasks: 2, unrelated: 1, size: 48}
backbone: {name: mlp, hidden: [8]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 10, lr: 0.01}
evaluate: {every: 10}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    monkeypatch.setattr(task_baselines, "suited", lambda table: iter(()))
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(BASE)


def own_rows() -> str:
    """A model of three tasks with rows of their own."""
    multitask("tiny.yaml", out="run")
    return "run"


def people(rows: int = 40) -> str:
    lines = ["age,town,rich,kind,hours"]
    for number in range(rows):
        rich, town, kind = "yn"[number % 2], "ab"[number // 3 % 2], "xyz"[number % 3]
        lines.append(f"{20 + number},{town},{rich},{kind},{30 + number / 2}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of a yes or no, three classes and a number, over the same rows."""
    from metacli.data.catalogue import task_families

    table = parse_table(people().encode(), "csv", "people")
    pieces = [Piece(name, table, name) for name in ("rich", "kind", "hours")]
    made = table_set("people", pieces, Choice(), "0", 0, folder=Path())[0]
    monkeypatch.setattr(task_families, "families", lambda *_: made)
    multitask("tiny.yaml", out="mixed")
    return "mixed"


def write_rows(path: str, x: np.ndarray, names: list[str], task: list[str] | None = None) -> None:
    lines = [",".join([*names, *(["task"] if task else [])])]
    for number, row in enumerate(x):
        lines.append(",".join([*map(repr, map(float, row)), *([task[number]] if task else [])]))
    Path(path).write_text("\n".join(lines))


def test_a_row_that_names_its_task_gets_that_tasks_answer():
    own_rows()
    model = models.load(Path("run/model"))
    rows = make_rows(model.recipe)
    x, _ = rows.numbers("val")
    names = [f"x{number}" for number in range(1, 25)]
    tasks = ["alone-1", "group1-2"]
    write_rows("rows.csv", np.stack([x[2][0], x[1][3]]), names, tasks)
    found = predict("run", "rows.csv")["rows"]
    every = predictions(model.problem(), model.params, rows, "val")
    assert [one["task"] for one in found] == tasks
    assert [one["prediction"] for one in found] == pytest.approx(
        [every[2][0], every[1][3]], abs=1e-4
    )
    assert found[0]["input"] == "rows.csv:2"


def test_rows_that_name_no_task_get_every_tasks_answer():
    own_rows()
    write_rows("rows.csv", np.zeros((2, 24)), [f"x{number}" for number in range(1, 25)])
    found = predict("run", ["rows.csv"])["rows"]
    assert [one["task"] for one in found] == ["group1-1", "group1-2", "alone-1"] * 2


def test_an_unknown_task_is_an_error_of_its_row_alone(capsys):
    own_rows()
    names = [f"x{number}" for number in range(1, 25)]
    write_rows("rows.csv", np.zeros((2, 24)), names, ["alone-1", "nobody"])
    with pytest.raises(DataError, match="1 of 2 inputs") as caught:
        predict("run", "rows.csv")
    assert [one["error"] is None for one in caught.value.result["rows"]] == [True, False]
    assert main(["predict", "run", "rows.csv"]) == 3
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert lines[0]["task"] == "alone-1"
    assert "nobody" in lines[1]["error"]


def test_cells_are_read_as_in_training_and_answers_are_in_the_users_words(mixed, capsys):
    Path("new.csv").write_text("hours,town,age\n,a,33\n0,never seen,\n")
    found = predict(mixed, "new.csv")["rows"]
    assert [one["task"] for one in found] == ["rich", "kind", "hours"] * 2
    assert found[0]["prediction"] in ("y", "n")
    assert sum(found[1]["probabilities"].values()) == pytest.approx(1)
    assert set(found[1]["probabilities"]) == {"x", "y", "z"}
    number = found[2]
    assert number["low"] < number["prediction"] < number["high"]
    assert number["probabilities"] is None
    model = models.load(Path(mixed) / "model")
    encoded = np.concatenate([[(33 - ages(model)["mean"]) / ages(model)["scale"]], [1.0, 0.0, 0.0]])
    wanted = model.problem().predict(model.params, torch.tensor(encoded[None]))[2, 0, 0]
    assert number["prediction"] == pytest.approx(float(wanted), rel=1e-5)
    assert main(["predict", mixed, "new.csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(lines) == 6
    assert (lines[2]["probability"], lines[0]["low_95"]) == ("", "")


def ages(model: MultiTaskModel) -> dict:
    return next(one for one in model.heads.read["columns"] if one["name"] == "age")


def test_the_interval_of_a_number_held_most_validation_rows(mixed):
    model = models.load(Path(mixed) / "model")
    rows = make_rows(model.recipe)
    errors = np.abs(
        rows.numbers("val")[1][2] - predictions(model.problem(), model.params, rows, "val")[2]
    )
    assert model.heads.spread["2"] == pytest.approx(np.quantile(errors, 0.95))


def test_what_is_no_table_or_lacks_a_column_is_named(mixed):
    Path("new.csv").write_text("town\na\n")
    with pytest.raises(DataError, match="age"):
        predict(mixed, "new.csv")
    Path("new.txt").write_text("hello")
    with pytest.raises(DataError, match="no table"):
        predict(mixed, "new.txt")


def source_of(model: MultiTaskModel, method: str) -> Source:
    return trunk_source(Opened(model, Path("run/model"), None), model, method)


def test_the_source_of_a_transfer_has_the_features_that_the_tasks_share():
    own_rows()
    model = models.load(Path("run/model"))
    made = source_of(model, "linear-probe")
    problem = made.problem()
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    features = problem.embed(made.params, x)
    assert features.shape == (5, 8)
    heads = model.params["heads.weight"], model.params["heads.bias"]
    out = (features @ heads[0].T + heads[1]).T
    wanted = model.problem().predict(model.params, x)
    scale, mean = model.params["target.scale"], model.params["target.mean"]
    torch.testing.assert_close(out * scale[:, None] + mean[:, None], wanted)
    assert made.kind == "regression"


def test_a_soft_shared_model_starts_at_the_mean_of_its_networks():
    multitask("tiny.yaml", ["sharing.name=soft-l2", "sharing.strength=0.1"], out="run")
    model = models.load(Path("run/model"))
    made = source_of(model, "l2-sp")
    mean = model.params["trunk.0.weight"].mean(0)
    torch.testing.assert_close(made.params["backbone.0.weight"], mean.T)
    torch.testing.assert_close(made.params["head.weight"][0], model.params["heads.weight"].mean(0))


@pytest.fixture
def alphabets(monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of two sets of pictures with two and three classes."""
    from metacli.data.catalogue import task_families
    from metacli.data.multi_task.dataset import MultiTaskData, all_of

    draw = np.random.default_rng(0)
    made = MultiTaskData(
        name="toy",
        tasks=("first", "second"),
        x=tuple(draw.integers(0, 256, (24, 28 * 28), dtype=np.uint8) for _ in range(2)),
        y=(np.arange(24.0) % 2, np.arange(24.0) % 3),
        kinds=all_of("classification", 2),
        metric="accuracy",
        contents="0",
        classes=(("a", "b"), ("c", "d", "e")),
        shape=(1, 28, 28),
        levels=(255.0, -255.0),
    )
    monkeypatch.setattr(task_families, "families", lambda *_: made)
    text = BASE.replace("{name: mlp, hidden: [8]}", "{name: conv4, width: 4}")
    Path("pictures.yaml").write_text(text)
    multitask("pictures.yaml", ["train.steps=2"], out="alphabets")
    return "alphabets"


def pictures(folder: str, classes: str, count: int = 4) -> None:
    from PIL import Image

    draw = np.random.default_rng(1)
    for number, label in enumerate(classes):
        (Path(folder) / label).mkdir(parents=True, exist_ok=True)
        for one in range(count):
            pixels = draw.integers(0, 60, (28, 28)) + 60 * number
            Image.fromarray(pixels.astype(np.uint8)).save(Path(folder) / label / f"{one}.png")


def test_images_are_answered_by_the_task_of_their_folder_or_by_all(alphabets):
    pictures("second", "cd", 1)
    found = predict(alphabets, "second")["rows"]
    assert [one["task"] for one in found] == ["second", "second"]
    assert set(found[0]["probabilities"]) == {"c", "d", "e"}
    pictures("other", "c", 1)
    assert [one["task"] for one in predict(alphabets, "other/c/0.png")["rows"]] == [
        "first",
        "second",
    ]


def test_a_new_task_takes_the_trunk_and_a_head_of_its_own(alphabets):
    pictures("mine", "uvw", 6)
    result = adapt(alphabets, "mine", method="linear-probe", out="adapted")
    assert result["score"]["value"] is not None
    made = models.load(Path("adapted"))
    assert made.classes == ("u", "v", "w")
    trunk = models.load(Path(alphabets) / "model").params["trunk.encoder.0.conv.weight"]
    torch.testing.assert_close(made.params["backbone.0.conv.weight"], trunk)
    rows = predict("adapted", "mine")["rows"]
    assert len(rows) == 18
    assert sum(one["prediction"] == Path(one["input"]).parent.name for one in rows) > 9


@pytest.mark.slow
def test_a_model_with_a_curve_that_tasks_share_is_exported_and_is_no_source():
    text = BASE.replace("{name: mlp, hidden: [8]}", "{name: linear}")
    scheme = "{name: mixed-effects, features: 4, length: [1.0], steps: 3}"
    Path("mixed.yaml").write_text(text.replace("{name: hard}", scheme))
    multitask("mixed.yaml", out="run")
    assert main(["export", "run", "--format", "pt2", "-o", "run.pt2"]) == 0
    with pytest.raises(BundleError, match="mixed-effects sharing has no one network"):
        source_of(models.load(Path("run/model")), "fine-tune")


def test_slopes_of_each_task_without_a_curve_are_a_source_with_their_mean():
    text = BASE.replace("{name: mlp, hidden: [8]}", "{name: linear}")
    Path("slopes.yaml").write_text(
        text.replace("{name: hard}", "{name: mixed-effects, features: 0}")
    )
    multitask("slopes.yaml", out="run")
    model = models.load(Path("run/model"))
    made = source_of(model, "l2-sp")
    wanted = model.params["heads.weight"].mean(0).float()
    torch.testing.assert_close(made.params["head.weight"][0], wanted)
