"""A recipe of kind meta-multitask: learn from many sets of tasks, to learn a new set at once."""

from __future__ import annotations

from typing import Literal

from metacli.schema.base import BaseRecipe
from metacli.schema.blocks import Block, Named
from metacli.schema.values import Count, Shape


class Sets(Block):
    """Support points of a set and query points of each task; a pair is a range, drawn anew for each
    meta-batch."""

    points: Shape
    query: Count


class MetaMultiTaskRecipe(BaseRecipe):
    """What `meta-train` trains on sets of tasks."""

    kind: Literal["meta-multitask"]
    sets: Sets
    algorithm: Named
