"""What was meta-learned on a pretrained encoder and comes with metacli: small files, known by their
SHA-256, made by `benchmarks/heads.py` of data whose licence allows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from safetensors.numpy import load

from metacli.errors import DataError

FOLDER = "trained_heads"


@dataclass(frozen=True)
class TrainedHead:
    """A head of texts.

    Args:
        name: and version; a later head has another name, so that a model keeps its own.
        source: what a user writes instead of a MODEL.
        encoder: whose features it takes.
        bytes: of the file. trained_on: in words, with the licence of the data.
    """

    name: str
    source: str
    encoder: str
    sha256: str
    bytes: int
    trained_on: str
    licence: str
    citation: str

    @property
    def summary(self) -> str:
        return f"short texts: {self.encoder} and what was meta-learned of {self.trained_on}"


INTENTS = TrainedHead(
    name="intents-1",
    source="intents",
    encoder="wordllama",
    sha256="d2fc201d31127b93088ace887768cd292879e3a44e65ce63e765277d55c3b85b",
    bytes=129_776,
    trained_on="requests of the 100 training and validation intents of CLINC150, fold 1",
    licence="that of wordllama (MIT) and of the data (CC BY 3.0)",
    citation="S. Larson et al., EMNLP 2019",
)
HEADS = {one.name: one for one in (INTENTS,)}
HEAD_SOURCES = {one.source: one for one in HEADS.values()}


@cache
def tensors_of(name: str) -> dict[str, np.ndarray]:
    """The arrays of a head, float32.

    Raises:
        DataError: the file is not the one that is known.
    """
    return shipped_arrays(name, HEADS[name].sha256, f"the head {name} is not the one")


def shipped_arrays(name: str, sha256: str, what: str) -> dict[str, np.ndarray]:
    """The arrays of a file of `trained_heads`, float32.

    Args:
        what: how the sentence of another file begins.

    Raises:
        DataError: the file is not the one that is known.
    """
    file = f"{FOLDER}/{name}.safetensors"
    content = files("metacli.data.catalogue").joinpath(file).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{what} that metacli knows",
            code="encoder.changed",
            where=file,
            hint="install metacli again: pip install --force-reinstall . in its checkout",
        )
    return {key: value.astype(np.float32) for key, value in load(content).items()}
