"""A recipe of kind multitask: learn many related tasks together."""

from __future__ import annotations

from typing import Literal

from metacli.schema.base import BaseRecipe
from metacli.schema.blocks import Named
from metacli.schema.values import Groups

Relatedness = Literal["gradient-cosine", "lookahead", "fisher"]


class MultiTaskRecipe(BaseRecipe):
    """What `multitask` trains."""

    kind: Literal["multitask"]
    backbone: Named
    sharing: Named
    weighting: Named
    surgery: Named | None = None
    guard: bool = False
    groups: Groups = None
    relatedness: Relatedness = "gradient-cosine"
