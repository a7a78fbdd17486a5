"""What speaks against an adapted model is said, and fails where that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import saved, tiny_model, write_classes

from metacli.cli.adapt import show
from metacli.engine.adapt import adapt
from metacli.engine.adapting.doubts import doubts_about, names_of_doubts
from metacli.engine.events import Event, Notice
from metacli.engine.results.adapt import (
    Against,
    ClassScore,
    NoScore,
    RegressionScore,
    SimpleScore,
    Transfer,
)
from metacli.engine.scoring.intervals import Comparison
from metacli.errors import CheckFailed, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")


def against(low: float, high: float, name: str = "majority class") -> Against:
    middle = (low + high) / 2
    said = "hurt" if high < 0 else "helped" if low > 0 else "no_difference"
    return Against(SimpleScore(name, 0.5), Comparison(middle, low, high, said, None))


def accuracy(low: float, high: float = 0.9) -> ClassScore:
    middle = (low + high) / 2
    return ClassScore(middle, low, high, 20, middle, middle, "kfold:5", 1, chance=0.25)


ERROR = RegressionScore(0.4, 0.3, 0.5, 20, 0.5, 0.1, None, "kfold:5", 1)


@pytest.mark.parametrize(
    ("score", "transfer", "said"),
    [
        (accuracy(0.3), Transfer(against(0.1, 0.2)), None),
        (accuracy(0.25), Transfer(against(0.1, 0.2)), ("guessing",)),
        (accuracy(0.3), Transfer(against(-0.2, -0.1)), ("hurts",)),
        (accuracy(0.3), Transfer(against(-0.2, 0.1)), None),
        (accuracy(0.2), Transfer(against(-0.2, -0.1)), ("guessing", "hurts")),
        (ERROR, Transfer(None, (against(0.1, 0.2, "mean of the support"),)), None),
        (ERROR, Transfer(None, (against(-0.1, 0.2, "mean of the support"),)), ("guessing",)),
        (ERROR, Transfer(None, (against(-0.1, 0.2, "ridge"),)), None),
        (NoScore("accuracy", "too few", 0.25), Transfer(), None),
    ],
)
def test_a_model_that_nothing_shows_to_be_good_is_doubted(
    score: ClassScore, transfer: Transfer, said: tuple[str, ...] | None
) -> None:
    assert names_of_doubts(doubts_about(score, transfer)) == said


def noise(folder: Path, shot: int = 5) -> Path:
    """Three classes that nothing tells apart."""
    draw = np.random.default_rng(0)
    for label in "abc":
        (folder / label).mkdir(parents=True)
        for number in range(shot):
            pixels = draw.integers(0, 255, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def stripes(folder: Path, shot: int = 8) -> Path:
    """Three classes of stripes that go up, across, or are not there."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    for label, lines in {"across": y % 4 < 2, "none": y < 0, "up": x % 4 < 2}.items():
        (folder / label).mkdir(parents=True)
        for number in range(shot):
            pixels = 200 * lines + draw.integers(0, 50, (16, 16))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture
def model() -> str:
    return saved(tiny_model(), Path("source"))


@pytest.mark.parametrize("asked", [{"strict": True}, {"fail_if": ["guessing"]}])
def test_a_check_for_guessing_fails_and_the_model_is_written(
    model: str, asked: dict[str, object]
) -> None:
    with pytest.raises(CheckFailed, match="no better than guessing") as caught:
        adapt(model, noise(Path("noise")), out="mine", **asked)  # type: ignore[arg-type]
    assert Path("mine/model.json").is_file()
    assert caught.value.result is not None
    assert "guessing" in caught.value.result["doubts"]
    assert caught.value.findings[0].code == "adapt.guessing"
    lines = list(show(caught.value.result))
    assert lines[-1] == "next: metacli adapt noise"


def test_a_check_for_what_is_not_said_passes_and_predict_is_next(model: str) -> None:
    events: list[Event] = []
    task = stripes(Path("good"))
    found = adapt(model, task, out="mine", fail_if=["guessing"], report=events.append)
    assert found.doubts is None
    assert "doubts" not in found
    assert not [one for one in events if isinstance(one, Notice) and one.code == "adapt.guessing"]
    assert list(show(dict(found)))[-1].startswith("next: metacli predict")


def test_a_folder_of_tasks_fails_with_the_names_of_those_in_doubt(model: str) -> None:
    stripes(Path("tasks/good"))
    noise(Path("tasks/noise"))
    with pytest.raises(CheckFailed) as caught:
        adapt(model, "tasks", out="mine", fail_if=["guessing"])
    assert [one.message for one in caught.value.findings] == ["noise: no better than guessing"]
    assert Path("mine/noise/model.json").is_file()


@pytest.mark.parametrize(
    "asked", [{"fail_if": ["luck"]}, {"fail_if": ["hurts"], "compare": False}, {"strict": True}]
)
def test_a_check_that_cannot_be_made_is_refused(model: str, asked: dict[str, object]) -> None:
    task = write_classes(Path("few"), {"ant": 1, "bee": 1, "cat": 1})
    with pytest.raises(UsageProblem):
        adapt(model, task, out="mine", **asked)  # type: ignore[arg-type]
