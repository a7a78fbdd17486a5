"""Copies of what a part has made, checked before they are made."""

from __future__ import annotations

import shutil
from pathlib import Path

from metacli.engine.storage.disk import writing
from metacli.engine.storage.lock import LOCK, OWNER
from metacli.engine.storage.paths import MODEL_FILE
from metacli.engine.storage.writer import read_folder


def copied_model(source: Path, target: Path) -> Path:
    """A model folder, byte for byte. Raises BundleError where it is damaged or missing."""
    read_folder(source)
    return copied(source, target)


def copied_run(source: Path, target: Path) -> Path:
    """A run with its checkpoints; its model is checked. Raises BundleError."""
    if (source / "model" / MODEL_FILE).exists():
        read_folder(source / "model")
    return copied(source, target)


def copied(source: Path, target: Path) -> Path:
    with writing(target, 0):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(LOCK, OWNER))
    return target
