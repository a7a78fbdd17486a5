"""Fingerprints by which an adapted model knows its source and its examples, of which it holds
none."""

from __future__ import annotations

import hashlib

import numpy as np

from metacli.engine.storage.serial import tensors_to_bytes
from metacli.types import Params


def example_hash(x: np.ndarray) -> str:
    """Of an example as the network gets it; long enough that no two share it."""
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()[:24]


def weights_hash(params: Params) -> str:
    """SHA-256 of a model's tensors."""
    return hashlib.sha256(tensors_to_bytes(params)).hexdigest()
