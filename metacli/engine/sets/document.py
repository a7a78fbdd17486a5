"""`model.json` of a model of sets as a schema: whoever wrote the file, what is loaded from it holds
these. Keys that this version does not know are ignored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from metacli.engine.models.document import (
    LARGEST,
    Count,
    EncoderPart,
    Finite,
    InputPart,
    Names,
    Part,
    Size,
)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TaskPart(Part):
    name: str
    joint: bool
    labels: Count


class SetAnswersPart(Part):
    """Of a model that is not adapted the first key alone."""

    known: Names = ()
    tasks: tuple[TaskPart, ...] = ()
    inputs: Names = ()
    layout: Literal["columns", "rows", "folder"] = "columns"
    target: str | None = None
    task: str | None = None


class WidthPart(Part):
    shape: tuple[Annotated[int, Field(ge=1, le=LARGEST)]]


class SetDocument(Part):
    """The whole file. The recipe has a schema of its own."""

    format: Size
    kind: Literal["sets"]
    method: str | None
    input: WidthPart
    recipe: dict[str, JsonValue]
    state: dict[str, JsonValue]
    scores: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
    answers: SetAnswersPart

    @model_validator(mode="after")
    def _names_its_tasks(self) -> SetDocument:
        require_names(self.method, [one.name for one in self.answers.tasks])
        return self


class ClassesPart(Part):
    """What the tasks of a source look like."""

    way: Size | None
    shared_labels: bool
    kind: Literal["classification", "regression", "mixed"] = "classification"
    levels: dict[str, tuple[Finite, Positive]] = Field(default_factory=dict)
    positive: bool = False


class ClassTaskPart(Part):
    """A task of an adapted set."""

    name: str
    labels: Names
    target: str | None
    known: Count
    joint: bool


class ClassAnswersPart(Part):
    """Of a model that is not adapted the first key alone."""

    classes: ClassesPart
    tasks: tuple[ClassTaskPart, ...] = ()
    layout: Literal["columns", "rows", "tables", "folders"] = "columns"
    task: str | None = None


class ClassSetDocument(Part):
    """Of a model of sets of classifications."""

    format: Size
    kind: Literal["sets"]
    method: str | None = None
    input: InputPart
    recipe: dict[str, JsonValue]
    state: dict[str, JsonValue]
    scores: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
    answers: ClassAnswersPart
    encoder: EncoderPart | None = None

    @model_validator(mode="after")
    def _names_its_tasks(self) -> ClassSetDocument:
        require_names(self.method, [one.name for one in self.answers.tasks])
        return self


def require_names(method: str | None, names: Sequence[str]) -> None:
    """Raises ValueError for an adapted model whose tasks are none, or have a name twice."""
    if method is not None and (not names or len(set(names)) < len(names)):
        raise ValueError("an adapted set without tasks, or with one that is there twice")
