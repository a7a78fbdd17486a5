"""What a client may send, checked before anything is computed: all problems at once, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from metacli.data.files import shown
from metacli.engine.serving.refusals import FEW, Refused
from metacli.errors import Finding

LONGEST_NAME = 200

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "missing": "a value",
    "string_too_short": "text that is not empty",
    "string_too_long": f"at most {LONGEST_NAME} letters",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PredictRequest(_Strict):
    """Inputs for a model."""

    model: str = Field(
        min_length=1, max_length=LONGEST_NAME, description="The id of a model that is adapted."
    )
    inputs: list[JsonValue] = Field(
        description="Of a model of images files in base64; of texts texts; of tables rows: objects "
        "by column, or lists in the order of the columns."
    )
    reject: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="A probability below which the answer is none; auto: as known examples are.",
    )


class Example(_Strict):
    """An example with its label."""

    input: JsonValue = Field(description="As one of `inputs` of a prediction.")
    label: str | int | float | bool = Field(description="A class, or the number to predict.")


class AdaptRequest(_Strict):
    """Labelled examples for a model that adapts."""

    model: str = Field(
        min_length=1, max_length=LONGEST_NAME, description="The id of a model that adapts."
    )
    examples: list[Example]
    method: str = Field(
        default="native", max_length=LONGEST_NAME, description="As `metacli adapt --method`."
    )


M = TypeVar("M", bound=BaseModel)


def read(kind: type[M], body: bytes) -> M:
    """Raises Refused (400) with every problem."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise refused(error.errors(include_url=False)) from None


def refused(details: Sequence[ErrorDetails]) -> Refused:
    """What, where, found, wanted, for each of the first problems."""
    findings = [Finding("error", "request.invalid", *in_words(one)) for one in details[:FEW]]
    first, more = findings[0], len(details) - 1
    error = Refused(
        400,
        first.message + (f", and {more} more" if more else ""),
        code="request.invalid",
        where=first.where,
        hint="GET /docs shows what a request looks like",
    )
    error.findings = tuple(findings)
    return error


def in_words(detail: ErrorDetails) -> tuple[str, str]:
    """(message, where) of one problem."""
    where = place(detail["loc"])
    kind = detail["type"]
    if kind == "json_invalid":
        return f"the body is not JSON: {shown(detail['msg'])}", "body"
    if kind == "extra_forbidden":
        return f"{where} is not a key that is known here", where
    if kind == "missing":
        return f"{where} is missing", where
    wanted = _WANTED.get(kind, shown(detail["msg"]).lower())
    return f"{where} is {found(detail['input'])}, wanted {wanted}", where


def place(loc: Sequence[int | str]) -> str:
    """`examples[3].label`."""
    text = "".join(
        f"[{one}]" if isinstance(one, int) else f".{shown(one)[:LONGEST_NAME]}" for one in loc
    )
    return text.lstrip(".") or "body"


def found(value: JsonValue) -> str:
    """A value as it is called in a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {shown(value[:40])!r}" if value else "empty text"
        case int() | float():
            return f"the number {value}"[:60]
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"
