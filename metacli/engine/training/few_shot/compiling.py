"""What `train.execution=compiled` would save. `auto` says it and does not take it: a recipe has the
same bits on every machine, with a compiler or without one, and a program rounds differently."""

from __future__ import annotations

from typing import NamedTuple

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.maml import MAML
from metacli.compiled import has_compiler
from metacli.engine.models.inputs import InputSpec
from metacli.schema.few_shot import FewShotRecipe

WORTH = 2  # times the seconds that a program takes to be made, of what it saves


class Program(NamedTuple):
    """Measured on two cores (benchmarks/results/compile_times.json).

    Args:
        made: seconds that it takes to be made. saved: seconds of each task.
    """

    made: float
    saved: float


PROGRAMS = {  # by first order and the number of inner steps; others gain next to nothing
    (False, 1): Program(52, 0.0010),
    (False, 5): Program(143, 0.0034),
    (True, 5): Program(73, 0.0021),
}
IMAGES, WIDTH, SMALL = (28, 28), 64, 15  # of what was measured; images of a task at most


def advice_on(
    recipe: FewShotRecipe, learner: Learner, inputs: InputSpec, execution: str
) -> str | None:
    """A sentence for a run that a program would shorten; None for any other, and where there is no
    compiler.

    Args:
        recipe: as it was written. execution: what its `auto` means.
    """
    episodes, train, options = recipe.episodes, recipe.train, recipe.backbone.options
    if (train.execution, execution) != ("auto", "vmap") or not isinstance(learner, MAML):
        return None
    measured = (
        recipe.backbone.name == "conv4"
        and options.get("downsample") == "stride"
        and options.get("width", WIDTH) == WIDTH
        and inputs.shape[1:] == IMAGES
        and learner.adapts == ("",)
        and isinstance(episodes.way, int)
        and isinstance(episodes.shot, int)
        and episodes.way * (episodes.shot + episodes.query) <= SMALL
    )
    program = PROGRAMS.get((learner.first_order, learner.inner_steps)) if measured else None
    if program is None:
        return None
    saved = train.steps * train.meta_batch * program.saved
    if saved < WORTH * program.made or not has_compiler():
        return None
    return (
        f"train.execution=compiled would save about {saved / 60:.0f} minutes of {train.steps:,} "
        f"steps, once its program is made (about {program.made:.0f} s); its numbers differ by "
        "rounding, so auto leaves it to you"
    )
