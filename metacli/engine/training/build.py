"""A recipe of kind meta made: the only place where names become backbones, learners and sources.

Options of a block are checked against the fields of the dataclass that the block names, and every
problem goes into the same list of recipe errors as those of the schema: one truth about what a
recipe may say.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from torch import nn

from metacli.algorithms import canonical, find, names
from metacli.compiled import require_compiler
from metacli.data.catalogue.registry import DATASETS
from metacli.data.catalogue.registry import make_options as make_options_of_data
from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.data.few_shot.class_batches import ClassBatches, num_labels
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.regression import RegressionEpisodes, RegressionTasks
from metacli.data.few_shot.source import EpisodeSource
from metacli.data.few_shot.user_regression import holds_regression_tasks
from metacli.data.sources import load_pool, load_regression_tasks
from metacli.engine.models.inputs import InputSpec, input_of_pool, input_of_tasks
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.execution import check_execution, resolve_execution
from metacli.errors import Finding, RecipeError
from metacli.nn.backbones.table import BACKBONES, make_backbone
from metacli.nn.layers.inputs import PixelInput
from metacli.nn.problem import Problem, Statistics, make_module
from metacli.schema.blocks import Named
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded
from metacli.schema.recipe import Recipe

Range = int | tuple[int, int]


@dataclass(frozen=True)
class Built:
    """Everything a recipe names, made. `recipe` is fully resolved: every default and every `auto`
    written out."""

    recipe: FewShotRecipe
    learner: Any
    deployed: Any  # with the fields that `evaluate` replaces: how it is validated and shipped
    inputs: InputSpec
    kind: Literal["classification", "regression"]
    way: int

    @cached_property
    def problem(self) -> Problem:
        """As it is trained; a model is used in full precision."""
        made = make_problem(self.recipe, self.learner, self.inputs, self.way)
        train = self.recipe.train
        compiled = train.execution == "compiled"
        return dataclasses.replace(made, precision=train.precision, compiled=compiled)


def build(loaded: Loaded, report: Any = None) -> Built:
    """Raises RecipeError with every problem found; nothing has been written or trained by then."""
    recipe = loaded.recipe
    if recipe.kind != "meta":
        message = f"a recipe of kind {recipe.kind}, meta-train trains kind meta"
        raise loaded.error([loaded.finding("kind", message, hint="metacli recipes lists them")])
    findings: list[Finding] = []
    learner = make_learner(recipe.algorithm, loaded, findings)
    backbone = make_named(recipe.backbone, BACKBONES, "backbone", loaded, findings)
    if findings:
        raise loaded.error(findings)
    inputs, kind = describe_data(recipe)
    learner = told_classes(learner, recipe, kind, loaded, findings)
    deployed = replace_fields(learner, recipe.evaluate.replace, loaded, findings)
    way = recipe.episodes.way if isinstance(recipe.episodes.way, int) else recipe.episodes.way[1]
    findings += check_fit(recipe, learner, backbone, inputs, kind, loaded)
    if findings:
        raise loaded.error(findings)
    if recipe.train.execution == "compiled":
        require_compiler()
    return Built(resolve(recipe, learner, backbone, inputs), learner, deployed, inputs, kind, way)


def make_learner(
    block: Named, loaded: Loaded, findings: list[Finding], key: str = "algorithm"
) -> Any:
    """The learner of the table, its preset fields set; None when a finding was added."""
    entry = find(block.name, "meta")
    if entry is None:
        findings.append(unknown_name(loaded, f"{key}.name", block.name, names("meta")))
        return None
    for name in sorted(set(block.options) & set(entry.preset)):
        # As JSON: a tuple of the table is a list in a recipe.
        if json.dumps(block.options[name]) != json.dumps(entry.preset[name]):
            message = f"{key}.{name} is what {block.name} means: {entry.preset[name]}"
            findings.append(loaded.finding(f"{key}.{name}", message, code="recipe.preset"))
    return make_options(entry.load(), {**block.options, **entry.preset}, key, loaded, findings)


def make_named(
    block: Named, table: Mapping[str, Any], key: str, loaded: Loaded, findings: list[Finding]
) -> Any:
    """The dataclass that a block names, with its options; None when a finding was added."""
    if block.name not in table:
        findings.append(unknown_name(loaded, f"{key}.name", block.name, list(table)))
        return None
    return make_options(table[block.name](), block.options, key, loaded, findings)


def make_options(
    cls: type, options: Mapping[str, Any], key: str, loaded: Loaded, findings: list[Finding]
) -> Any:
    """An instance of the dataclass, or None when findings were added: unknown keys and values out
    of range."""
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = [name for name in options if name not in known]
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {key}.{near[0]}?" if near else f"the keys are {', '.join(known)}"
        message = f"unknown key {key}.{name}"
        findings.append(
            loaded.finding(f"{key}.{name}", message, code="recipe.unknown_key", hint=hint)
        )
    try:
        # By way of JSON: strict about types, and yet a list is a tuple and a whole number a float.
        text = json.dumps({name: value for name, value in options.items() if name in known})
        made: Any = TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        for item in error.errors():
            name = ".".join([key, *map(str, item["loc"])])
            found = f"{name}: {item['msg'][:1].lower()}{item['msg'][1:]}, found {item['input']!r}"
            findings.append(loaded.finding(name, found, code="recipe.value"))
        return None
    return None if unknown else made


def unknown_name(loaded: Loaded, key: str, name: str, known: list[str]) -> Finding:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return loaded.finding(key, f"unknown {key} {name!r}", code="recipe.unknown_name", hint=hint)


def replace_fields(
    learner: Any, fields: Mapping[str, Any], loaded: Loaded, findings: list[Finding]
) -> Any:
    """The learner as `evaluate` wants it."""
    if not fields:
        return learner
    current = vars(learner)
    return make_options(type(learner), {**current, **fields}, "evaluate", loaded, findings)


def describe_data(
    recipe: FewShotRecipe,
) -> tuple[InputSpec, Literal["classification", "regression"]]:
    """What one example looks like and what kind of task it is, without decoding anything."""
    source = recipe.data.source
    entry = DATASETS.get(source)
    if entry is not None and entry.kind == "waves":
        shape = make_options_of_data(entry, recipe.data.options).input_shape
        return InputSpec("numbers", shape), "regression"
    if has_tasks(recipe):
        return input_of_tasks(regression_tasks_of(recipe, "train")), "regression"
    return input_of_pool(load(recipe, "train"), recipe), "classification"


def has_tasks(recipe: Recipe) -> bool:
    """Whether episodes are of tasks with numbers to predict, not of classes."""
    entry = DATASETS.get(recipe.data.source)
    if entry is not None:
        return entry.kind == "tasks"
    return holds_regression_tasks(recipe.data.source, recipe.data.options)


def regression_tasks_of(recipe: Recipe, split: str) -> RegressionTasks:
    """The tasks of one split."""
    return load_regression_tasks(recipe.data.source, split, recipe.data.options, cache_root())


def load(recipe: FewShotRecipe, split: str, report: Any = None) -> Pool:
    """The pool of classes of one split."""
    options = {k: v for k, v in recipe.data.options.items() if k != "invert"}
    if recipe.data.source not in DATASETS:
        span = recipe.episodes.way  # each part of a folder that is divided needs this many classes
        options.setdefault("way", span if isinstance(span, int) else span[1])
    return load_pool(recipe.data.source, split, options, cache_root(), report or (lambda *_: None))


def make_source(
    recipe: FewShotRecipe,
    split: str,
    *,
    way: Range | None = None,
    shot: Range | None = None,
    query: int | None = None,
    seed: int | None = None,
    balanced: bool | None = None,
) -> EpisodeSource:
    """Training episodes (seed None) follow the run's seed; others depend on what is evaluated, not
    on the run."""
    episodes = recipe.episodes
    way, shot, query = way or episodes.way, shot or episodes.shot, query or episodes.query
    balanced = episodes.balanced if balanced is None else balanced
    size = recipe.train.meta_batch if seed is None else 1
    entry = DATASETS.get(recipe.data.source)
    if entry is not None and entry.kind == "waves":
        key = (
            ("train", recipe.seed) if seed is None else (seed, "sinusoid", split, way, shot, query)
        )
        options = make_options_of_data(entry, recipe.data.options)
        return Sinusoids(shot, query, key, meta_batch=size, split=split, told=options.told)
    if has_tasks(recipe):
        tasks = regression_tasks_of(recipe, split)
        named = ("train", recipe.seed) if seed is None else (seed, tasks.digest, shot, query)
        return RegressionEpisodes(tasks=tasks, shot=shot, query=query, seed=named, meta_batch=size)
    pool = load(recipe, split)
    key = ("train", recipe.seed) if seed is None else (seed, pool.digest, split, way, shot, query)
    return ClassEpisodes(
        pool=pool,
        way=way,
        shot=shot,
        query=query,
        balanced=balanced,
        seed=key,
        meta_batch=size,
        shift=episodes.shift if seed is None else 0,
    )


def told_classes(
    learner: Any, recipe: FewShotRecipe, kind: str, loaded: Loaded, findings: list[Finding]
) -> Any:
    """The learner with the number of classes of the training pool, where it needs that."""
    if learner.trains_on != "classes" or kind != "classification":
        return learner
    count = num_labels(load(recipe, "train"))
    if learner.classes not in (None, count):
        message = f"the training data have {count} classes, algorithm.classes is {learner.classes}"
        hint = "leave algorithm.classes out"
        findings.append(
            loaded.finding("algorithm.classes", message, code="recipe.mismatch", hint=hint)
        )
    return dataclasses.replace(learner, classes=count)


def batches_for(learner: Any, source: EpisodeSource) -> EpisodeSource | ClassBatches:
    """What a learner is trained on: the episodes, or their pictures with the pool's labels."""
    if learner.trains_on == "classes" and isinstance(source, ClassEpisodes):
        return ClassBatches(source)
    return source


