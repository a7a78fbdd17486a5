"""What else the guard tries beside the run's own network: the groups that relatedness suggests, and
weights that are learned for every task (`auto-lambda` on `auxiliary` sharing).

Each is made of the rows that it may see: in an inner fold the groups are those of the other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pydantic import JsonValue

from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.models.multi_task_networks import trained_problem
from metacli.engine.training.multi_task import relatedness as related
from metacli.engine.training.multi_task.build import MultiTaskBuilt
from metacli.engine.training.multi_task.single_task import Candidate
from metacli.engine.training.options import written_out
from metacli.nn.selected import is_solved
from metacli.schema.multi_task import MultiTaskRecipe

GROUPS, LEARNED = "groups", "learned-weights"
MOST_LEARNED = 24  # tasks: T networks with a head for each of T tasks
MOST_WORK = 1e12  # multiplications of one training with learned weights: some minutes
PASSES = 12  # forward and backward, of a step and of the three that its weights take


def others(built: MultiTaskBuilt, rows: MultiTaskRows) -> Sequence[Candidate]:
    """Those that the recipe and its data allow, the same ones whatever the rows."""
    found = []
    if can_be_grouped(built):
        groups = related.relatedness(built.recipe.relatedness, rows, built.recipe.seed).groups
        named = tuple(tuple(group) for group in groups)
        found.append(candidate(GROUPS, built, built.recipe.model_copy(update={"groups": named})))
    if can_be_weighted(built):
        found.append(candidate(LEARNED, built, weighted(built.recipe)))
    return found


def names_of_others(built: MultiTaskBuilt) -> list[str]:
    """Of those, without making them."""
    allowed = {GROUPS: can_be_grouped(built), LEARNED: can_be_weighted(built)}
    return [name for name, there in allowed.items() if there]


def can_be_grouped(built: MultiTaskBuilt) -> bool:
    """Groups can be measured, none are given, and no weighting needs a layer of all tasks."""
    method = built.method
    norms = isinstance(method, MultiTask) and method.weighting.needs_norms
    free = built.recipe.groups is None and not isinstance(method, MetaWeighted) and not norms
    return free and related.measurable(built.problem, built.rows)


def can_be_weighted(built: MultiTaskBuilt) -> bool:
    """The network has layers to share, weights that are not learned yet, and what that takes is
    minutes."""
    problem = built.problem
    layers = problem.sharing.needs_trunk and not is_solved(problem) and problem.encoder is None
    few = problem.num_tasks <= MOST_LEARNED and problem.outputs == 1 and work(built) <= MOST_WORK
    return layers and few and not isinstance(built.method, MetaWeighted)


def work(built: MultiTaskBuilt) -> float:
    """Multiplications of a training with learned weights, in which each of T networks sees the rows
    of all T tasks."""
    rows, sizes, steps = built.rows, built.problem.sizes, built.recipe.train.steps
    most = max(rows.count(task) for task in range(len(rows.table.tasks)))
    weights = sum(before * after for before, after in pairwise(sizes))
    seen = built.problem.num_tasks**2 * (rows.rows_per_step or most)
    return float(PASSES * seen * weights * steps)


def weighted(recipe: MultiTaskRecipe) -> MultiTaskRecipe:
    """The same network for every task, which the others' losses shape as much as that helps."""
    weighting: dict[str, JsonValue] = {"name": "auto-lambda", **written_out(AutoLambda())}
    plain = recipe.plain() | {"sharing": {"name": "auxiliary"}, "weighting": weighting}
    return MultiTaskRecipe.model_validate(plain | {"surgery": None, "groups": None})


def candidate(name: str, built: MultiTaskBuilt, recipe: MultiTaskRecipe) -> Candidate:
    problem = trained_problem(recipe, built.inputs, built.heads)
    method = MetaWeighted(weighting=AutoLambda()) if name == LEARNED else built.method
    return Candidate(name, problem, method, recipe)
