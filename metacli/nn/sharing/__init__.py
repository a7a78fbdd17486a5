"""What tasks share: the table of schemes, name -> options class. Imported on look-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module

from pydantic import JsonValue, TypeAdapter

from metacli.nn.sharing.scheme import Sharing


def _of(module: str, cls: str) -> Callable[[], type[Sharing]]:
    return lambda: vars(import_module(f"metacli.nn.sharing.{module}"))[cls]


SHARING: dict[str, Callable[[], type[Sharing]]] = {
    "hard": _of("hard", "Hard"),
    "soft-l2": _of("soft_l2", "SoftL2"),
    "soft-pairwise": _of("soft_pairwise", "SoftPairwise"),
    "cross-stitch": _of("cross_stitch", "CrossStitch"),
    "mmoe": _of("mmoe", "MMoE"),
    "ple": _of("ple", "PLE"),
    "auxiliary": _of("auxiliary", "Auxiliary"),
    "coupled": _of("coupled", "Coupled"),
    "none": _of("soft_l2", "Apart"),
    "mean-ridge": _of("mean_ridge", "MeanRidge"),
    "mixed-effects": _of("mixed_effects", "MixedEffects"),
    "mean-logistic": _of("mean_logistic", "MeanLogistic"),
}


def make_sharing(name: str, options: Mapping[str, JsonValue]) -> Sharing:
    """The options object of a recipe that was checked before."""
    return TypeAdapter(SHARING[name]()).validate_json(json.dumps(dict(options)), strict=True)
