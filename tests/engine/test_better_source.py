"""A source that was named is compared with what `adapt` would have chosen by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import saved, tiny_model

from metacli.data.tables.choice import Choice
from metacli.engine.adapt import adapt
from metacli.engine.adapting import better_source
from metacli.engine.adapting.request import Request
from metacli.engine.events import Event, Notice
from metacli.engine.results.adapt import Adaptation

pytestmark = pytest.mark.usefixtures("workplace", "default_source")
COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}


def photographs(path: Path, shot: int) -> Path:
    """Classes that a grey model does not see: colours of the same grey."""
    draw = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (path / label).mkdir(parents=True)
        grey = np.array(colour) @ (0.299, 0.587, 0.114)
        for number in range(shot):
            noise = draw.normal(0, 40, (40, 40, 1))
            pixels = np.clip(np.array(colour) + (120 - grey) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(path / label / f"{number}.png")
    return path


def named(model: str, task: Path, **more: object) -> tuple[Adaptation, dict[str, str]]:
    """The result, and what was noticed by its code."""
    events: list[Event] = []
    found = adapt(model, task, dry_run=True, report=events.append, **more)  # type: ignore[arg-type]
    assert isinstance(found, Adaptation)
    return found, {one.code: one.message for one in events if isinstance(one, Notice)}


@pytest.fixture
def grey() -> str:
    return saved(tiny_model(), Path("grey"))


def test_a_source_that_is_worse_than_the_default_is_said_with_the_command(grey: str) -> None:
    found, noticed = named(grey, photographs(Path("my photos"), 4))
    better = found.better_source
    assert better is not None
    assert better.source in ("pixels", "photos")
    assert better.command == "metacli adapt 'my photos'"
    assert better.found.high < 0
    assert better.value - (found.score.value or 0) == pytest.approx(-better.found.delta, abs=0.02)
    assert noticed["adapt.better_source"].endswith(better.command)
    assert found["better_source"]["delta_ci95"][1] < 0


def test_on_a_query_both_answer_for_the_query(grey: str) -> None:
    task = Path("task")
    photographs(task / "support", 2)
    photographs(task / "query", 6)
    for path in (task / "support").rglob("*.png"):  # the same draws begin the query
        (task / "query" / path.relative_to(task / "support")).unlink()
    found, noticed = named(grey, task)
    assert found.score.how == "query"
    assert found.better_source is not None
    assert found.better_source.value > 0.9
    assert "adapt.better_source" in noticed


def test_the_default_named_by_hand_is_not_compared_with_itself() -> None:
    task = photographs(Path("task"), 3)
    chosen = adapt(None, task, dry_run=True, compare=False)
    assert isinstance(chosen, Adaptation)
    assert chosen.choice is not None
    assert chosen.better_source is None
    found, noticed = named(chosen.choice.source, task, method=chosen.choice.method)
    assert found.better_source is None
    assert "adapt.better_source" not in noticed


@pytest.mark.slow
def test_a_table_names_its_target_in_the_command(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(40, 2))
    lines = [f"{a},{b},{'in' if a * a + b * b < 1.2 else 'out'}" for a, b in x]
    Path("rings.csv").write_text("\n".join(["a,b,where", *lines]) + "\n")
    found, _ = named("columns", Path("rings.csv"), target="where", method="linear-probe")
    assert found.better_source is not None
    assert found.better_source.method != "linear-probe"
    assert found.better_source.command == "metacli adapt rings.csv --target where"


def test_the_command_repeats_how_the_task_is_read_and_scored() -> None:
    choice = Choice("how much", ("a", "b"), "regression", follow_links=True)
    asked = Request(Path("my rows.csv"), choice=choice, order="rows", skip_bad=True)
    assert asked.typed == (
        "'my rows.csv' --target 'how much' --input a,b --type regression --order rows "
        "--follow-links --skip-bad"
    )


def test_what_would_take_too_long_is_not_compared_and_that_is_said(
    grey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(better_source, "MOST", {"images": 5})
    found, noticed = named(grey, photographs(Path("task"), 3))
    assert found.better_source is None
    assert "9 examples, at most 5; metacli adapt task does" in noticed["adapt.not_compared"]


def test_without_comparisons_nothing_is_computed(
    grey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("the default was computed")

    monkeypatch.setattr(better_source, "default_answers", refuse)
    found, noticed = named(grey, photographs(Path("task"), 3), compare=False)
    assert found.better_source is None
    assert "adapt.not_compared" not in noticed
