"""What a recipe may say: one frozen model for each block. No torch here.

Blocks that name something (`data`, `backbone`, `algorithm`, `sharing`, `weighting`, `surgery`) are
open: their further keys are kept as plain values in `options`, and the engine checks them against
the fields of what is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

VERSION = 1
META_KEYS = ("episodes", "algorithm")
MULTITASK_KEYS = ("sharing", "weighting", "surgery", "guard", "groups", "relatedness")
REQUIRED_BY_KIND = {"meta": META_KEYS, "multitask": ("sharing", "weighting")}
FOREIGN_TO_KIND = {"meta": MULTITASK_KEYS, "multitask": META_KEYS}

Count = Annotated[int, Field(ge=1, le=2**53)]
Range = int | tuple[int, int]


def wrong(message: str) -> PydanticCustomError:
    """An error whose message reads on after the key: `must be ...`."""
    return PydanticCustomError("recipe_value", "{message}", {"message": message})


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= 2**53


def _range(value: object) -> Range:
    if type(value) is int:
        if _is_count(value):
            return value
        raise wrong("must be 1 or more")
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value)):
        low, high = value
        if low <= high:
            return (low, high)
        raise wrong("must go from low to high")
    raise wrong("must be a whole number, or [low, high] with 1 <= low <= high")


def _plain_value(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong("must be a finite number")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    raise wrong("must be a number, text, true, false, null or a list")


def _version(value: object) -> int:
    if type(value) is int and value > VERSION:
        raise wrong(f"is of a newer metacli: this one reads recipe version {VERSION}")
    if type(value) is not int or value != VERSION:
        raise wrong(f"must be {VERSION}")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise wrong("must be a list of names")
    return tuple(value)


def _groups(value: object) -> Any:
    if value is None or value == "auto":
        return value
    if isinstance(value, list | tuple) and value:
        return tuple(_names(group) for group in value)
    raise wrong("must be null, auto, or a list of lists of task names")


_as_list = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
Shape = Annotated[Range, PlainValidator(_range), _as_list]
OptionalShape = Annotated[
    Range | None, PlainValidator(lambda v: None if v is None else _range(v)), _as_list
]
Options = dict[str, Annotated[Any, PlainValidator(_plain_value)]]
Names = Annotated[tuple[str, ...], PlainValidator(_names), _as_list]
Groups = Annotated[
    Literal["auto"] | tuple[tuple[str, ...], ...] | None,
    PlainValidator(_groups),
    PlainSerializer(lambda v: [list(group) for group in v] if isinstance(v, tuple) else v),
]


class Block(BaseModel):
    """Unknown keys are errors, nothing is converted, nothing changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class OpenBlock(Block):
    """A block whose further keys are gathered in the field `gather`, and written out flat again."""

    gather: ClassVar[str] = "options"

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        own = [name for name in cls.model_fields if name != cls.gather]
        fixed = {key: item for key, item in value.items() if key in own}
        return {**fixed, cls.gather: {k: v for k, v in value.items() if k not in own}}

    @model_serializer(mode="wrap")
    def _spread(self, handler: Any) -> dict[str, Any]:
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


class Episodes(Block):
    """N way, K shot, Q query per class; a pair is a range, drawn anew for each meta-batch."""

    way: Shape
    shot: Shape
    query: Count
    balanced: bool = True
    shift: Annotated[int, Field(ge=0, le=64)] = 0  # pixels; in training only


class Train(Block):
    """The outer loop. `clip` bounds the gradient's norm, `chunk` is how many tasks run at once."""

    steps: Count
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
    precision: Literal["float32", "bfloat16"] = "float32"  # of the backbone's products


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


class Recipe(Block):
    """One training run, written down. `kind` decides which blocks belong to it."""

    version: Annotated[int, PlainValidator(_version)] = VERSION
    kind: Literal["meta", "multitask"]
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: Data
    # None only where `kind` is multitask, whose verbs never read them.
    episodes: Episodes = None  # type: ignore[assignment]
    backbone: Named
    algorithm: Named = None  # type: ignore[assignment]
    sharing: Named | None = None
    weighting: Named | None = None
    surgery: Named | None = None
    guard: bool = False
    groups: Groups = None
    relatedness: Literal["gradient-cosine", "lookahead", "fisher"] = "gradient-cosine"
    train: Train
    evaluate: Evaluate = Field(default_factory=Evaluate)
    baselines: Names = ()
    expect: Expect | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Recipe:
        for key in FOREIGN_TO_KIND[self.kind]:
            if key in self.model_fields_set:
                raise wrong(f"of kind {self.kind} does not take {key}")
        for key in REQUIRED_BY_KIND[self.kind]:
            if getattr(self, key) is None:
                raise wrong(f"of kind {self.kind} needs {key}")
        return self

    def plain(self) -> dict[str, Any]:
        """Every setting as plain dicts, lists and scalars, without the keys of the other kind."""
        return self.model_dump(exclude=set(FOREIGN_TO_KIND[self.kind]))


def valid_keys() -> tuple[str, ...]:
    """Every dotted key of the schema, such as `train.lr`, blocks themselves included."""
    keys: list[str] = []
    for name, field in Recipe.model_fields.items():
        keys.append(name)
        block = block_of(field.annotation)
        if block is not None:
            gather = block.gather if issubclass(block, OpenBlock) else None
            keys += [f"{name}.{inner}" for inner in block.model_fields if inner != gather]
    return tuple(keys)


def block_of(annotation: Any) -> type[Block] | None:
    """The block that a field holds, or None for a plain value."""
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, Block):
            return candidate
    return None
