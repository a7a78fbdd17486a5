"""Recipe of kind multitask -> objects; every problem goes into one list of recipe errors."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Literal

from metacli.algorithms import ALGORITHMS, canonical, names
from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask, Solved
from metacli.data.catalogue.registry import DATASETS
from metacli.data.multi_task.dataset import MultiTaskData, MultiTaskRows
from metacli.data.multi_task.from_tables import plain_columns
from metacli.data.multi_task.splits import divide_rows
from metacli.data.sources import load_multi_task
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.parts import TaskHeads
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.build import Built, make_named, make_options, unknown_name
from metacli.engine.training.multi_task_checks import check_data, check_fit, input_of_tasks
from metacli.errors import Finding
from metacli.nn.backbones.table import BACKBONES, make_backbone
from metacli.nn.multi_task import Encoder, TaskProblem
from metacli.nn.selected import ChosenProblem
from metacli.nn.sharing import SHARING, make_sharing
from metacli.nn.sharing.grouped import grouped
from metacli.schema.blocks import Named
from metacli.schema.load import Loaded
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import Recipe


@dataclass(frozen=True)
class TaskBuilt(Built):
    """What a recipe of kind multitask names, made. `learner` is the method; `kind` says whether
    the metric is better low (regression) or high."""

    recipe: MultiTaskRecipe  # type: ignore[assignment]
    rows: MultiTaskRows = None  # type: ignore[assignment]  # follows fields without defaults

    @property
    def table(self) -> MultiTaskData:
        return self.rows.table

    @cached_property
    def problem(self) -> TaskProblem:  # type: ignore[override]
        return trained_problem(self.recipe, self.inputs, describe_tasks(self.table))


def build_tasks(loaded: Loaded) -> TaskBuilt:
    """Raises RecipeError with every problem found, DataError for the data; nothing is written."""
    recipe = loaded.recipe
    if recipe.kind != "multitask":
        message = f"a recipe of kind {recipe.kind}, multitask trains kind multitask"
        raise loaded.error([loaded.finding("kind", message, hint="metacli recipes lists them")])
    findings: list[Finding] = []
    sharing: Any = make_named(recipe.sharing, SHARING, "sharing", loaded, findings)
    backbone = make_named(recipe.backbone, BACKBONES, "backbone", loaded, findings)
    weighting = make_balancing(recipe.weighting, "weighting", loaded, findings)
    surgery = None
    if recipe.surgery is not None:
        surgery = make_balancing(recipe.surgery, "surgery", loaded, findings)
    if not findings:
        findings += check_fit(recipe, sharing, backbone, weighting, loaded)
    if findings:
        raise loaded.error(findings)
    rows = make_rows(recipe)
    findings += check_data(recipe, sharing, backbone, rows.table, loaded)
    if findings:
        raise loaded.error(findings)
    solved = hasattr(sharing, "solve")
    method: Any = MultiTask(weighting=weighting, surgery=surgery)
    if solved or getattr(weighting, "needs_validation", False):
        method = Solved() if solved else MetaWeighted(weighting=weighting)
    inputs = input_of_tasks(rows.table)
    kind: Literal["classification", "regression"]
    kind = "regression" if rows.table.metric in LOWER_IS_BETTER else "classification"
    resolved = resolve(recipe, sharing, backbone, weighting, surgery, solved)
    return TaskBuilt(resolved, method, method, inputs, kind, len(rows.table.tasks), rows)


def make_balancing(block: Named, key: str, loaded: Loaded, findings: list[Finding]) -> Any:
    """A weighting or a surgery of the table; None when a finding was added."""
    inside = f"multitask.{key}."
    known = [name for name in names("multitask") if ALGORITHMS[name].module.startswith(inside)]
    name = canonical(block.name)
    if name not in known:
        findings.append(unknown_name(loaded, f"{key}.name", block.name, known))
        return None
    return make_options(ALGORITHMS[name].load(), block.options, key, loaded, findings)


def make_rows(recipe: Recipe) -> MultiTaskRows:
    """The data, divided. Raises DataError."""
    table, options = load_multi_task(recipe.data.source, recipe.data.options, cache_root())
    parts = divide_rows(table, options.split_seed)
    return MultiTaskRows(table, parts, ("train", recipe.seed), options.rows)


def describe_tasks(table: MultiTaskData) -> TaskHeads:
    """What a model remembers of its tasks."""
    return TaskHeads(
        tasks=tuple(table.tasks),
        kinds=tuple(table.kinds),
        metric=table.metric,
        labels=tuple(map(tuple, table.labels)),
        read=(table.read or plain_columns(table)).as_dict(),
    )


def make_task_problem(
    recipe: MultiTaskRecipe, inputs: InputSpec, heads: TaskHeads
) -> TaskProblem | ChosenProblem:
    """The stateless network of a model; of a guarded one both of its networks."""
    together = trained_problem(recipe, inputs, heads)
    if not heads.guard:
        return together
    alone = trained_problem(single_recipe(recipe), inputs, heads)
    return ChosenProblem(together, alone, tuple(one == "together" for one in heads.guard))


def trained_problem(recipe: MultiTaskRecipe, inputs: InputSpec, heads: TaskHeads) -> TaskProblem:
    """The stateless network of a resolved recipe, as it is trained."""
    sizes, encoder = trunk_of(recipe, inputs)
    sharing = make_sharing(recipe.sharing.name, recipe.sharing.options)
    if isinstance(recipe.groups, tuple):
        sharing = grouped(sharing, numbered(recipe.groups, heads.tasks))
    return TaskProblem(
        sharing,
        sizes,
        tuple(kind == "classification" for kind in heads.kinds),
        heads.metric,
        # Models of before several classes were possible have no labels written down.
        classes=tuple(map(len, heads.labels)),
        encoder=encoder,
        columns=prod(inputs.shape) if encoder is not None else 0,
    )


def trunk_of(recipe: MultiTaskRecipe, inputs: InputSpec) -> tuple[tuple[int, ...], Encoder | None]:
    """The inputs and hidden units of the trunk, and what reads an example before it."""
    backbone = make_backbone(recipe.backbone.name, recipe.backbone.options)
    if hasattr(backbone, "hidden"):
        return (prod(inputs.shape), *backbone.hidden), None
    module, features = backbone.build(inputs.shape)
    return (features,), Encoder(module, inputs.shape)


def numbered(
    groups: tuple[tuple[str, ...], ...], tasks: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Groups of names as task numbers; a task in none of them is alone."""
    number = {name: at for at, name in enumerate(tasks)}
    given = [tuple(number[name] for name in group) for group in groups if group]
    inside = {task for group in given for task in group}
    return (*given, *((task,) for task in range(len(tasks)) if task not in inside))


def single_recipe(recipe: MultiTaskRecipe) -> MultiTaskRecipe:
    """The recipe of the same network for each task by itself."""
    plain = recipe.plain()
    alone: dict[str, Any] = {"name": "none"}
    if "share" in plain["sharing"]:
        alone = {**plain["sharing"], "share": False}
    plain |= {"sharing": alone, "weighting": {"name": "equal"}, "surgery": None}
    return MultiTaskRecipe.model_validate(plain | {"groups": None, "guard": False})


def resolve(
    recipe: MultiTaskRecipe, sharing: Any, backbone: Any, weighting: Any, surgery: Any, solved: bool
) -> MultiTaskRecipe:
    """The recipe with every default written out."""
    options = lambda value: json.loads(json.dumps(dataclasses.asdict(value)))  # noqa: E731  # tuples to lists
    plain = recipe.plain()
    if recipe.data.source not in DATASETS:  # the run is gone on with from any folder
        plain["data"]["source"] = str(Path(recipe.data.source).absolute())
    for key, value in (
        ("sharing", sharing),
        ("backbone", backbone),
        ("weighting", weighting),
        ("surgery", surgery),
    ):
        if value is not None:
            plain[key] = {"name": canonical(plain[key]["name"]), **options(value)}
    plain["train"] |= {"execution": "loop", "chunk": 1}
    if solved:
        plain["train"]["steps"] = 1
    return MultiTaskRecipe.model_validate(plain)
