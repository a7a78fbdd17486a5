"""The learner of a model: that of its recipe, or the transfer method that it was adapted with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from pydantic import TypeAdapter

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.learner import Adapter
from metacli.engine.results.base import Json

NATIVE = "native"  # the source's own adaptation
METHODS = (NATIVE, *names("transfer"))


def make_method(name: str, options: Mapping[str, Json]) -> Adapter:
    """The transfer method of a model that was checked before."""
    made: Adapter = reader_of(ALGORITHMS[name].load()).validate_json(json.dumps(dict(options)))
    return made


@cache
def reader_of(method: type) -> TypeAdapter[Adapter]:
    """Made once for each method, as making one takes longer than reading with it."""
    return TypeAdapter(method)