def check_fit(
    recipe: FewShotRecipe, learner: Any, backbone: Any, inputs: InputSpec, kind: str, loaded: Loaded
) -> list[Finding]:
    """What each block allows by itself but not together."""
    found: list[Finding] = []
    kinds = learner.kinds
    if kind not in kinds:
        message = (
            f"{recipe.algorithm.name} is for {' and '.join(kinds)}, {recipe.data.source} is {kind}"
        )
        found.append(loaded.finding("algorithm.name", message, code="recipe.mismatch"))
    if inputs.kind not in backbone.takes:
        message = f"backbone {recipe.backbone.name} does not take {inputs.kind}"
        found.append(loaded.finding("backbone.name", message, code="recipe.mismatch"))
    elif backbone.build(inputs.shape)[1] == 0:
        size = "x".join(map(str, inputs.shape[1:]))
        message = f"backbone {recipe.backbone.name} leaves nothing of pictures of {size}"
        hint = "data.size=28, or backbone.downsample=stride of conv4"
        found.append(loaded.finding("backbone.name", message, code="recipe.mismatch", hint=hint))
    if getattr(backbone, "weights", None) is not None:
        try:
            backbone.check()
        except RecipeError as error:
            message = f"{error.message}: {error.where}"
            found.append(
                loaded.finding("backbone.weights", message, code=error.code, hint=error.hint)
            )
    found += check_prefixes(learner, backbone, inputs, loaded)
    way_varies = not isinstance(recipe.episodes.way, int)
    if way_varies and not learner.any_way:
        message = f"{recipe.algorithm.name} has a head of fixed way, episodes.way is a range"
        hint = "algorithm.head=proto or algorithm.head=shared adapts to any number of classes"
        found.append(loaded.finding("episodes.way", message, code="recipe.mismatch", hint=hint))
    statistics = statistics_of(backbone)
    if statistics == "running" and not learner.running_statistics:
        message = (
            f"{recipe.algorithm.name} keeps no running statistics: its weights change in every task"
        )
        hint = "backbone.norm=batch takes them from the support"
        found.append(loaded.finding("backbone.norm", message, code="recipe.mismatch", hint=hint))
    if statistics != "none" and not recipe.episodes.balanced:
        message = "padding would enter the batch statistics of unbalanced episodes"
        found.append(
            loaded.finding(
                "backbone.norm", message, code="recipe.mismatch", hint="backbone.norm=group"
            )
        )
    found += check_execution(recipe, learner, loaded)
    return found


