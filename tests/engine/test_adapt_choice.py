"""`adapt DATA` without a source, and the encoders that are installed as sources by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.algorithms.transfer import linear_probe
from metacli.engine.adapt import adapt
from metacli.engine.adapting import held_out, scoring
from metacli.engine.adapting.choosing import options
from metacli.engine.adapting.choosing.options import options_for
from metacli.engine.adapting.class_names import in_words, says_something
from metacli.engine.adapting.held_out import OfFolds
from metacli.engine.adapting.request import Request
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Notice, Progress, ignore
from metacli.engine.export import export
from metacli.engine.exporting.real_inputs import texts_of_task
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.predict import predict
from metacli.errors import UsageProblem
from metacli.nn.solvers import logistic

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def pattern(kind: str, draw: np.random.Generator) -> Image.Image:
    """A wide image with a texture that its mean colour does not give away."""
    height, width = 70, 110
    y, x = np.mgrid[:height, :width]
    waves = {"rows": y / 5.0, "columns": x / 5.0, "rings": np.hypot(y - 35, x - 55) / 5.0}
    grey = 128 + 90 * np.sin(waves[kind] + draw.uniform(0, 6))
    pixels = grey[:, :, None] + draw.normal(0, 25, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def folder(path: Path, shot: int, seed: int) -> Path:
    draw = np.random.default_rng(seed)
    for kind in ("columns", "rings", "rows"):
        (path / kind).mkdir(parents=True)
        for number in range(shot):
            pattern(kind, draw).save(path / kind / f"{number}.png")
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("own") / "mine", 4, 0)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("own") / "others", 3, 1)


def test_heads_on_features_are_fitted_on_one_thread(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    fit = logistic.fit_logistics

    def spy(*given: object) -> object:
        features = given[0]
        assert isinstance(features, torch.Tensor)
        seen.append((torch.get_num_threads(), features.shape[1]))
        return fit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(logistic, "fit_logistics", spy)
    monkeypatch.setattr(linear_probe, "fit_logistics", spy)
    torch.set_num_threads(2)
    adapt("photos", photographs, out=tmp_path / "m", method="linear-probe", device="cpu")
    assert {threads for threads, _ in seen} == {1}
    assert len({width for _, width in seen}) == 2  # features, and the pixels of the simple model


def test_a_folder_of_images_is_adapted_from_the_best_source_on_this_machine(
    photographs: Path, others: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    found = adapt(photographs, out=tmp_path / "m", report=events.append)
    assert found.choice is not None
    assert found.choice.source == "photos"
    assert str(found.source) == "photos"
    assert found.method == found.choice.method
    assert None not in found.options.values()  # every setting is chosen
    names = {(one.source, one.method) for one in found.choice.tried}
    assert names == {
        ("pixels", "ridge"),
        ("photos", "simpleshot"),
        ("photos", "ridge"),
        ("photos", "logistic"),
    }
    values = [one.value or 0.0 for one in found.choice.tried]
    assert values == sorted(values, reverse=True)
    assert found.score.value is not None
    assert found.score.value > 0.8
    assert "adapt.guessing" not in [one.code for one in events if isinstance(one, Notice)]
    told = [one.what for one in events if isinstance(one, Progress)]
    assert {"computing features", "trying photos + ridge"} <= set(told)
    assert evaluate(str(tmp_path / "m"), str(others))["mean"] > 0.8
    rows = predict(str(tmp_path / "m"), str(others))["rows"]
    assert len(rows) == 9
    assert json.dumps(dict(found))


def test_features_are_computed_once_for_each_image(photographs: Path, tmp_path: Path) -> None:
    def computed(out: Path) -> list[int]:
        events: list[Event] = []
        adapt("photos", photographs, out=out, report=events.append)
        return [
            one.done
            for one in events
            if isinstance(one, Progress) and one.what == "computing features"
        ]

    computed(tmp_path / "a")
    assert computed(tmp_path / "b") == [12]  # all of them are known


@pytest.mark.slow
def test_the_same_choice_gives_the_same_model(photographs: Path, tmp_path: Path) -> None:
    first = adapt(None, photographs, out=tmp_path / "a")
    again = adapt(None, photographs, out=tmp_path / "b")
    assert first.score == again.score
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_what_the_named_source_adapts_to_answers_as_the_whole_network_does(
    photographs: Path, others: Path, tmp_path: Path
) -> None:
    """The head was fitted to features from the cache, the model computes its own."""
    adapt("photos", photographs, ["penalty=0.1", "scale=6.0"], out=tmp_path / "m")
    rows = predict(str(tmp_path / "m"), str(others))["rows"]
    first = predict(str(tmp_path / "m"), rows[4]["input"])["rows"][0]
    for label, value in first["probabilities"].items():
        assert value == pytest.approx(rows[4]["probabilities"][label], abs=1e-5)


def test_one_example_of_each_class_takes_the_default_and_says_that_nothing_was_measured(
    tmp_path: Path,
) -> None:
    found = adapt(None, folder(tmp_path / "few", 1, 2), out=tmp_path / "m")
    assert found.choice is not None
    assert (found.choice.source, found.choice.method) == ("photos", "ridge")
    assert found.score.value is None
    assert {one.value for one in found.choice.tried} == {None}


def test_a_score_that_guessing_would_reach_is_reported(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for label in "abc":
        (tmp_path / "noise" / label).mkdir(parents=True)
        for number in range(3):
            pattern("rows", draw).save(tmp_path / "noise" / label / f"{number}.png")
    events: list[Event] = []
    found = adapt(None, tmp_path / "noise", out=tmp_path / "m", report=events.append)
    assert found.score.low is not None
    assert found.score.low < 1 / 3
    (notice,) = [one for one in events if isinstance(one, Notice) and one.code == "adapt.guessing"]
    assert notice.message.startswith("no better than guessing")


def test_what_there_is_no_time_for_is_named(photographs: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    found = adapt(None, photographs, out=tmp_path / "m", budget=1e-9, report=events.append)
    assert found.choice is not None
    assert [one.method for one in found.choice.tried] == ["ridge"]
    assert len(found.choice.left_out) == 3
    codes = [one.code for one in events if isinstance(one, Notice)]
    assert codes.count("adapt.left_out") == 3


@pytest.mark.parametrize(
    "asked", [{"overrides": ["c=1"]}, {"method": "ridge"}, {"add": True}, {"budget": 0.0}]
)
def test_what_only_a_named_source_has_is_refused(
    asked: dict[str, object], photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageProblem):
        adapt(None, photographs, out=tmp_path / "m", **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "m").exists()


def test_a_model_without_a_task_is_named(photographs: Path, tmp_path: Path) -> None:
    adapt("photos", photographs, ["penalty=0.1", "scale=6.0"], out=tmp_path / "m")
    with pytest.raises(UsageProblem, match="is a model") as caught:
        adapt(None, tmp_path / "m")
    assert "my_classes" in str(caught.value.hint)


def test_more_examples_are_added_to_a_chosen_model(
    photographs: Path, others: Path, tmp_path: Path
) -> None:
    adapt("photos", photographs, ["penalty=0.1", "scale=6.0"], out=tmp_path / "m")
    found = adapt(str(tmp_path / "m"), others, add=True, out=tmp_path / "n")
    assert found.added == 9
    assert found.task.support == 21


INTENTS = {
    "book_flight": ("get me a plane ticket to rome", "i need to fly to oslo", "flights to paris"),
    "play_music": ("put on some jazz", "i want to hear a song", "start my playlist"),
    "set_alarm": ("wake me at seven", "alarm for six tomorrow", "get me up early"),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "intents.csv"
    rows = [f'"{text}",{label}' for label, texts in INTENTS.items() for text in texts]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return path


def test_texts_are_adapted_from_meaning_spelling_and_the_names_of_their_classes(
    table: Path, tmp_path: Path
) -> None:
    found = adapt(None, table, out=tmp_path / "m")
    assert found.choice is not None
    names = {one.source for one in found.choice.tried}
    assert names == {
        "ngrams",
        "texts",
        "texts+ngrams",
        "texts and class names",
        "texts+ngrams and class names",
        "intents",
        "intents+ngrams",
        "intents+ngrams and class names",
    }
    asked = tmp_path / "asked.txt"
    asked.write_text("fly me to berlin\nplay a tune\n", encoding="utf-8")
    rows = predict(str(tmp_path / "m"), str(asked))["rows"]
    assert [row["prediction"] for row in rows] == ["book_flight", "play_music"]


def test_names_of_classes_are_read_as_words_where_all_of_them_say_something() -> None:
    assert says_something(("book_flight", "playMusic"))
    assert in_words("bookFlight-now") == "book flight now"
    assert not says_something(("0", "1"))
    assert not says_something(("book flight", "book_flight"))


@pytest.mark.slow
def test_an_export_carries_the_encoder_and_its_example_runs_without_metacli(
    photographs: Path, others: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is missing")
    adapt(None, photographs, out=tmp_path / "m")
    found = export(str(tmp_path / "m"), format="onnx", out=str(tmp_path / "m.onnx"))
    assert found["parity"]["max_abs"] <= 1e-4
    assert found["parity"]["inputs"] == "the task's images"
    script = tmp_path / "m.onnx.example.py"
    assert "metacli" not in [
        line.split()[1]
        for line in script.read_text().splitlines()
        if line.startswith(("import", "from"))
    ]
    paths = sorted(map(str, others.rglob("*.png")))
    done = subprocess.run(
        [sys.executable, "-I", str(script), *paths],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said = [line.split("\t")[1] for line in done.stdout.splitlines()]
    rows = predict(str(tmp_path / "m"), paths)["rows"]
    assert said == [row["prediction"] for row in rows]


def requests(path: Path, count: int) -> Path:
    """Texts of two kinds."""
    halves = {
        "travel": ["book a flight to {}", "is there a train to {}", "a hotel in {} please"],
        "food": ["order soup for {}", "is {} still open for dinner", "a recipe like that of {}"],
    }
    names = ["rome", "oslo", "lima", "cairo", "delhi", "quito"]
    rows = [
        (text[n % 3].format(names[n % 6]), label)
        for label, text in halves.items()
        for n in range(count)
    ]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


def test_more_budget_than_usual_brings_sources_that_are_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "reads_sentences", lambda: False)
    task = requests(tmp_path / "t.csv", 3)
    usual, more = (
        {str(one) for one in options_for(Request(task, budget=budget))} for budget in (30.0, 31.0)
    )
    assert more - usual == {"texts+words + setfit", "texts+words + fine-tuned-prototype"}


@pytest.mark.slow
def test_fine_tuned_sources_are_tried_in_every_fold_and_answer_from_their_folder(
    photographs: Path, tmp_path: Path
) -> None:
    texts = requests(tmp_path / "t.csv", 5)
    for task, wanted in ((texts, "texts+words"), (photographs, "photos+last-block")):
        found = adapt(
            None, task, out=tmp_path / "m", force=True, budget=900, compare=False, folds=2
        )
        assert found.choice is not None
        tried = {one.source for one in found.choice.tried}
        assert wanted in tried
        assert not found.choice.left_out
        named = adapt(
            wanted, task, ["steps=2"], out=tmp_path / "n", force=True, compare=False, folds=2
        )
        answers = predict(str(tmp_path / "n"), str(task))["rows"]
        assert named.method == ("setfit" if task == texts else "lp-ft")
        assert len(answers) == found.task.support


def test_what_the_choice_said_of_the_folds_is_what_the_chosen_source_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def of_folds(*words: Any) -> OfFolds:
        asked.append(len(words))
        return held_out.of_folds(*words)

    monkeypatch.setattr(scoring, "of_folds", of_folds)
    task = requests(tmp_path / "t.csv", 14)
    found = adapt(None, task, out=tmp_path / "m", compare=False)
    assert found.choice is not None
    assert not asked
    assert found.reject is not None
    options = [f"{key}={value}" for key, value in found.options.items()]
    source, method = found.choice.source, found.method
    named = adapt(source, task, options, method=method, out=tmp_path / "n", compare=False)
    assert asked
    assert named.reject is not None
    assert named.reject.logit == pytest.approx(found.reject.logit, rel=1e-5)


def test_a_folder_of_texts_gives_the_inputs_that_an_export_is_compared_on(tmp_path: Path) -> None:
    for label, texts in (("travel", ["a flight", "a train"]), ("food", ["soup", "some bread"])):
        (tmp_path / "task" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            (tmp_path / "task" / label / f"{number}.txt").write_text(text)
    adapt("texts", tmp_path / "task", out=tmp_path / "m", compare=False)
    opened = open_model(str(tmp_path / "m"), torch.device("cpu"), ignore)
    assert isinstance(opened.model, AdaptedModel)
    found = texts_of_task(Opened(opened.model, opened.path, None))
    assert sorted(found or ()) == ["a flight", "a train", "some bread", "soup"]


def test_adapt_without_data_says_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="needs data") as caught:
        adapt([tmp_path / "a", tmp_path / "b"])
    assert caught.value.hint == "adapt(DATA), or adapt(MODEL, DATA)"
