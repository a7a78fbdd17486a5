"""Recordings: samples as they were written, the log-mel image as a slow reference has it, hostile
files as clear errors, and folders of clips as tasks and pools."""

from __future__ import annotations

import io
import math
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.audio import logmel
from metacli.data.audio.recordings import MAX_SECONDS, read_recording
from metacli.data.few_shot import user_images
from metacli.data.images import ImageSpec, read_image, read_pixels
from metacli.data.user.open import list_task, load_task, survey_task
from metacli.errors import DataError

GREY = ImageSpec(1, 28, 28)


def tone(hertz: float, seconds: float = 0.3, rate: int = 8000) -> np.ndarray:
    """float64 [N], a sine that rises a little, so that its image has more than one line."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * (hertz + 100 * time) * time)


def wav(samples: np.ndarray, rate: int = 8000, width: int = 2) -> bytes:
    """A WAV file of samples [N] or [N, channels] in [-1, 1)."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    whole = np.rint(samples.ravel() * 2 ** (8 * width - 1)).astype(np.int64)
    whole = whole.clip(-(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
    if width == 1:
        data = (whole + 128).astype(np.uint8).tobytes()
    else:
        data = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return out.getvalue()


def write_clips(folder: Path, pitches: dict[str, float], count: int = 4) -> None:
    for name, hertz in pitches.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            content = wav(tone(hertz * (1 + 0.02 * number), 0.2 + 0.02 * number))
            (folder / name / f"{number}.wav").write_bytes(content)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_whole_numbers_of_every_width_are_the_samples_that_were_written(width: int) -> None:
    samples = np.random.Generator(np.random.PCG64(width)).uniform(-1, 0.99, 500)
    found = read_recording(wav(samples, 22_050, width), "a.wav")
    assert found.rate == 22_050
    step = max(2.0 ** (1 - 8 * width), 2.0**-23)  # of the file, or of float32
    assert np.abs(found.samples - samples).max() <= step


def test_the_standard_librarys_longer_spelling_of_whole_numbers_is_read_as_well() -> None:
    plain = wav(tone(300))
    format_ = plain[20:36]
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    longer = b"\xfe\xff" + format_[2:] + struct.pack("<HHI", 22, 16, 4) + guid
    chunks = b"WAVEfmt " + struct.pack("<I", len(longer)) + longer + plain[36:]
    content = b"RIFF" + struct.pack("<I", len(chunks)) + chunks
    found = read_recording(content, "a.wav")
    np.testing.assert_array_equal(found.samples, read_recording(plain, "a.wav").samples)


def test_channels_are_averaged() -> None:
    left, right = tone(300), tone(700)
    both = read_recording(wav(np.stack([left, right], 1)), "a.wav").samples
    np.testing.assert_allclose(both, (left + right) / 2, atol=1e-4)


@pytest.mark.parametrize("kind", ["FLAC", "FLOAT"])
def test_other_formats_are_read_with_soundfile(kind: str, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / ("a.flac" if kind == "FLAC" else "a.wav")
    options = {} if kind == "FLAC" else {"subtype": "FLOAT"}
    soundfile.write(path, tone(300), 8000, **options)
    found = read_recording(path.read_bytes(), str(path))
    np.testing.assert_allclose(found.samples, tone(300), atol=1e-4)


def test_without_soundfile_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metacli.data.audio.recordings.find_spec", lambda name: None)
    with pytest.raises(DataError) as error:
        read_recording(b"fLaC" + bytes(50), "a.flac")
    assert error.value.code == "data.needs_audio"
    assert "metacli[audio]" in (error.value.hint or "")


def slow_log_mel(samples: list[float]) -> list[list[float]]:
    """Decibels by band and window from the definition, with a discrete Fourier transform written
    out, in float64 of Python alone. [64][T]"""
    windows = 1
    while (windows - 1) * 160 + 400 < len(samples):
        windows += 1
    found = []
    for t in range(windows):
        cut = [samples[t * 160 + n] if t * 160 + n < len(samples) else 0.0 for n in range(400)]
        cut = [one * (0.5 - 0.5 * math.cos(2 * math.pi * n / 400)) for n, one in enumerate(cut)]
        power = []
        for k in range(513):
            real = math.fsum(
                one * math.cos(2 * math.pi * k * n / 1024) for n, one in enumerate(cut)
            )
            imag = math.fsum(
                one * math.sin(2 * math.pi * k * n / 1024) for n, one in enumerate(cut)
            )
            power.append(real * real + imag * imag)
        found.append([slow_band(b, power) for b in range(64)])
    return [list(row) for row in zip(*found, strict=True)]


def slow_band(band: int, power: list[float]) -> float:
    top = 2595 * math.log10(1 + 8000 / 700)
    low, middle, high = (
        700 * (10 ** (top * (band + i) / 65 / 2595) - 1) for i in range(3)
    )  # the corners
    whole = 0.0
    for k, one in enumerate(power):
        hertz = k * 16_000 / 1024
        if low < hertz <= middle:
            whole += one * (hertz - low) / (middle - low)
        elif middle < hertz < high:
            whole += one * (high - hertz) / (high - middle)
    return 10 * math.log10(whole)


def test_log_mel_levels_are_those_of_a_slow_reference() -> None:
    noise = np.random.Generator(np.random.PCG64(3)).normal(0, 0.1, 700)
    samples = noise + tone(900, 700 / 16_000, 16_000)
    expected = np.array(slow_log_mel(samples.tolist()))
    assert expected.shape == (64, 3)
    np.testing.assert_allclose(logmel.log_mel(samples), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("count", [1, 20, 64, 150])
def test_the_time_axis_is_brought_to_its_columns_as_the_triangle_says(count: int) -> None:
    levels = np.random.Generator(np.random.PCG64(count)).uniform(0, 80, (64, count))
    step = count / 64
    for column, found in enumerate(logmel.in_columns(levels, 64).T):
        centre = (column + 0.5) * step - 0.5
        weights = [max(0.0, 1 - abs(t - centre) / max(1.0, step)) for t in range(count)]
        np.testing.assert_allclose(found, levels @ np.array(weights) / sum(weights))


def test_a_tone_lights_the_band_of_its_pitch_at_any_rate_and_loudness() -> None:
    images = [
        logmel.log_mel_image(loud * tone(1000, 0.5, rate), rate)
        for rate in (8000, 16_000, 22_050, 44_100)
        for loud in (1.0, 0.1)
    ]
    mel = 2595 * math.log10(1 + 1020 / 700) / (2595 * math.log10(1 + 8000 / 700)) * 65 - 1
    for image in images:
        assert image.shape == (64, 64)
        assert abs(63 - int(image[:, 32].argmax()) - mel) <= 1  # high pitches are at the top
        assert image.max() > 240
        difference = np.abs(image[:, 8:56].astype(int) - images[0][:, 8:56])
        assert np.median(difference) <= 4


def test_silence_is_black_and_one_sample_is_enough() -> None:
    assert not read_pixels(wav(np.zeros(4000))).any()
    assert read_pixels(wav(np.array([0.5]))).shape == (64, 64)


def header(**changes: int) -> bytes:
    """A WAV file of 100 samples whose header lies."""
    said = {
        "channels": 1,
        "rate": 8000,
        "align": 2,
        "bits": 16,
        "data": 200,
        "format": 1,
        **changes,
    }
    body = struct.pack(
        "<HHIIHH", said["format"], said["channels"], said["rate"], 0, said["align"], said["bits"]
    )
    chunks = b"fmt " + struct.pack("<I", 16) + body + b"data" + struct.pack("<I", said["data"])
    return (
        b"RIFF"
        + struct.pack("<I", min(2**32 - 1, 36 + said["data"]))
        + b"WAVE"
        + chunks
        + bytes(200)
    )


HOSTILE = {
    "truncated": (wav(tone(300))[:-1000], "data.damaged_recording"),
    "cut off in its header": (wav(tone(300))[:20], "data.damaged_recording"),
    "wrong header": (b"RIFFXXXXWAVEnothing of a kind", "data.damaged_recording"),
    "no WAV file": (b"<html>not found</html>", "data.not_a_recording"),
    "a huge claim": (header(data=2**32 - 2), "data.recording_too_long"),
    "a claim beyond its end": (header(data=20_000), "data.damaged_recording"),
    "zero length": (header(data=0), "data.empty_recording"),
    "no channels": (header(channels=0), "data.damaged_recording"),
    "a rate of 0": (header(rate=0), "data.damaged_recording"),
    "a rate of 4 GHz": (header(rate=2**32 - 1), "data.damaged_recording"),
    "65,535 channels": (header(channels=65_535), "data.empty_recording"),
    "no bits": (header(bits=0), "data.damaged_recording"),
    "64 bit": (header(bits=64), "data.damaged_recording"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_wav_file_is_a_clear_error(name: str, tmp_path: Path) -> None:
    content, code = HOSTILE[name]
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_image(path, GREY)
    assert error.value.code == code
    assert "clip.wav" in error.value.message


def test_no_mutation_of_a_wav_file_ends_in_another_error() -> None:
    original = wav(tone(300, 0.05))
    words = np.random.Generator(np.random.PCG64(5))
    read, codes = 0, set()
    for _ in range(400):
        content = bytearray(original)
        for place in words.integers(0, 60, 3):
            content[place] = words.integers(0, 256)
        try:
            read += read_recording(bytes(content), "a.wav").samples.size > 0
        except DataError as error:
            codes.add(error.code)
    assert 0 < read < 400
    assert "data.damaged_recording" in codes


def test_a_recording_longer_than_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(DataError, match=f"at most {MAX_SECONDS} s"):
        read_recording(header(rate=1000, data=2 * (MAX_SECONDS * 1000 + 1)), "a.wav")


def test_class_folders_of_clips_are_a_task_whose_images_differ_by_pitch(tmp_path: Path) -> None:
    write_clips(tmp_path, {"high": 2500, "low": 250})
    listing = list_task(tmp_path)
    assert listing.labels == ("high", "low")
    assert "recordings, read as log-mel spectrograms" in listing.guessed
    task = load_task(tmp_path, GREY)
    assert task.support.x.shape == (8, 1, 28, 28)
    rows = task.support.x.mean((1, 3)).argmax(1)  # where each is brightest, from the top
    assert rows[:4].max() < rows[4:].min()


def test_clips_and_images_in_one_task_are_refused(tmp_path: Path) -> None:
    write_clips(tmp_path, {"high": 2500, "low": 250})
    Image.new("L", (8, 8)).save(tmp_path / "low" / "a.png")
    (found,) = [one for one in survey_task(tmp_path).findings if one.level == "error"]
    assert found.code == "data.mixed_kinds"


def test_a_folder_of_clips_is_a_pool_to_train_on(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", {f"tone {i}": 200.0 * (i + 1) for i in range(10)})
    pool = user_images.pool(tmp_path / "clips", "train", {"way": 2, "size": 20}, tmp_path / "cache")
    assert pool.example_shape == (1, 20, 20)
    assert pool.images.std() > 0


def test_scipys_filters_are_imported_only_where_a_rate_differs() -> None:
    import subprocess

    code = "import sys, metacli.data.images; sys.exit('scipy.signal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
