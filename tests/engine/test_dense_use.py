"""What is done with a model of dense tasks after its training: `inspect` and `predict`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.cli.app import main
from metacli.data.scenes.generated import CLASSES, scenes
from metacli.engine.dense.folder import load_dense
from metacli.engine.dense.maps import COLOURS
from metacli.engine.evaluate import evaluate
from metacli.engine.inspect import inspect
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.errors import BundleError, DataError, UsageProblem
from metacli.nn.dense.targets import TASKS

pytestmark = pytest.mark.usefixtures("workplace")
SMALL = (
    *("data.size=16", "data.images=12", "data.val=4", "data.test=6", "data.rows=2"),
    *("backbone.widths=[8,8]", "train.steps=2", "evaluate.every=1"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, which each test copies."""
    folder = tmp_path_factory.mktemp("dense") / "run"
    multitask("scenes-hard", SMALL, out=folder)
    return folder


@pytest.fixture
def run(trained: Path) -> Path:
    shutil.copytree(trained, "run")
    return Path("run")


def test_inspect_knows_a_run_and_a_model_and_what_they_are_good_for(run: Path) -> None:
    found = inspect(run)
    assert (found.what, found.valid, found.problems) == ("run", True, ())
    assert found.details["status"] == "finished"
    assert found.details["model"] == str(run.absolute() / "model")
    assert found.details["seconds"] > 0
    assert found.next == (
        "metacli evaluate run",
        "metacli predict run IMAGES -o MAPS",
        "metacli report run",
        "metacli export run",
    )
    model = inspect(run / "model")
    assert (model.what, model.valid) == ("model of dense tasks", True)
    assert model.details["tasks"] == list(TASKS)
    assert model.details["input"]["shape"] == [3, 16, 16]
    assert model.details["scores"]["val_loss"]["mean"] == found.details["best"]["mean"]
    assert model.details["provenance"]["recipe"] == "scenes-hard"
    alone = inspect(run / "baselines" / "single-task")
    assert (alone.valid, alone.details["sharing"]) == (True, "apart")
    assert alone.details["numbers"] > model.details["numbers"]


def test_inspect_says_how_to_go_on_with_a_run_that_has_not_ended(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    del facts["sha256"]
    (run / "run.json").write_text(json.dumps({**facts, "status": "interrupted", "steps": 1}))
    assert inspect(run).next[0] == "metacli multitask --resume run"


def test_a_run_that_has_not_written_its_model_yet_says_so(run: Path) -> None:
    picture("a.png")
    shutil.rmtree(run / "model")
    for use in (lambda: predict("run", "a.png", out="maps"), lambda: evaluate("run")):
        with pytest.raises(BundleError, match="has not written its model yet"):
            use()


def test_inspect_says_what_is_damaged(run: Path) -> None:
    file = run / "model" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    for path in (run, run / "model"):
        found = inspect(path)
        assert not found.valid
        assert "checksum" in found.problems[0].message


def picture(name: str, size: int = 16) -> np.ndarray:
    """An image of the test split as a file; its pixels, uint8 [3, S, S]."""
    x = scenes(load_dense(Path("run/model")).options, "test").images[0]
    image = Image.fromarray(x.transpose(1, 2, 0))
    Path(name).parent.mkdir(exist_ok=True)
    image.resize((size, size), Image.Resampling.NEAREST).save(name)
    return x


def test_predict_writes_what_the_network_says_of_every_pixel(run: Path) -> None:
    x = picture("new/a.png")
    picture("new/A b.png", size=64)
    Path("new/bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 3 inputs"):
        predict("run", "new", out="maps")
    rows = [json.loads(line) for line in Path("maps/rows.jsonl").read_text().splitlines()]
    good = {Path(row["input"]).name: row for row in rows if not row["error"]}
    assert set(good) == {"a.png", "A b.png"}
    model = load_dense(run / "model")
    logits, depth, normals = model.problem().predict(model.params, torch.from_numpy(x[None]))
    one = good["a.png"]
    kept = np.load(Path("maps") / one["files"]["arrays"])
    assert np.array_equal(kept["segmentation"], logits[0].argmax(0).numpy())
    assert np.allclose(kept["depth"], depth[0].numpy(), atol=1e-5)
    assert np.allclose(kept["normals"], normals[0].numpy(), atol=1e-5)
    assert (one["nearest"], one["farthest"]) == (kept["depth"].min(), kept["depth"].max())
    shares = {name: float((kept["segmentation"] == at).mean()) for at, name in enumerate(CLASSES)}
    assert one["shares"] == shares
    other = np.load(Path("maps") / good["A b.png"]["files"]["arrays"])
    assert other["depth"].shape == (16, 16)  # maps have the size that the network takes


def test_maps_as_images_say_the_same_as_the_numbers(run: Path) -> None:
    picture("a.png")
    found = predict("run", "a.png", out="maps")
    assert found.folder == Path("maps").absolute()
    files = {name: Path("maps") / file for name, file in found.rows[0].files.items()}
    kept = np.load(files["arrays"])
    classes = Image.open(files["segmentation"])
    assert classes.mode == "P"
    assert np.array_equal(np.asarray(classes), kept["segmentation"])
    first = int(kept["segmentation"][0, 0])
    assert classes.convert("RGB").getpixel((0, 0)) == COLOURS[first]
    grey = np.asarray(Image.open(files["depth"])).astype(float) / 255
    low, high = kept["depth"].min(), kept["depth"].max()
    assert np.allclose(high - grey * (high - low), kept["depth"], atol=(high - low) / 255)
    colour = np.asarray(Image.open(files["normals"])).transpose(2, 0, 1) / 127.5 - 1
    assert np.allclose(colour, kept["normals"], atol=1 / 127)


def test_images_in_memory_and_of_one_name_each_get_files_of_their_own(run: Path) -> None:
    x = picture("a.png").transpose(1, 2, 0)
    picture("other/A.png")
    found = predict(run / "model", ["a.png", "other/A.png", x], out="maps")
    names = [row.files["arrays"] for row in found.rows]
    assert names == ["a.npz", "A-2.npz", "2.npz"]
    first, *others = (np.load(Path("maps") / name)["depth"] for name in names)
    assert all(np.allclose(first, other, atol=1e-5) for other in others)


def test_predict_asks_for_a_folder_and_keeps_what_is_not_its_own(run: Path) -> None:
    picture("a.png")
    with pytest.raises(UsageProblem, match="the folder is missing"):
        predict("run", "a.png")
    with pytest.raises(UsageProblem, match="--reject"):
        predict("run", "a.png", reject=0.5, out="maps")
    assert predict("run", "a.png", out="maps", dry_run=True).folder is None
    assert not Path("maps").exists()
    Path("maps").mkdir()
    Path("maps/mine.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(BundleError):
            predict("run", "a.png", out="maps", force=force)
    assert Path("maps/mine.txt").read_text() == "mine"


def test_the_command_line_prints_the_names_of_the_maps(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.png")
    assert main(["predict", "run", "a.png", "-o", "maps"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head == "input,segmentation,depth,normals,arrays,error"
    assert row == "a.png,a.segmentation.png,a.depth.png,a.normals.png,a.npz,"
    assert main(["predict", "run", "a.png", "-o", "maps", "--force", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["result"]
    assert shown["folder"] == str(Path("maps").absolute())
    assert sum(shown["rows"][0]["shares"].values()) == pytest.approx(1)
    assert main(["predict", "run", "a.png"]) == 2
