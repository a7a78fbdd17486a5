"""Which folder is a model of dense tasks, asked without reading it or importing torch."""

from __future__ import annotations

import json
from pathlib import Path

from metacli.engine.storage.paths import MODEL_FILE, find_run_or_model
from metacli.errors import MetacliError

KIND = "dense"


def dense_model_at(name: str) -> Path | None:
    """The folder of a model of dense tasks that MODEL means; None for whatever else it is."""
    try:
        path = find_run_or_model(name)
    except MetacliError:
        return None
    return next((one for one in (path, path / "model") if is_dense_model(one)), None)


def is_dense_model(path: Path) -> bool:
    """False for anything that is no readable model."""
    try:
        document = json.loads((path / MODEL_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND
