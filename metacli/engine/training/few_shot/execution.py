"""`train.execution`: how the tasks of a meta-batch are computed."""

from __future__ import annotations

import math

from metacli.algorithms.learner import Learner
from metacli.engine.models.inputs import InputSpec
from metacli.engine.training.problems import Problems
from metacli.schema.blocks import Train
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.values import largest

CHUNK = 8  # tasks at a time where the recipe names an execution and no chunk


def check_execution(recipe: FewShotRecipe, learner: Learner, problems: Problems) -> None:
    """Executions that are asked for by name and cannot be had."""
    train, name = recipe.train, recipe.algorithm.name
    message, hint = "", "train.execution=vmap, loop or auto"
    spans = (recipe.episodes.way, recipe.episodes.shot)
    if train.execution == "batched":
        message = "execution batched is not offered: matrix products are no faster than vmap here "
        message += "until they are compiled"
        hint = "train.execution=compiled, vmap, loop or auto"
    elif train.execution == "compiled" and not learner.compiles:
        message = f"execution compiled is not for {name}"
    elif train.execution == "compiled" and not all(isinstance(one, int) for one in spans):
        message = "execution compiled needs tasks of one size: a program is of one shape"
    if message:
        problems.add("train.execution", message, hint, code="recipe.value")
    chunks = train.execution == "compiled" and (train.chunk or 1) > 1
    if train.precision == "bfloat16" and (chunks or train.execution == "vmap"):
        message = f"precision {train.precision} is for tasks one by one"
        problems.add("train.precision", message, "train.execution=loop, compiled or auto, no chunk")


def resolve_execution(
    recipe: FewShotRecipe, learner: Learner, inputs: InputSpec, device: str = "cpu"
) -> tuple[str, int]:
    """`auto`: a fixed rule from measured tables, never a timing, so that a recipe has the same
    bits everywhere.

    The table is benchmarks/results/speed.json: tasks are batched by vmap where each is small;
    weights for each task make large convolutions slower than a loop does. That is so for larger
    tasks where the network's inner loop is differentiated, which is many short operations, and for
    smaller ones where an inner loop is not.

    Args:
        device: its kind; on a GPU more tasks at a time (`on_cuda`).
    """
    train = recipe.train
    half = train.precision == "bfloat16"
    if half and train.execution == "compiled":
        return "compiled", 1
    if train.execution == "loop" or half:
        return "loop", 1
    if train.execution in ("vmap", "compiled"):
        return train.execution, named_chunk(train)
    if device == "cuda" and learner.trains_on != "classes":
        return on_cuda(recipe, inputs)
    if inputs.kind == "numbers":
        return "vmap", train.meta_batch
    per_task = largest(recipe.episodes.way) * (
        largest(recipe.episodes.shot) + recipe.episodes.query
    )
    if learner.trains_on == "classes":
        return "loop", 1
    strided = recipe.backbone.options.get("downsample") == "stride"
    inner_loop, first_order = learner.has_path, learner.first_order
    head_alone = all(name.startswith("head") for name in learner.adapts)
    most = 15 if inner_loop and first_order else 40
    if inner_loop and not (first_order or head_alone) and strided:
        most = 100
    if train.meta_batch > 1 and per_task <= most:
        few = 16 if train.meta_batch >= 32 else 8  # at least two chunks, for two threads
        return "vmap", min(few if per_task <= 15 else 4, train.meta_batch)
    return "loop", 1


def named_chunk(train: Train) -> int:
    """Tasks at a time of an execution that has no rule of its own for that."""
    return min(train.chunk or CHUNK, train.meta_batch)


CUDA_NUMBERS = 16_000_000
"""Numbers in the examples of one chunk on a GPU: 7 tasks of 100 images of 3 x 84 x 84. A Conv4 of
width 64 keeps some 2 GB of each of those between a second-order step's passes."""


def on_cuda(recipe: FewShotRecipe, inputs: InputSpec) -> tuple[str, int]:
    """A GPU waits for the launch of every operation of a task by itself, so as many tasks as there
    is room for are one operation. Bounded by memory, not measured."""
    episodes = recipe.episodes
    rows = largest(episodes.way) * (largest(episodes.shot) + episodes.query)
    task = max(1, rows * math.prod(inputs.shape))
    return "vmap", max(1, min(recipe.train.meta_batch, CUDA_NUMBERS // task))
