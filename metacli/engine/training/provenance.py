"""Where a model came from, for its `model.json`."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from metacli.engine.results.base import Json
from metacli.engine.training import journal
from metacli.engine.training.plugged import versions_of_plugins
from metacli.engine.training.workspace import Workspace
from metacli.schema.recipe import Recipe


def provenance(
    workspace: Workspace, recipe: Recipe, data: Mapping[str, Json], steps: int
) -> dict[str, Json]:
    """The facts of a run that a model keeps.

    Args:
        data: what it learned from (`DataFacts.shown`).
        steps: that were taken for this model.
    """
    return {
        "recipe": workspace.name,
        "created": journal.now(),
        "steps": steps,
        "seed": recipe.seed,
        "versions": {**journal.versions()},
        "threads": torch.get_num_threads(),
        "device": str(workspace.device),
        "data": {**data},
        **versions_of_plugins(recipe),
    }
