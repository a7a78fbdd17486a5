"""One row for every input, in the order given, whatever stands beside it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import CLASSES, adapted_model, saved, tiny_model, tiny_regression, write_classes

import metacli
from metacli.data.images import ImageSpec
from metacli.engine.adapt import adapt
from metacli.engine.events import Progress
from metacli.engine.models.parts import Confidence
from metacli.engine.predict import predict
from metacli.engine.predicting.inputs import images_of
from metacli.engine.predicting.limits import NONE_OF_THESE
from metacli.errors import DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")
NORMS = ("layer", "batch", "group")


@pytest.fixture
def mine() -> str:
    return saved(adapted_model(tiny_model()), Path("mine"))


@pytest.fixture
def pictures() -> list[str]:
    folder = write_classes(Path("pictures"), {"x": 80}, seed=4)
    return sorted(map(str, folder.rglob("*.png")))


def numbers(rows: list[dict]) -> np.ndarray:
    return np.array([list(row["probabilities"].values()) for row in rows])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("learner", ["protonet", "maml"])
def test_an_answer_does_not_depend_on_what_stands_beside_it(
    norm: str, learner: str, pictures: list[str]
) -> None:
    model = tiny_model({"name": learner}, norm=norm)
    saved(adapted_model(model), Path("mine"))
    together = numbers(predict("mine", pictures)["rows"])
    backwards = numbers(predict("mine", pictures[::-1])["rows"])[::-1]
    np.testing.assert_allclose(backwards, together, atol=1e-6)
    for index in (0, 63, 64, 79):  # about the edge of a batch
        alone = numbers(predict("mine", pictures[index])["rows"])
        np.testing.assert_allclose(alone[0], together[index], atol=1e-6)


def test_rows_have_the_keys_of_the_contract_and_probabilities_that_sum_to_one(
    mine: str, pictures: list[str]
) -> None:
    result = predict(mine, pictures[:3])
    assert set(result) >= {"rows"}
    for row, path in zip(result["rows"], pictures, strict=False):
        assert set(row) == {"input", "prediction", "probabilities", "low", "high", "error"}
        assert row["input"] == path
        assert tuple(row["probabilities"]) == CLASSES
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)
        assert (row["low"], row["high"], row["error"]) == (None, None, None)


def test_paths_are_taken_one_or_many_files_or_folders_and_order_is_kept(
    mine: str, pictures: list[str]
) -> None:
    assert [r["input"] for r in predict(mine, "pictures")["rows"]] == pictures
    given = [pictures[5], "pictures/x", pictures[1]]
    found = [row["input"] for row in predict(mine, given)["rows"]]
    assert found == [pictures[5], *pictures, pictures[1]]


def test_unreadable_inputs_are_rows_with_an_error_among_good_ones(
    mine: str, pictures: list[str]
) -> None:
    Path("bad.png").write_bytes(b"no picture")
    given = [pictures[0], "bad.png", "missing.png", pictures[1]]
    with pytest.raises(DataError, match="2 of 4 inputs") as caught:
        predict(mine, given)
    assert caught.value.exit_code == 3
    rows = caught.value.result["rows"]
    assert [row["input"] for row in rows] == given
    assert [row["error"] is None for row in rows] == [True, False, False, True]
    assert set(rows[1]["error"]) == {"code", "message"}
    assert rows[1]["prediction"] is None
    good = predict(mine, [pictures[0], pictures[1]])["rows"]
    assert [rows[0], rows[3]] == good


def test_an_empty_folder_cannot_be_predicted(mine: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(DataError):
        predict(mine, "empty")
    with pytest.raises(DataError, match="nothing to predict"):
        predict(mine, [])


def test_rejection_below_a_probability(mine: str, pictures: list[str]) -> None:
    plain = predict(mine, pictures)["rows"]
    best = sorted(max(row["probabilities"].values()) for row in plain)
    limit = (best[9] + best[10]) / 2
    rows = predict(mine, pictures, reject=limit)["rows"]
    assert sum(row["prediction"] == NONE_OF_THESE for row in rows) == 10
    assert [row["probabilities"] for row in rows] == [row["probabilities"] for row in plain]
    for none in (None, 0, "0"):
        assert predict(mine, pictures, reject=none)["rows"] == plain


@pytest.mark.parametrize("wrong", ["often", "1.5", -0.1, "nan"])
def test_a_limit_that_is_no_probability_is_wrong_usage(mine: str, wrong: object) -> None:
    with pytest.raises(UsageProblem, match="--reject"):
        predict(mine, "x.png", reject=wrong)


def test_the_automatic_limit_keeps_19_of_20_held_out_examples() -> None:
    saved(tiny_model(), Path("source"))
    task = write_classes(Path("task"), {"a": 20, "b": 20})
    adapt("source", str(task), out="mine")
    result = predict("mine", str(task), reject="auto")
    assert result["reject"]["examples"] == 40
    assert np.isfinite(result["reject"]["logit"])
    known = [row["prediction"] != NONE_OF_THESE for row in result["rows"]]
    assert sum(known) >= 38  # examples that were adapted on are nearer than those held out
    white = Path("white.png")
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(white)
    (row,) = predict("mine", str(white), reject="auto")["rows"]
    assert row["prediction"] == NONE_OF_THESE
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    model = adapted_model(tiny_model())  # without held-out examples
    saved(replace(model, confidence=Confidence()), Path("few"))
    with pytest.raises(UsageProblem, match="--reject auto"):
        predict("few", str(task), reject="auto")


def test_models_that_cannot_predict_say_what_to_do() -> None:
    saved(tiny_model(), Path("source"))
    with pytest.raises(DataError, match="not been adapted") as caught:
        predict("source", "x.png")
    assert "metacli adapt source" in caught.value.hint
    saved(tiny_regression(), Path("waves"))
    with pytest.raises(DataError, match="regression"):
        predict("waves", "x.png")


def test_a_moved_model_predicts_the_same(mine: str, pictures: list[str]) -> None:
    before = predict(mine, pictures[:5])["rows"]
    shutil.move("mine", "other place")
    assert predict("other place", pictures[:5])["rows"] == before


def test_progress_counts_the_rows(mine: str, pictures: list[str]) -> None:
    events: list = []
    predict(mine, pictures, report=events.append)
    assert [event.done for event in events if isinstance(event, Progress)] == [64, 80]


def test_a_dash_means_paths_of_images_on_stdin() -> None:
    spec = ImageSpec(1, 16, 16)
    found = images_of([Path("-")], spec, b"a.png\nmy file.png\n\n")
    assert [name for name, _ in found] == ["a.png", "my file.png"]
    assert [name for name, _ in images_of([Path("a.png")], spec, None)] == ["a.png"]


# In memory


def test_arrays_and_images_in_memory_are_answered_as_their_files_are(
    mine: str, pictures: list[str]
) -> None:
    wanted = [one["probabilities"] for one in predict(mine, pictures[:4])["rows"]]
    opened = [Image.open(path) for path in pictures[:4]]
    arrays = np.stack([np.asarray(one) for one in opened])
    for given in (opened, list(arrays), arrays, [pictures[0], *opened[1:]]):
        found = predict(mine, given)["rows"]
        assert [one["probabilities"] for one in found] == wanted
    assert [one.input for one in predict(mine, arrays).rows] == ["[0]", "[1]", "[2]", "[3]"]
    alone = predict(mine, arrays[0]).rows[0].probabilities
    assert alone == pytest.approx(wanted[0], abs=1e-6)


def test_what_is_no_image_in_memory_is_an_error_in_its_row(mine: str) -> None:
    good = np.zeros((16, 16), np.uint8)
    with pytest.raises(DataError, match=r"\[1\] is float64 of shape \[16, 16\]; wanted") as caught:
        predict(mine, [good, good.astype(float), np.zeros(4, np.uint8)])
    rows = caught.value.result["rows"]
    assert [one["error"] is None for one in rows] == [True, False, False]


def test_a_loaded_model_predicts_without_its_folder(mine: str, pictures: list[str]) -> None:
    loaded = metacli.load(Path(mine))
    wanted = predict(mine, pictures[:5])
    shutil.rmtree(mine)
    assert loaded.predict(pictures[:5]) == wanted
    assert loaded.predict(Path(pictures[0])).rows[0].prediction == wanted.rows[0].prediction
    assert loaded.labels == wanted.labels == CLASSES
    with pytest.raises(DataError, match="nothing to predict"):
        loaded.predict([])
