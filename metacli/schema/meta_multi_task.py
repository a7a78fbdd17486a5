"""A recipe of kind meta-multitask: learn from many sets of tasks, to learn a new set at once."""

from __future__ import annotations

from typing import Any, Literal

from metacli.schema.base import BaseRecipe
from metacli.schema.blocks import Block, Named
from metacli.schema.values import Count, OptionalShape


class Sets(Block):
    """How large a set is; a pair is a range, drawn again for each meta-batch.

    Of regressions `points`, the support points of a set, and `query`, the query points of a task.
    Of classifications `tasks` of `way` classes with `shot` examples each, and `query` per class.
    """

    points: OptionalShape = None
    tasks: OptionalShape = None
    way: OptionalShape = None
    shot: OptionalShape = None
    query: Count


class MetaMultiTaskRecipe(BaseRecipe):
    """What `meta-train` trains on sets of tasks."""

    kind: Literal["meta-multitask"]
    sets: Sets
    backbone: Named | None = None
    algorithm: Named

    def plain(self) -> dict[str, Any]:
        """As every recipe's, without what is left out."""
        found = super().plain()
        found["sets"] = {key: value for key, value in found["sets"].items() if value is not None}
        return found if self.backbone else {k: v for k, v in found.items() if k != "backbone"}
