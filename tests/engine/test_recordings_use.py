"""Folders of clips go through the verbs as folders of images do."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from tiny_models import saved, tiny_model

from metacli.data.sources import load_pool
from metacli.engine.adapt import adapt
from metacli.engine.inspect import inspect
from metacli.engine.predict import predict
from metacli.errors import DataError


def write_tones(folder: Path, pitches: dict[str, float], count: int) -> None:
    for name, hertz in pitches.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            time = np.arange(1600 + 160 * number) / 8000
            sound = np.rint(9000 * np.sin(2 * np.pi * hertz * (1 + 0.01 * number) * time))
            out = io.BytesIO()
            with wave.open(out, "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(sound.astype("<i2").tobytes())
            (folder / name / f"{number}.wav").write_bytes(out.getvalue())


def test_tones_are_inspected_adapted_to_and_distinguished(tmp_path: Path) -> None:
    write_tones(tmp_path / "clips", {"high": 2500, "low": 250}, 6)
    write_tones(tmp_path / "new", {"high": 2600, "low": 240}, 1)
    seen = inspect(tmp_path / "clips")
    assert seen.valid
    assert seen.details["sizes"] == {"64x64": 12}
    source = saved(tiny_model(), tmp_path / "source")
    adapt(source, str(tmp_path / "clips"), out=tmp_path / "mine")
    rows = predict(tmp_path / "mine", [tmp_path / "new"])["rows"]
    assert [row["prediction"] for row in rows] == ["high", "low"]


def test_two_recordings_that_are_the_same_are_called_recordings(tmp_path: Path) -> None:
    pitches = {"high": 2500, "low": 250, **{f"tone{n}": 400 + 150 * n for n in range(8)}}
    write_tones(tmp_path / "clips", pitches, 3)
    content = (tmp_path / "clips" / "low" / "0.wav").read_bytes()
    (tmp_path / "clips" / "low" / "again.wav").write_bytes(content)
    (tmp_path / "clips" / "high" / "same.wav").write_bytes(
        (tmp_path / "clips" / "low" / "1.wav").read_bytes()
    )
    found = [one.message for one in inspect(tmp_path / "clips").problems]
    assert found[0].startswith("the same recording under the labels high, low: ")
    assert found[1].startswith("the same recording more than once in class low: ")
    with pytest.raises(DataError, match="the same recording in 2 classes"):
        load_pool(str(tmp_path / "clips"), "train", {"way": 2}, tmp_path / "cache")


def test_a_damaged_clip_is_one_row_that_says_so(tmp_path: Path) -> None:
    write_tones(tmp_path / "clips", {"high": 2500, "low": 250}, 3)
    source = saved(tiny_model(), tmp_path / "source")
    adapt(source, str(tmp_path / "clips"), out=tmp_path / "mine")
    whole = (tmp_path / "clips" / "low" / "0.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:500])
    with pytest.raises(DataError, match="cut off: its header says 1600 samples, 228"):
        predict(tmp_path / "mine", [tmp_path / "cut.wav"])