def check_prefixes(learner: Any, backbone: Any, inputs: InputSpec, loaded: Loaded) -> list[Finding]:
    """Prefixes of an inner loop that name no parameter: it would silently adapt less or nothing."""
    names = [f"backbone.{name}" for name, _ in backbone.build(inputs.shape)[0].named_parameters()]
    names += ["head.weight", "head.bias"]
    idle = [p for p in learner.adapts if not any(n.startswith(p) for n in names)]
    hint = f"names begin with {', '.join(sorted({n.rpartition('.')[0] for n in names})[:4])}, ..."
    return [
        loaded.finding("algorithm.adapts", f"no parameter begins with {prefix!r}", hint=hint)
        for prefix in idle
    ]


def resolve(recipe: FewShotRecipe, learner: Any, backbone: Any, inputs: InputSpec) -> FewShotRecipe:
    """The recipe with every default and every `auto` written out."""
    execution, chunk = resolve_execution(recipe, learner, inputs)
    options = lambda value: json.loads(json.dumps(dataclasses.asdict(value)))  # noqa: E731  # tuples to lists
    plain = recipe.plain()
    if recipe.data.source not in DATASETS:  # the run is gone on with from any folder
        plain["data"]["source"] = str(Path(recipe.data.source).absolute())
    plain["algorithm"] = {"name": canonical(recipe.algorithm.name), **options(learner)}
    plain["backbone"] = {"name": recipe.backbone.name, **options(backbone)}
    if plain["backbone"].get("weights"):
        plain["backbone"]["weights"] = str(Path(plain["backbone"]["weights"]).absolute())
    plain["train"] |= {"execution": execution, "chunk": chunk}
    return FewShotRecipe.model_validate(plain)


