"""`metacli.load`: a model, or a folder of models, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from metacli.engine.events import Reporter, ignore
from metacli.engine.many.models import KeptModels, models_below
from metacli.engine.many.predicting import predict_each
from metacli.engine.models.named import is_class_model, set_model_at
from metacli.engine.models.opening import open_model
from metacli.engine.predicting.example_predict import ExamplePredictor
from metacli.engine.predicting.inputs import Given, Held, items_of
from metacli.engine.predicting.multi_task_predict import TaskPredictor
from metacli.engine.predicting.predictor import Predictor, answering_together, predictor_of
from metacli.engine.results.predict import Predictions, TaskPredictions
from metacli.engine.sets.class_folder import load_adapted_classes
from metacli.engine.sets.class_use.predicting import ClassSetPredictor
from metacli.engine.sets.opening import open_adapted
from metacli.engine.sets.predicting import SetPredictor
from metacli.engine.storage.paths import require_device
from metacli.errors import DataError, UsageProblem


@dataclass(frozen=True)
class LoadedModel:
    """A model that was read once, to predict as often as wanted."""

    path: Path
    predictor: Predictor

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names of an adapted model, in the order of its outputs; () otherwise."""
        one = self.predictor
        return one.model.classes or () if isinstance(one, ExamplePredictor) else ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks of a model of several, in the order of its answers; () otherwise."""
        match self.predictor:
            case TaskPredictor() as several:
                return several.model.heads.tasks
            case SetPredictor() | ClassSetPredictor() as of_one:
                return of_one.model.names
            case _:
                return ()

    def predict(
        self,
        inputs: Given | Sequence[Given],
        *,
        reject: str | float | None = None,
        stdin: bytes | None = None,
        together: bool = False,
        report: Reporter = ignore,
    ) -> Predictions | TaskPredictions:
        """As `metacli.predict`, of which the arguments are."""
        items = items_of(inputs)
        predictor = answering_together(self.predictor) if together else self.predictor
        found = predictor.predict(items, reject, stdin, report)
        if not found.rows:
            named = [one.name or "array" if isinstance(one, Held) else str(one) for one in items]
            raise DataError("nothing to predict", code="data.empty", where=", ".join(named))
        found.require_all()
        return found


@dataclass(frozen=True)
class LoadedModels(Mapping[str, LoadedModel]):
    """A folder of models by the names of their tasks. Each is read when it is first asked for."""

    models: KeptModels
    device: torch.device
    report: Reporter

    @property
    def path(self) -> Path:
        return self.models.path

    def __getitem__(self, task: str) -> LoadedModel:
        """Raises KeyError: no model of that name. BundleError: it is damaged."""
        if task not in self.models.by_task:
            raise KeyError(task)
        opened = self.models.open(task, self.device, self.report)
        return LoadedModel(opened.path, predictor_of(opened.model, str(opened.path)))

    def __iter__(self) -> Iterator[str]:
        return iter(self.models.by_task)

    def __len__(self) -> int:
        return len(self.models.by_task)

    def predict(
        self,
        inputs: Given | Sequence[Given],
        *,
        reject: str | float | None = None,
        stdin: bytes | None = None,
        together: bool = False,
        report: Reporter = ignore,
    ) -> TaskPredictions:
        """As `metacli.predict` of the folder: each input is answered by the model that it is called
        like. `stdin` has no name, and so is refused where an input means it.

        Raises:
            UsageProblem: answers of all rows together, which one model gives.
        """
        if together:
            raise UsageProblem("--together is for one adapted model", hint="leave it out")
        items = items_of(inputs)
        return predict_each(self.models, items, reject=reject, device=self.device, report=report)


def of_set(path: Path) -> SetPredictor | ClassSetPredictor:
    """A model of sets that is adapted to one. Raises BundleError for another, or a damaged one."""
    if is_class_model(path):
        return ClassSetPredictor(load_adapted_classes(path))
    return SetPredictor(open_adapted(path))


def load(
    model: str | Path, *, device: str = "auto", report: Reporter = ignore
) -> LoadedModel | LoadedModels:
    """An adapted or multi-task model, a model of a set, or a folder of adapted ones, in memory
    until it is let go.

    Args:
        model: its folder, a run, `@last`, or a folder of models.

    Raises:
        BundleError: nothing of the kind is there, or it is damaged.
        DataError: it is not adapted yet, and so predicts nothing.
    """
    name, place = str(model), require_device(device)
    if (sets := set_model_at(name)) is not None:
        return LoadedModel(sets, of_set(sets))
    if models := models_below(model):
        return LoadedModels(KeptModels(models.path, models.by_task), place, report)
    opened = open_model(name, place, report)
    return LoadedModel(opened.path, predictor_of(opened.model, name))
