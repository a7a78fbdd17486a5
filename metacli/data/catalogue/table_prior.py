"""The weights of `tables-prior` that come with metacli: a small file, known by its SHA-256, made of
generated tables alone by the recipe `generated-tables-prior`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from metacli.data.catalogue.heads import shipped_arrays


@dataclass(frozen=True)
class TrainedPrior:
    """Args:
    name: and version; later weights have another name. bytes: of the file.
    generator: version of the generated tables that it learned from.
    """

    name: str
    sha256: str
    bytes: int
    generator: int


PRIOR = TrainedPrior(
    name="tables-prior-2",
    sha256="89def79eb18b6f463b4b9de7fc8a7f8e5df28421a0428dcce28936c947b0bad2",
    bytes=273_538,
    generator=1,
)


@cache
def prior_tensors() -> dict[str, np.ndarray]:
    """The weights by name, float32.

    Raises:
        DataError: the file is not the one that is known.
    """
    return shipped_arrays(PRIOR.name, PRIOR.sha256, f"the weights {PRIOR.name} are not those")