def statistics_of(backbone: Any) -> Statistics:
    """Where predictions take their normalisation statistics from."""
    found: dict[str, Statistics] = {"batch": "support", "task": "support", "running": "running"}
    return found.get(getattr(backbone, "norm", "none"), "none")


def make_problem(recipe: FewShotRecipe, learner: Any, inputs: InputSpec, way: int) -> Problem:
    """The stateless network of a resolved recipe."""
    backbone = make_backbone(recipe.backbone.name, recipe.backbone.options)
    module, features = backbone.build(inputs.shape)
    entrance: nn.Module = nn.Identity()
    if inputs.kind == "image":
        entrance = PixelInput(inputs.shape[0], invert=inputs.invert)
    kind: Literal["classification", "regression"]
    kind = "regression" if inputs.regresses else "classification"
    return Problem(
        module=make_module(entrance, module),
        features=features,
        kind=kind,
        head=learner.head_size(way),
        statistics=statistics_of(backbone),
        chunk=recipe.train.chunk or 1,
        unit=inputs.unscaled.scale,
    )


def restore_learner(recipe: FewShotRecipe, *, deployed: bool = True) -> Any:
    """The learner of a recipe that was checked before (a model's own); of columns of a table, which
    have none, the transfer method."""
    entry = find(recipe.algorithm.name, "meta") or find(recipe.algorithm.name, "transfer")
    if entry is None:
        raise RecipeError(
            f"unknown algorithm {recipe.algorithm.name!r}", code="recipe.unknown_name"
        )
    fields = {**recipe.algorithm.options, **(recipe.evaluate.replace if deployed else {})}
    return TypeAdapter(entry.load()).validate_json(json.dumps(fields), strict=True)
