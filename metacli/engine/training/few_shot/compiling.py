"""When `train.execution: auto` means `compiled`: where a program saves clearly more time than it
takes to be made, and can be made here. It rounds differently from what runs without a compiler."""

from __future__ import annotations

from typing import NamedTuple

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.reptile import Reptile
from metacli.compiled import can_compile
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


# By learner, first order and the number of inner steps; others gain next to nothing.
PROGRAMS: dict[tuple[type[Learner], bool, int], Program] = {
    (MAML, False, 1): Program(52, 0.0010),
    (MAML, False, 5): Program(143, 0.0034),
    (MAML, True, 5): Program(73, 0.0021),
    (Reptile, True, 5): Program(85, 0.0068),
}
IMAGES, WIDTH, SMALL = (28, 28), 64, 15  # of what was measured; images of a step at most


def worth_compiling(
    recipe: FewShotRecipe, learner: Learner, inputs: InputSpec, execution: str, device: str
) -> str | None:
    """What is said of a run that takes a program; None where none is taken.

    Args:
        recipe: as it was written. execution: what its `auto` means without one.
    """
    train = recipe.train
    if (train.execution, train.precision, device) != ("auto", "float32", "cpu"):
        return None
    program = PROGRAMS.get((type(learner), learner.first_order, learner.inner_steps or 0))
    if program is None or train.meta_batch == 1 or not was_measured(recipe, learner, inputs):
        return None
    saved = train.steps * train.meta_batch * program.saved
    if saved < WORTH * program.made or not can_compile():
        return None
    return (
        f"train.execution=compiled: a program is made first (about {program.made:.0f} s), which "
        f"saves about {saved / 60:.0f} minutes of {train.steps:,} steps; "
        f"train.execution={execution} has the same digits on machines without a compiler"
    )


def was_measured(recipe: FewShotRecipe, learner: Learner, inputs: InputSpec) -> bool:
    """Whether network and tasks are those of the table."""
    episodes, options = recipe.episodes, recipe.backbone.options
    if not isinstance(episodes.way, int) or not isinstance(episodes.shot, int):
        return False
    images = episodes.way * (episodes.shot + episodes.query)
    if isinstance(learner, Reptile):
        images = min(images, learner.inner_batch)
    return (
        recipe.backbone.name == "conv4"
        and options.get("downsample") == "stride"
        and options.get("width", WIDTH) == WIDTH
        and inputs.shape[1:] == IMAGES
        and learner.adapts == ("",)
        and images <= SMALL
    )
