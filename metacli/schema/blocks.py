"""The blocks of a recipe that every kind has: one frozen model each. No torch here.

Blocks that name something (`data`, `backbone`, `algorithm`, `sharing`, `weighting`, `surgery`) are
open: their further keys are kept as plain values in `options`, and the engine checks them against
the fields of what is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from metacli.schema.values import Count, OptionalShape, Options


class Block(BaseModel):
    """Unknown keys are errors, nothing is converted, nothing changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class OpenBlock(Block):
    """A block whose further keys are gathered in the field `gather`, and written out flat again."""

    gather: ClassVar[str] = "options"

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        own = [name for name in cls.model_fields if name != cls.gather]
        fixed = {key: item for key, item in value.items() if key in own}
        return {**fixed, cls.gather: {k: v for k, v in value.items() if k not in own}}

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        fixed = handler(self)
        gathered = fixed.pop(self.gather)
        return {**fixed, **gathered}


class Named(OpenBlock):
    """An entry of a table (backbones, algorithms, ...) and the fields it is made with."""

    name: str = Field(min_length=1)
    options: Options = Field(default_factory=dict)


class Data(OpenBlock):
    """A data set by name, or a path to a pool of class folders; `options` go to its loader."""

    source: str = Field(min_length=1)
    options: Options = Field(default_factory=dict)


class Train(Block):
    """The outer loop. `clip` bounds the gradient's norm, `chunk` is how many tasks run at once.
    `patience` ends it after so many validations without a better one."""

    steps: Count
    patience: Count | None = None
    meta_batch: Count = 4
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    schedule: Literal["constant", "linear", "cosine", "step"] = "constant"
    schedule_every: Count | None = None
    schedule_factor: float = Field(default=0.5, gt=0, le=1)
    clip: Annotated[float, Field(gt=0)] | None = None
    execution: Literal["auto", "loop", "vmap", "batched", "compiled"] = "auto"
    chunk: Count | None = None
    precision: Literal["float32", "bfloat16", "tf32"] = "float32"  # of products; tf32: on a GPU


class Evaluate(OpenBlock):
    """Validation every `every` steps; `replace` changes fields of the learner for it."""

    gather: ClassVar[str] = "replace"

    every: Count = 100
    episodes: Annotated[int, Field(ge=2, le=2**53)] = 600  # an interval needs two
    query: Count | None = None
    way: OptionalShape = None
    shot: OptionalShape = None
    replace: Options = Field(default_factory=dict)


class Expect(Block):
    """The score that was measured: `metric` from `min` to `max`, after `minutes` of training."""

    split: Literal["val", "test"] = "test"
    scheme: str | None = None
    way: Count | None = None
    shot: Count | None = None
    query: Count | None = None
    episodes: Annotated[int, Field(ge=2, le=2**53)] = 600
    metric: str = "accuracy"
    min: float | None = None
    max: float | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None
