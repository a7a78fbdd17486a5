"""A recipe of kind meta: learn from many small tasks, to adapt to a new one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metacli.schema.base import BaseRecipe
from metacli.schema.blocks import Block, Named
from metacli.schema.values import Count, Shape


class Episodes(Block):
    """N way, K shot, Q query per class; a pair is a range, drawn for each meta-batch. Where tasks
    are what is new, `per: task` makes K and Q the rows of the whole task."""

    way: Shape
    shot: Shape
    query: Count
    balanced: bool = True
    per: Literal["class", "task"] = "class"
    shift: Annotated[int, Field(ge=0, le=64)] = 0  # pixels; in training only
    warp: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the size; in training only


class FewShotRecipe(BaseRecipe):
    """What `meta-train` trains."""

    kind: Literal["meta"]
    episodes: Episodes
    backbone: Named
    algorithm: Named
