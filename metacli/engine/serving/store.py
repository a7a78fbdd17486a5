"""The models of a server: those that were named, opened once, and those that clients adapted, kept
in a folder and opened when they are asked for."""

from __future__ import annotations

import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import torch

from metacli.engine.adapting.backbone_source import open_source
from metacli.engine.adapting.built_in import (
    PHOTOS,
    PIXELS,
    encoder_source,
    is_built_in,
    pixel_source,
)
from metacli.engine.adapting.feature_source import COLUMNS
from metacli.engine.adapting.tables.prior_source import TABLES_PRIOR
from metacli.engine.encoders.parameters import encoder_of
from metacli.engine.events import Reporter, ignore
from metacli.engine.exporting.files import name_of
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel
from metacli.engine.models.named import set_model_at
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.predicting.example_predict import ExamplePredictor
from metacli.engine.predicting.multi_task_predict import TaskPredictor
from metacli.engine.predicting.predictor import predictor_of
from metacli.engine.serving.inputs import Wants
from metacli.engine.serving.limits import Limits
from metacli.engine.serving.refusals import Refused
from metacli.engine.storage.disk import remove, sync_folder, writing
from metacli.engine.storage.paths import MODEL_FILE
from metacli.engine.storage.writer import TEMPORARY, sweep
from metacli.errors import DataError, UsageProblem

IDENTITY = re.compile(r"[0-9a-f]{16}")
Predictor: TypeAlias = ExamplePredictor | TaskPredictor
OVERHEAD = 100_000  # bytes of a model beside its parameters: a Conv4 of 452 kB takes 518 kB


@dataclass(frozen=True)
class Named:
    """A model of the command line.

    Args:
        opened: None for a source that is made for each task, such as `texts`.
        wants: what it takes.
    """

    id: str
    opened: Opened[AnyModel] | None
    wants: Wants

    @property
    def adapts(self) -> bool:
        return self.opened is None or not isinstance(self.opened.model, AdaptedModel)

    @property
    def predicts(self) -> bool:
        return self.opened is not None and not isinstance(self.opened.model, FewShotModel)

    @cached_property
    def predictor(self) -> Predictor:
        """Raises DataError where it is not adapted yet."""
        if self.opened is None or not self.predicts:
            raise DataError(
                "this model is not adapted yet; wanted one that is",
                code="model.not_adapted",
                where=self.id,
                hint="POST /adapt with a few labelled examples gives one",
            )
        return answering(self.opened.model, self.id)


def open_named(names: Sequence[str], device: torch.device, report: Reporter) -> dict[str, Named]:
    """Every model by its id: its folder's name, or the recipe of its run, or that run's folder
    where several are of one recipe.

    Raises:
        BundleError: no such model, or it is damaged.
        UsageProblem: two have one name, or it is a model of sets.
    """
    found: dict[str, Named] = {}
    for one in told_apart([open_one(name, device, report) for name in taken(names)]):
        if one.id in found:
            raise UsageProblem(
                f"two models are called {one.id}", hint="rename one of their folders"
            )
        found[one.id] = one
    return found


def taken(names: Sequence[str]) -> Sequence[str]:
    """The names as they are. Raises UsageProblem for a model of sets, before any is opened."""
    for name in names:
        if set_model_at(name) is not None:
            raise UsageProblem(
                f"{name} is a model of sets of tasks, which serve does not take",
                hint="adapted to a set it answers to metacli predict",
            )
    return names


def told_apart(models: Sequence[Named]) -> list[Named]:
    """Runs of one recipe are called like their folders."""
    count = Counter(one.id for one in models)
    return [
        replace(one, id=one.opened.run.name)
        if count[one.id] > 1 and one.opened is not None and one.opened.run is not None
        else one
        for one in models
    ]


def open_one(name: str, device: torch.device, report: Reporter) -> Named:
    if is_built_in(name):
        if name in (PHOTOS, PIXELS):
            made = encoder_source(name, device, report) if name == PHOTOS else pixel_source(device)
            return Named(name, Opened(made.model, made.path, None), Wants("image"))
        return Named(name, None, Wants("numbers" if name in (COLUMNS, TABLES_PRIOR) else "text"))
    opened = open_source(name, {}, device, report)
    return Named(name_of(opened), opened, Wants.of(opened.model))


def answering(model: AnyModel, id: str) -> Predictor:
    """Raises DataError for a model that is not adapted."""
    found = predictor_of(model, id)
    assert isinstance(found, Predictor)  # sets are refused
    return found


class Adapted:
    """The models that clients adapted, by id.

    Those that were asked for last stay in memory, up to `limits.memory` bytes. Threads may ask at
    the same time; one of them opens at a time.
    """

    def __init__(self, folder: Path, device: torch.device, limits: Limits) -> None:
        """What a killed server left half done is cleared; call it under the lock of the folder."""
        sweep(folder)
        self.folder, self._device, self._limits = folder, device, limits
        self._ids = {one.name: None for one in sorted(folder.iterdir()) if is_model(one)}
        self._kept: OrderedDict[str, tuple[Predictor, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def ids(self) -> list[str]:
        """The newest last."""
        return list(self._ids)

    @property
    def in_memory(self) -> int:
        return len(self._kept)

    def path(self, id: str) -> Path:
        return self.folder / id

    def fresh(self) -> str:
        """An id for a new model. Raises Refused (507) where too many are kept."""
        if len(self._ids) >= self._limits.models:
            raise Refused(
                507,
                f"{len(self._ids)} adapted models are kept, at most {self._limits.models}",
                code="serve.full",
                where="models",
                hint="DELETE /models/ID",
            )
        return secrets.token_hex(8)

    def add(self, id: str) -> None:
        """A model whose folder was written whole."""
        self._ids[id] = None

    def remove(self, id: str) -> None:
        """Of a model that is there: gone for a restart as soon as this returns."""
        aside = self.folder / f"{TEMPORARY}{id}"
        with self._lock, writing(self.folder, 0):
            self.path(id).rename(aside)
            sync_folder(self.folder)
            self._ids.pop(id, None)
            if id in self._kept:
                self._bytes -= self._kept.pop(id)[1]
        remove(aside)

    def predictor(self, id: str) -> Predictor:
        """Of a model that is there. Raises BundleError where its folder was damaged."""
        with self._lock:
            if id in self._kept:
                self._kept.move_to_end(id)
                return self._kept[id][0]
            opened = open_model(str(self.path(id)), self._device, ignore)
            found, size = answering(opened.model, id), own_bytes(opened.model)
            self._kept[id] = (found, size)
            self._bytes += size
            while self._bytes > self._limits.memory and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1][1]
            return found


def is_model(folder: Path) -> bool:
    return bool(IDENTITY.fullmatch(folder.name)) and (folder / MODEL_FILE).is_file()


def own_bytes(model: AnyModel) -> int:
    """What a model adds to memory: its encoder is shared with the others."""
    known = encoder_of(model.recipe)
    prefix = None if known is None else known[1]
    own = (v for k, v in model.params.items() if prefix is None or not k.startswith(prefix))
    return OVERHEAD + sum(value.numel() * value.element_size() for value in own)
