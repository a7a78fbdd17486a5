"""Opening what a user calls MODEL: a model folder, a run, or `@last`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from metacli.data.cache.networks import is_hub_name, kept_model
from metacli.data.tables.text import SentenceText, know_sentence_model
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.folder import load
from metacli.engine.models.model import (
    AdaptedModel,
    AnyModel,
    FewShotModel,
    MultiTaskModel,
    moved,
)
from metacli.engine.storage.paths import MODEL_FILE, cache_root, find_run_or_model
from metacli.engine.training.plugged import changed_plugins, install_data
from metacli.errors import BundleError

A = TypeVar("A", FewShotModel, AdaptedModel, MultiTaskModel)
M = TypeVar("M", bound=AnyModel, covariant=True)


@dataclass(frozen=True)
class Opened(Generic[M]):
    """A model that was read, where from, and the run it belongs to (None: a folder by itself)."""

    model: M
    path: Path
    run: Path | None

    def having(self, model: A) -> Opened[A]:
        """The same place with that model, whose class is known."""
        return Opened(model, self.path, self.run)


def open_model(name: str, device: torch.device, report: Reporter) -> Opened[AnyModel]:
    """Read MODEL; of a run its `model`, and of a run without one its newest valid best state,
    which is said.

    Raises:
        BundleError: nothing of the kind is there, or it is damaged.
    """
    path = find_run_or_model(name)
    if (path / MODEL_FILE).is_file():
        model, run = load(path), path.parent if is_run(path.parent) else None
    elif (path / "model").is_dir():
        path, run = path / "model", path if is_run(path) else None
        model = load(path)
    elif is_run(path):
        # What makes runs takes long to import, and is needed here alone.
        from metacli.engine.models.from_state import from_state

        run = path
        model, path = from_state(path, report)
    else:
        raise BundleError(
            "neither a model nor a run",
            code="model.not_found",
            where=name,
            hint=f"a model holds {MODEL_FILE}, a run holds run.json: metacli inspect {name}",
        )
    know_fetched(model)
    install_data(model.recipe)
    for sentence in changed_plugins(model.recipe, model.provenance):
        report(Notice(sentence, "plugin.version"))
    return Opened(moved(model, device), path, run)


def know_fetched(model: AnyModel) -> None:
    """Says where the sentence encoder of a model lies, if it was fetched. Raises DataError for one
    that is damaged."""
    encoder = model.inputs.encoder
    if not isinstance(encoder, SentenceText) or encoder.digest or not is_hub_name(encoder.model):
        return
    kept = kept_model(encoder.model, cache_root())
    if kept is not None:
        know_sentence_model(encoder.model, kept.path)


def is_run(path: Path) -> bool:
    return (path / "run.json").is_file()
