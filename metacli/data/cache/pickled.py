"""The one place where a pickle is read: a state dict of tensors, after its SHA-256 matched the
registry, with torch's reader that makes nothing but tensors and plain containers. What is read is
kept as safetensors in the cache, so that it happens once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from metacli.errors import DataError


def read_state(path: Path, known: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of a file that torch saved, in their order.

    Args:
        known: the SHA-256 that its content may have. It is hashed and read from the same bytes, so
            that no other process can change it in between.

    Raises:
        DataError: another content; it is not unpickled.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found not in known:
        raise DataError(
            f"a pickle that metacli does not know: SHA-256 {found[:12]}..., and a pickle can run "
            "any code when it is read",
            code="encoder.changed",
            where=str(path),
            hint="install the package again",
        )
    state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
