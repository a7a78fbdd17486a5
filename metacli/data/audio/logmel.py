"""A recording as an image of fixed size: its log-mel spectrogram.

S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word
recognition", IEEE Trans. ASSP 28 (1980), section II, without the final cosine transform; the mel
scale is HTK's, m(f) = 2595 log₁₀(1 + f / 700).

    P[k, t] = |Σₙ w[n] s[t·hop + n] e^(-2πikn/1024)|²        w: periodic Hann, 400 samples
    D[b, t] = 10 log₁₀(Σₖ M[b, k] P[k, t]),  cut at 80 below its largest value
    image   = 255 (D - max D + 80) / 80, its time axis brought to 64 columns

Loudness does not matter, since levels count from the largest; nor does the length, since the whole
recording fills the columns. High pitches are at the top. Nothing of metacli is imported here: an
exported model's example holds these functions.

Shape letters: N samples, W samples of a window, K frequencies, T windows in time.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

RATE = 16_000  # samples a second
WINDOW, HOP, FFT = 400, 160, 1024  # 25 ms, 10 ms; 1024: low bands are narrower than 1 / 25 ms
BANDS, COLUMNS = 64, 64
RANGE = 80.0  # decibels
AT_ONCE = 4096  # windows; ten minutes at once would take a gigabyte


def log_mel_image(samples: np.ndarray, rate: int) -> np.ndarray:
    """uint8 [BANDS, COLUMNS] of samples [N], N > 0, at `rate` samples a second."""
    levels = log_mel(resampled(samples, rate))
    if not np.isfinite(levels).any():  # silence
        return np.zeros((BANDS, COLUMNS), np.uint8)
    top = levels.max()
    shown = in_columns(np.maximum(levels - top, -RANGE) + RANGE, COLUMNS)[::-1]
    image: np.ndarray = np.rint(255 / RANGE * shown).clip(0, 255).astype(np.uint8)
    return image


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """float64 [N·RATE/rate]: at RATE, without what would fold over.

    A rate that is no simple multiple is taken as the nearest fraction with a denominator of at
    most 1000, less than a millionth away, because the filter grows with it.
    """
    if rate == RATE:
        return samples.astype(np.float64)
    from scipy.signal import resample_poly  # slow to import

    ratio = Fraction(RATE, rate).limit_denominator(1000)
    found: np.ndarray = resample_poly(
        samples.astype(np.float64), ratio.numerator, ratio.denominator
    )
    return found


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Decibels [BANDS, T] of samples [N] at RATE; -inf where there is nothing. The end is filled up
    with silence to a whole window."""
    count = 1 + max(0, -(-(len(samples) - WINDOW) // HOP))
    padded = np.zeros((count - 1) * HOP + WINDOW)
    padded[: len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]  # [T, W]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    bands = mel_bands().T
    parts = []
    for first in range(0, count, AT_ONCE):
        spectrum = np.fft.rfft(windows[first : first + AT_ONCE] * hann, FFT)  # [T, K]
        parts.append((spectrum.real**2 + spectrum.imag**2) @ bands)
    with np.errstate(divide="ignore"):
        found: np.ndarray = 10 * np.log10(np.concatenate(parts).T)
    return found


@lru_cache(maxsize=1)
def mel_bands() -> np.ndarray:
    """M [BANDS, K]: triangles whose corners are evenly spaced in mel from 0 to RATE / 2."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)  # Hz
    low, middle, high = (corners[i : i + BANDS, None] for i in range(3))
    heard = np.arange(FFT // 2 + 1) * RATE / FFT
    rising, falling = (heard - low) / (middle - low), (high - heard) / (high - middle)
    found: np.ndarray = np.minimum(rising, falling).clip(0)
    return found


def in_columns(levels: np.ndarray, columns: int) -> np.ndarray:
    """[BANDS, columns] of [BANDS, T]: linear interpolation, and where columns are fewer than
    windows the mean of those around, weighted by a triangle as wide as two columns."""
    count = levels.shape[1]
    step = count / columns
    centres = (np.arange(columns) + 0.5) * step - 0.5
    far = np.abs(np.arange(count)[:, None] - centres) / max(1.0, step)
    weights = (1 - far).clip(0)
    found: np.ndarray = levels @ (weights / weights.sum(0))
    return found
