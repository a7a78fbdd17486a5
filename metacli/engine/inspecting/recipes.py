"""`inspect` of a recipe: everything that would stop a training, before it starts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from metacli.engine.events import Progress, Reporter
from metacli.engine.inspecting.findings import Looked, bounded, command, findings_of
from metacli.engine.results.base import Json
from metacli.engine.sets.build import SetBuilt, build_sets
from metacli.engine.sets.class_build import ClassSetBuilt, build_class_sets, has_classes
from metacli.engine.training.few_shot.build import FewShotBuilt, build_few_shot
from metacli.engine.training.few_shot.sources import make_source, validation_source
from metacli.engine.training.multi_task.build import MultiTaskBuilt, build_multi_task
from metacli.errors import DataError, EnvironmentProblem, Finding, RecipeError
from metacli.schema.load import Loaded, load
from metacli.schema.recipe import Recipe

NOT_FETCHED = "data.not_fetched"
AnyBuilt = FewShotBuilt | MultiTaskBuilt | SetBuilt | ClassSetBuilt


def look_at_recipe(name: str, report: Reporter) -> Looked:
    """Read, build, and try the episodes of training and validation."""
    try:
        loaded = load(name)
    except RecipeError as error:
        return Looked("recipe", Path(name).absolute(), bounded(findings_of(error)))
    path = (loaded.path or Path(name)).absolute()
    report(Progress("building", 0, 1))
    built, problems = tried(loaded)
    report(Progress("building", 1, 1))
    recipe = loaded.recipe if built is None else built.recipe
    details = {**summary(recipe), "about": loaded.header.partition("\n")[0].strip() or None}
    if built is not None:
        details["parameters"] = parameters(built)
        if isinstance(built, ClassSetBuilt):
            details["input"] = built.facts.inputs.as_dict()
        elif not isinstance(built, SetBuilt):
            details["input"] = built.inputs.as_dict()
    absent = any(one.code == NOT_FETCHED for one in problems)
    fetch = (command("fetch", recipe.data.source),) if absent else ()
    broken = any(one.level == "error" for one in problems)
    verb = "multitask" if recipe.kind == "multitask" else "meta-train"
    train = () if broken else (command(verb, name),)
    return Looked("recipe", path, bounded(problems), details, (*fetch, *train))


def tried(loaded: Loaded) -> tuple[AnyBuilt | None, list[Finding]]:
    """What the recipe names, made as far as it goes, and what is wrong."""
    try:
        if loaded.recipe.kind == "meta-multitask":
            classes = has_classes(loaded.recipe)
            return (build_class_sets(loaded) if classes else build_sets(loaded)), []
        if loaded.recipe.kind == "multitask":
            return build_multi_task(loaded), []  # its rows have been divided already
        built = build_few_shot(loaded)
    except (RecipeError, DataError, EnvironmentProblem) as error:
        return None, [softened(one) for one in findings_of(error)]
    problems: list[Finding] = []
    for make in (partial(make_source, split="train"), validation_source):
        try:
            make(built.recipe)
        except DataError as error:
            problems += findings_of(error)
    return built, problems


def softened(problem: Finding) -> Finding:
    """Data that were not fetched yet are no fault of the recipe."""
    if problem.code != NOT_FETCHED:
        return problem
    return Finding("warning", problem.code, problem.message, problem.where, problem.hint)


def parameters(built: AnyBuilt) -> int:
    params = built.problem.init(0)
    return sum(params[name].numel() for name in built.problem.trainable)


def summary(recipe: Recipe) -> dict[str, Json]:
    """The recipe's blocks without what is at its default of nothing."""
    plain = recipe.plain()
    names = (
        *("kind", "seed", "data", "episodes", "sets", "backbone", "algorithm"),
        *("sharing", "weighting", "surgery", "train", "evaluate"),
    )
    found = {name: plain[name] for name in names if name in plain}
    for block in ("train", "evaluate"):
        found[block] = {key: value for key, value in found[block].items() if value is not None}
    return {**found, "baselines": plain["baselines"] or None, "expect": plain["expect"]}
