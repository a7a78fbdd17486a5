"""A folder of models, one for each task, as `adapt` of a folder of tasks writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from metacli.data.files import scan
from metacli.engine.events import Reporter
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.storage.paths import MODEL_FILE, NAMED, STAMP, exists
from metacli.errors import DataError


@dataclass(frozen=True)
class Models:
    """The models by the names of their tasks, in the order of their names."""

    path: Path
    by_task: Mapping[str, Path]

    def open(self, task: str, device: torch.device, report: Reporter) -> Opened[AdaptedModel]:
        """The model of a task.

        Raises:
            DataError: there is none of that name, or it is not adapted.
            BundleError: it is damaged.
        """
        path = self.by_task.get(task)
        if path is None:
            raise DataError(
                f"no model is called {task}",
                code="model.not_found",
                where=str(self.path / task),
                hint="metacli adapt MODEL FOLDER_OF_TASKS -o MODELS --new-only makes the others",
            )
        opened = open_model(str(path), device, report)
        if not isinstance(opened.model, AdaptedModel):
            message = "this model has not been adapted to a task"
            raise DataError(message, code="model.not_adapted", where=str(path))
        return opened.having(opened.model)


@dataclass(frozen=True)
class KeptModels(Models):
    """The same, each of which stays in memory once it was opened."""

    opened: dict[str, Opened[AdaptedModel]] = field(default_factory=dict)

    def open(self, task: str, device: torch.device, report: Reporter) -> Opened[AdaptedModel]:
        if task not in self.opened:
            self.opened[task] = super().open(task, device, report)
        return self.opened[task]


def models_below(name: str | Path) -> Models | None:
    """The models in a folder of models; None for whatever else it may be: a model, a run, a name.

    Folders that are called by a time are not tasks: below them are the models of one.

    Raises:
        DataError: the folder may not be listed.
    """
    path = Path(name)
    if str(name) in NAMED or not exists(path) or not path.is_dir():
        return None
    if any((path / file).is_file() for file in (MODEL_FILE, "run.json")):
        return None
    found = {
        child: path.absolute() / child
        for child in scan(path, follow=True).folders
        if (path / child / MODEL_FILE).is_file() and not STAMP.fullmatch(child)
    }
    if not set(found) - {"model"}:  # a run, whatever else is left of it
        return None
    return Models(path.absolute(), found)
