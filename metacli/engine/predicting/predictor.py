"""A model that answers for new inputs, whatever its class."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.predicting.example_predict import ExamplePredictor
from metacli.engine.predicting.multi_task_predict import TaskPredictor
from metacli.engine.sets.class_use.predicting import ClassSetPredictor
from metacli.engine.sets.predicting import SetPredictor
from metacli.errors import DataError, UsageProblem

Predictor: TypeAlias = ExamplePredictor | TaskPredictor | SetPredictor | ClassSetPredictor


def predictor_of(model: AnyModel, name: str) -> Predictor:
    """The one dispatch of `predict`.

    Raises:
        DataError: it takes no files, or knows no classes or task yet.
    """
    match model:
        case MultiTaskModel():
            return TaskPredictor(model)
        case AdaptedModel():
            require_files(model, name)
            return ExamplePredictor(model)
        case FewShotModel():
            require_files(model, name)
            what = {"image": "FOLDER_OF_CLASSES/", "text": "TEXTS.csv", "numbers": "TABLE.csv"}
            to = "to a task" if model.kind == "regression" else "to any classes"
            raise DataError(
                f"this model has not been adapted {to} yet",
                code="model.not_adapted",
                where=name,
                hint=f"metacli adapt {name} {what[model.inputs.kind]} -o mine",
            )


def answering_together(predictor: Predictor) -> Predictor:
    """The same where all inputs have a part in each answer. Raises UsageProblem for a model of
    several tasks."""
    if not isinstance(predictor, ExamplePredictor):
        raise UsageProblem("--together is for a model of one task", hint="leave it out")
    return replace(predictor, together=True)


def require_files(model: FewShotModel | AdaptedModel, name: str) -> None:
    """Raises DataError for a model of numbers that no file holds."""
    if model.inputs.regresses and model.inputs.target is None:
        raise DataError(
            f"a {model.kind} model of {model.recipe.data.source} cannot label files",
            code="model.kind",
            where=name,
            hint=f"metacli evaluate {name}",
        )
