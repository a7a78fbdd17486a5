"""Which kind of model a folder holds, asked without reading it or importing torch."""

from __future__ import annotations

import json
from pathlib import Path

from metacli.data.plain import Record
from metacli.engine.storage.paths import MODEL_FILE, find_run_or_model
from metacli.errors import MetacliError

DENSE = "dense"
SETS = "sets"


def document_at(folder: Path) -> Record:
    """What a model's own file says; nothing of anything that is no readable model."""
    try:
        document = json.loads((folder / MODEL_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def model_of_kind(name: str, kind: str) -> Path | None:
    """The folder of a model of that kind that MODEL means; None for whatever else it is, which
    `open_model` says."""
    try:
        path = find_run_or_model(name)
    except MetacliError:
        return None
    folders = (path, path / "model")
    return next((one for one in folders if document_at(one).get("kind") == kind), None)


def dense_model_at(name: str) -> Path | None:
    """The folder of a model of dense tasks."""
    return model_of_kind(name, DENSE)


def is_dense_model(folder: Path) -> bool:
    return document_at(folder).get("kind") == DENSE


def set_model_at(name: str) -> Path | None:
    """The folder of a model of sets."""
    return model_of_kind(name, SETS)


def is_set_model(folder: Path) -> bool:
    return document_at(folder).get("kind") == SETS


def is_adapted_set(folder: Path) -> bool:
    """Whether a model of sets is adapted to one."""
    return bool(document_at(folder).get("method"))


def is_class_model(folder: Path) -> bool:
    """Whether a folder holds a model of sets of classifications."""
    answers = document_at(folder).get("answers")
    return is_set_model(folder) and isinstance(answers, dict) and "classes" in answers
