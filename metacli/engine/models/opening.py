"""Opening what a user calls MODEL: a model folder, a run, or `@last`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from metacli.data.cache.networks import is_hub_name, kept_model
from metacli.data.plain import Record
from metacli.data.tables.text import SentenceText, know_sentence_model
from metacli.engine.dense.build import is_dense
from metacli.engine.encoders.parameters import with_encoder
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
from metacli.engine.training import checkpoint, run_file
from metacli.engine.training.checkpoint import Saved
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.multi_task.build import build_multi_task
from metacli.engine.training.plugged import changed_plugins, install_data
from metacli.errors import BundleError
from metacli.schema.load import Loaded
from metacli.schema.load import load as load_recipe

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


def from_state(run: Path, report: Reporter) -> tuple[AnyModel, Path]:
    """The model of a run that has not written one yet, and the state that it is of."""
    saved, _ = checkpoint.newest(run / "state", "best")
    if saved is None:
        raise BundleError(
            "this run has no model yet: it was not validated before it stopped",
            code="model.not_found",
            where=str(run),
            hint=f"metacli meta-train --resume {run}",
        )
    report(
        Notice(
            f"{run} has no model yet: using its best state, of step {saved.snapshot.step}",
            "run.no_model",
        )
    )
    return made_of(saved, load_recipe(str(run)), run_file.read(run).as_dict()), saved.path


def made_of(saved: Saved, loaded: Loaded, facts: Record) -> AnyModel:
    """The model of a state; of a multi-task run one without the spread of its errors."""
    provenance = {
        "recipe": facts.get("recipe"),
        "steps": saved.snapshot.step,
        "seed": loaded.recipe.seed,
        "data": facts.get("data", {}),
    }
    if loaded.recipe.kind == "multitask" and not is_dense(loaded.recipe):
        tasks, params = build_multi_task(loaded), saved.snapshot.params
        return MultiTaskModel(
            tasks.recipe, params, tasks.inputs, tasks.heads, provenance=provenance
        )
    if loaded.recipe.kind != "meta":
        raise BundleError(
            "this run has not written its model yet",
            code="model.not_found",
            where=str(saved.path),
            hint="let it end, or stop it with Ctrl-C: it writes the best state",
        )
    built = build_few_shot(loaded)
    return FewShotModel(
        recipe=built.recipe,
        params=with_encoder(built.recipe, saved.snapshot.params),
        state=saved.snapshot.state,
        inputs=built.inputs,
        kind=built.kind,
        way=built.way,
        provenance=provenance,
    )
