"""Plain data and tensors as bytes: canonical JSON and safetensors, never a pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from metacli.engine.results.base import Json
from metacli.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

# pickle protocol 2 and later, zip (torch.save), gzip
_CODE_CARRIERS = (b"\x80", b"PK\x03\x04", b"\x1f\x8b")


def json_bytes(value: Json) -> bytes:
    """Canonical JSON of plain data: sorted keys, two spaces, ASCII; NaN and infinities are null.

    Keys become text, so that {1: "a"} comes back as {"1": "a"}.
    """
    text = json.dumps(finite(value), indent=2, sort_keys=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Safetensors bytes of named tensors; equal tensors give equal bytes, whatever their order."""
    from safetensors.torch import save

    # clone: safetensors refuses tensors that share memory, such as two views of one buffer
    ready = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    return bytes(save(ready))


def bytes_to_tensors(data: bytes, name: str = "weights.safetensors") -> dict[str, Tensor]:
    """The tensors of safetensors bytes; `name` is how the file is called in messages.

    Raises:
        BundleError: not safetensors; a pickle, which may run code when read, is refused unread.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    # A safetensors header begins at byte 8, after its length, whose first byte may well be 0x80.
    if data[8:9] != b"{" and data.startswith(_CODE_CARRIERS):
        raise BundleError(
            "a pickle or an archive of one, which may run code when it is read: refused",
            code="model.pickle",
            where=name,
            hint="convert it to safetensors where it came from",
        )
    try:
        found = load(data)
    except (SafetensorError, ValueError, KeyError, OverflowError, RuntimeError) as error:
        raise BundleError(
            f"not a safetensors file: {error}", code="model.damaged", where=name
        ) from None
    # safetensors gives another order each time, and sums over all parameters round by the order.
    return {name: found[name] for name in sorted(found)}


def finite(value: Json | AbstractSet[str]) -> Json:
    """Plain data as JSON can hold it: NaN and infinities are None, keys are text."""
    if value is None or isinstance(value, bool | int | str):  # most of it
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return [finite(item) for item in sorted(value)]
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
