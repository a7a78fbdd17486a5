"""The one reader of recordings: the bytes of a file in, samples or a DataError out.

Whole-number WAV files of 8, 16, 24 and 32 bit are read with the standard library; everything else
with soundfile, the extra [audio]. Channels are averaged. No length that a header claims is ever
allocated: samples are read up to a limit, and what is missing is an error.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from metacli.data.audio.logmel import log_mel_image
from metacli.errors import DataError

WAV_SUFFIXES = frozenset((".wav", ".wave"))
OTHER_SUFFIXES = frozenset(
    (".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf")
)
AUDIO_SUFFIXES = WAV_SUFFIXES | OTHER_SUFFIXES
MAX_SECONDS = 600
MAX_SAMPLES = 60_000_000  # of all channels; ten minutes in stereo at 48 kHz are 57.6 million
RATES = (1_000, 384_000)  # samples a second
_BLOCK = 1 << 16  # frames
_PCM, _EXTENSIBLE = b"\x01\x00", b"\xfe\xff"  # formats of a WAV file
_WHOLE_NUMBERS = bytes.fromhex("0100000000001000800000aa00389b71")  # the same as a GUID


@dataclass(frozen=True)
class Recording:
    """Samples [N] float32 in [-1, 1], N > 0, and how many there are in a second."""

    samples: np.ndarray
    rate: int


def spectrogram(content: bytes, name: str) -> np.ndarray:
    """A recording as grey pixels [64, 64] uint8; see `logmel`.

    Raises:
        DataError: it cannot be read; the message names the file and what is wrong with it.
    """
    found = read_recording(content, name)
    return log_mel_image(found.samples, found.rate)


def is_wav(content: bytes) -> bool:
    """By its first bytes."""
    return content[:4] == b"RIFF" and content[8:12] == b"WAVE"


def read_recording(content: bytes, name: str) -> Recording:
    """The samples of a recording.

    Raises:
        DataError: see `spectrogram`.
    """
    if is_wav(content):
        try:
            with wave.open(io.BytesIO(_plain_header(content))) as file:
                return _whole_numbers(file, name)
        except wave.Error as error:
            if "unknown format" not in str(error):
                raise _damaged(name, str(error)) from error
            return _by_soundfile(content, name, "a WAV file that holds no whole numbers")
        except (EOFError, RuntimeError, ValueError, OverflowError, ArithmeticError) as error:
            raise _damaged(name, str(error) or "it ends within its header") from error
    if name.lower().endswith(tuple(WAV_SUFFIXES)):
        raise DataError(
            f"{name} is not a WAV file: it does not begin with RIFF and WAVE",
            code="data.not_a_recording",
            where=name,
            hint="convert it: ffmpeg -i FILE out.wav",
        )
    return _by_soundfile(content, name, "no WAV file")


def _plain_header(content: bytes) -> bytes:
    """The same file where its format is "extensible" and says whole numbers in a longer way, which
    the standard library of Python 3.11 does not read: with the format's short name."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"fmt ":
            extensible = content[at + 8 : at + 10] == _EXTENSIBLE
            if extensible and content[at + 32 : at + 48] == _WHOLE_NUMBERS:
                return content[: at + 8] + _PCM + content[at + 10 :]
            return content
        at += 8 + size + size % 2
    return content


def _whole_numbers(file: wave.Wave_read, name: str) -> Recording:
    frames, channels, width = file.getnframes(), file.getnchannels(), file.getsampwidth()
    rate = file.getframerate()
    _check(frames, channels, rate, name)
    data = file.readframes(frames)  # never more than is there
    if len(data) < frames * channels * width:
        have = len(data) // (channels * width)
        raise _damaged(name, f"cut off: its header says {frames} samples, {have} are there")
    if width not in (1, 2, 3, 4):
        raise _damaged(name, f"samples of {8 * width} bit; wanted 8, 16, 24 or 32")
    return Recording(_averaged(_numbers(data, width).reshape(-1, channels)), rate)


def _numbers(data: bytes, width: int) -> np.ndarray:
    """float32 in [-1, 1) of little-endian samples; those of 8 bit have no sign."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    found: np.ndarray = np.frombuffer(data, f"<i{width}").astype(np.float32)
    return found / np.float32(2 ** (8 * width - 1))


def _by_soundfile(content: bytes, name: str, what: str) -> Recording:
    """Raises DataError: the extra is not installed, or the file cannot be read."""
    if find_spec("soundfile") is None:
        raise DataError(
            f"{name} is {what}, which needs the extra [audio]",
            code="data.needs_audio",
            where=name,
            hint="pip install 'metacli[audio]', or convert it: ffmpeg -i FILE out.wav",
        )
    import soundfile  # optional

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(max(1, file.frames), file.channels, file.samplerate, name)
            blocks, done = [], 0
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                done += len(block)
                _check(done, file.channels, file.samplerate, name)
                blocks.append(_averaged(block))
            claimed = file.frames
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OSError) as error:
        raise _damaged(name, " ".join(str(error).split())[:200]) from error
    _check(done, 1, rate, name)
    if done < claimed:
        raise _damaged(name, f"cut off: its header says {claimed} samples, {done} are there")
    samples = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise _damaged(name, "a sample is not a number")
    return Recording(samples, rate)


def _averaged(samples: np.ndarray) -> np.ndarray:
    """Of all channels, [N] of [N, channels]."""
    found: np.ndarray = samples[:, 0] if samples.shape[1] == 1 else samples.mean(1)
    return found


def _check(frames: int, channels: int, rate: int, name: str) -> None:
    """Raises DataError: empty, too long, or a rate that no recording has."""
    if frames < 1:
        message = f"{name} holds no sound: its length is 0"
        raise DataError(message, code="data.empty_recording", where=name)
    if not RATES[0] <= rate <= RATES[1]:
        raise _damaged(name, f"{rate} samples a second; wanted {RATES[0]} to {RATES[1]}")
    if frames > MAX_SECONDS * rate or frames * channels > MAX_SAMPLES:
        raise DataError(
            f"{name} is too long: {frames / rate:.0f} s in {channels} channels, at most "
            f"{MAX_SECONDS} s and {MAX_SAMPLES:,} samples",
            code="data.recording_too_long",
            where=name,
            hint="cut it into clips first",
        )


def _damaged(name: str, why: str) -> DataError:
    return DataError(
        f"{name} is a damaged recording: {why}", code="data.damaged_recording", where=name
    )
