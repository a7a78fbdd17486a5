"""Fingerprints by which an adapted model knows its source and its examples, of which it holds
none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from metacli.engine.storage.known_params import once_per_network
from metacli.engine.storage.serial import tensors_to_bytes


def example_hash(x: np.ndarray) -> str:
    """Of an example as the network gets it; long enough that no two share it."""
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()[:24]


@once_per_network
def weights_hash(params: Mapping[str, Tensor]) -> str:
    """SHA-256 of a model's tensors."""
    return hashlib.sha256(tensors_to_bytes(params)).hexdigest()
