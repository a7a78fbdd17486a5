"""`model.json` as a schema: whoever wrote the file, what is loaded from it holds these.

Keys that this version does not know are ignored, as a later version may have added them; a later
*format* is refused before this.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from metacli.data.image_changes import Change

LARGEST = 2**24  # numbers of one example: photographs of 5 megapixels
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
T = TypeVar("T", bound=Hashable)


def _different(names: Sequence[T]) -> Sequence[T]:
    if len(set(names)) < len(names):
        twice = next(one for one in names if list(names).count(one) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return names


Names = Annotated[tuple[str, ...], AfterValidator(_different)]


MOST_TRAININGS = 100  # of one network: a document that says more is damaged


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class CalibrationPart(Part):
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    examples: Count | None = None
    log_loss: Finite | None = None
    log_loss_before: Finite | None = None


class RejectPart(Part):
    logit: Finite
    known: Share | None = None
    examples: Count | None = None


class SpanPart(Part):
    low: tuple[Finite, ...]
    high: tuple[Finite, ...]

    @model_validator(mode="after")
    def _are_ends(self) -> SpanPart:
        if len(self.low) != len(self.high) or any(map(operator.gt, self.low, self.high)):
            raise ValueError("not the ends of spans")
        return self


class AnswersPart(Part):
    """Of an adapted model the first block, of a multi-task model the second."""

    calibration: CalibrationPart | None = None
    reject: RejectPart | Share | None = None
    residual: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    coverage: Share | None = None
    span: SpanPart | None = None
    support: tuple[str, ...] | None = None
    target: str | None = None
    input: str | None = None
    unit: str | None = None

    tasks: Names = ()
    kinds: tuple[Literal["classification", "regression"], ...] = ()
    metric: str | None = None
    labels: tuple[Names, ...] = ()
    read: dict[str, JsonValue] = Field(default_factory=dict)
    guard: tuple[Literal["together", "alone"], ...] = ()
    trainings: Annotated[int, Field(ge=1, le=MOST_TRAININGS)] = 1
    spread: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None

    @model_validator(mode="after")
    def _one_for_each_task(self) -> AnswersPart:
        count = len(self.tasks)
        if len(self.kinds) != count:
            raise ValueError(f"{count} tasks and {len(self.kinds)} kinds")
        for name, given in (("labels", self.labels), ("guard", self.guard)):
            if given and len(given) != count:
                raise ValueError(f"{count} tasks and {len(given)} {name}")
        return self


class TargetPart(Part):
    name: str
    mean: Finite = 0.0
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    unit: str | None = None


class InputPart(Part):
    kind: Literal["image", "numbers", "text"]
    shape: tuple[Size, ...]
    invert: bool
    reader: dict[str, JsonValue] | None = None
    target: TargetPart | None = None
    shorter: Size | None = None
    changes: tuple[Change, ...] = ()
    labels: Names = ()

    @model_validator(mode="after")
    def _fits_in_memory(self) -> InputPart:
        if self.kind == "image" and (len(self.shape) != 3 or self.shape[0] not in (1, 3)):
            raise ValueError(f"no image has the shape {list(self.shape)}")
        if math.prod(self.shape) > LARGEST:
            raise ValueError(f"one example of {math.prod(self.shape):,} numbers")
        return self


class EncoderPart(Part):
    name: str
    digest: str
    prefix: str


class ModelDocument(Part):
    """The whole file. The recipe has a schema of its own."""

    format: Size
    metacli: str
    kind: Literal["classification", "regression", "tasks"]
    way: Size
    classes: Names | None
    method: str | None
    options: dict[str, JsonValue] = Field(default_factory=dict)
    input: InputPart
    recipe: dict[str, JsonValue]
    state: dict[str, JsonValue]
    scores: dict[str, JsonValue]
    answers: AnswersPart
    provenance: dict[str, JsonValue]
    encoder: EncoderPart | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ModelDocument:
        if self.kind == "tasks" and (
            len(self.answers.tasks) != self.way or not self.answers.metric
        ):
            raise ValueError(f"{self.way} tasks, of which {len(self.answers.tasks)} are named")
        adapted = self.method is not None
        if self.kind != "tasks" and self.input.reader is None:
            of_numbers = self.input.kind == "numbers" and self.kind == "regression"
            of_numbers = of_numbers and self.input.target is None
            if self.input.kind != "image" and not of_numbers:
                raise ValueError(f"{self.input.kind} that nothing reads")
        if adapted and self.kind == "classification" and not self.classes:
            raise ValueError("an adapted model without classes")
        return self


def validated(raw: bytes) -> ModelDocument:
    """A file that holds what it should.

    Raises:
        ValueError: it does not; the message names the key.
    """
    return ModelDocument.model_validate_json(raw)
