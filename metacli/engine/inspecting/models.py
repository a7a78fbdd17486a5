"""`inspect` of a run (status, checkpoints, best score) and of a model, adapted or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from metacli.data.plain import Record
from metacli.engine.dense.folder import load_dense
from metacli.engine.events import Progress, Reporter
from metacli.engine.inspecting.dense_models import dense_next
from metacli.engine.inspecting.findings import Looked, bounded, command, findings_of
from metacli.engine.models import folder as model_folder
from metacli.engine.models.model import AdaptedModel, AnyModel, MultiTaskModel
from metacli.engine.models.named import is_dense_model, is_set_model
from metacli.engine.results.base import Json
from metacli.engine.sets.opening import read_set_model
from metacli.engine.storage.lock import is_held
from metacli.engine.training import checkpoint, run_file
from metacli.engine.training.journal import validated_metric
from metacli.engine.training.kinds import verb_of
from metacli.errors import BundleError, Finding, MetacliError
from metacli.schema.load import load as load_recipe


def look_at_model(path: Path, name: str, report: Reporter) -> Looked:
    """Check the sums of a model folder and that its weights are those of its network."""
    try:
        model = model_folder.load(path)
    except MetacliError as error:
        return Looked("model", path, findings_of(error))
    problems = weights_problems(model, path)
    what = "adapted model" if isinstance(model, AdaptedModel) else "model"
    steps = () if problems else model_next(model, name)
    return Looked(what, path, bounded(problems), model_details(model), steps)


def weights_problems(model: AnyModel, path: Path) -> list[Finding]:
    """Whether the network of the recipe can be made, and takes these weights."""
    try:
        expected = model.weights()
    except MetacliError as error:
        return list(findings_of(error))
    except ValidationError as error:  # options of a backbone or learner that this version lacks
        message = f"the model's recipe does not fit this metacli: {error.errors()[0]['msg']}"
        return [Finding("error", "model.recipe", message, str(path), "use a newer metacli")]
    wrong = [key for key in expected if key not in model.params]
    wrong += [
        key
        for key, value in expected.items()
        if key in model.params and model.params[key].shape != value.shape
    ]
    where = str(path / model_folder.WEIGHTS)
    return [
        Finding("error", "model.weights", f"{key} is missing or has another shape", where)
        for key in wrong
    ]


def model_details(model: AnyModel) -> dict[str, Json]:
    recipe, provenance = model.recipe, model.provenance
    return {
        "recipe": provenance.get("recipe"),
        "kind": model.kind,
        **own_details(model),
        "backbone": recipe.plain().get("backbone"),
        "trained_on": recipe.data.source,
        "input": model.inputs.as_dict(),
        "numbers": sum(value.numel() for value in model.params.values()),
        "scores": short_scores(model) or None,
        "provenance": dict(provenance),
    }


def own_details(model: AnyModel) -> dict[str, Json]:
    """What only its class of model has."""
    recipe = model.recipe
    learned: dict[str, Json]
    match recipe.kind:
        case "multitask":
            learned = {"sharing": recipe.sharing.name}
        case "meta":
            learned = {
                "learner": recipe.algorithm.name,
                "episodes": recipe.episodes.model_dump(),
            }
        case "meta-multitask":
            learned = {"learner": recipe.algorithm.name, "sets": recipe.sets.model_dump()}
    if isinstance(model, MultiTaskModel):
        return {**learned, "tasks": list(model.heads.tasks), "metric": model.heads.metric}
    if not isinstance(model, AdaptedModel):
        return learned
    known = model.confidence.as_dict()
    return {
        **learned,
        "method": model.method,
        "classes": None if model.classes is None else list(model.classes),
        "calibration": known.get("calibration"),
        "rejects": known.get("reject"),
    }


def short_scores(model: AnyModel) -> dict[str, Json]:
    """Without the confusions and the list of every baseline, of which the best is there anyway."""
    long = ("all", "confusion")
    return {
        name: {k: v for k, v in value.items() if k not in long}
        if isinstance(value, Mapping)
        else value
        for name, value in model.scores.items()
    }


def model_next(model: AnyModel, name: str) -> tuple[str, ...]:
    if not isinstance(model, AdaptedModel):
        adapt = (command("adapt", name, "FOLDER"),) if model.kind == "classification" else ()
        return (command("evaluate", name), *adapt)
    return (
        command("predict", name, "INPUT"),
        command("evaluate", name, "FOLDER"),
        command("export", name),
    )


def look_at_run(path: Path, name: str, report: Reporter) -> Looked:
    """A run's own words about itself, and whether what it saved can be read."""
    problems: list[Finding] = []
    facts = facts_of(path, problems)
    alive = is_held(path)
    states = {prefix: saved(path / "state", prefix, problems) for prefix in ("step", "best")}
    report(Progress("reading checkpoints", 1, 1))
    steps = steps_of(path, problems)
    model = model_of(path, problems)
    status = facts.get("status")
    if status == "running" and not alive:
        status = "killed"  # it had no time to write anything else
    details = {
        "status": status,
        "recipe": facts.get("recipe"),
        "steps": f"{facts.get('steps', states['step'].newest)} of {steps}" if steps else None,
        "best_step": states["best"].newest,
        "best": with_metric(path, states["best"].facts.get("best")),
        "checkpoints": {prefix: one.readable for prefix, one in states.items()},
        "model": str(path / "model") if model else None,
        **{key: facts.get(key) for key in ("seed", "device", "versions", "seconds", "data_digest")},
    }
    done = status == "finished" and steps is not None and (states["step"].newest or 0) >= steps
    usable = model or bool(states["best"].readable)
    following = run_next(path, name, done=done, usable=usable)
    return Looked("run", path, bounded(problems), details, () if alive else following)


def with_metric(path: Path, best: Json) -> Json:
    """The best validation with the name of what it measures, as far as the run noted it."""
    metric = validated_metric(path)
    return best if metric is None or not isinstance(best, Mapping) else {"metric": metric, **best}


def run_next(path: Path, name: str, *, done: bool, usable: bool) -> tuple[str, ...]:
    """Going on, and what its model is good for."""
    resume = () if done else (command(verb_at(path), "--resume", name),)
    if not usable:
        return resume
    if is_dense_model(path / "model"):
        return (*resume, *dense_next(name))
    task = "SET" if is_set_model(path / "model") else "FOLDER"
    return (*resume, command("evaluate", name), command("adapt", name, task))


def verb_at(path: Path) -> str:
    """What trains the run's recipe; `meta-train` of one that cannot be read."""
    try:
        return verb_of(load_recipe(str(path)).recipe)
    except MetacliError:
        return "meta-train"


def facts_of(path: Path, problems: list[Finding]) -> dict[str, Json]:
    try:
        return run_file.read(path).as_dict()
    except BundleError as error:
        where = str(path / "run.json")
        problems.append(Finding("error", "run.damaged", error.message, where))
        return {}


def steps_of(path: Path, problems: list[Finding]) -> int | None:
    """Steps that the run was to take."""
    try:
        return load_recipe(str(path)).recipe.train.steps
    except MetacliError as error:
        problems += findings_of(error)
        return None


def model_of(path: Path, problems: list[Finding]) -> bool:
    """Whether there is a model that can be read."""
    folder = path / "model"
    if not folder.is_dir():
        return False
    try:
        read_any(folder)
    except MetacliError as error:
        problems += findings_of(error)
        return False
    return True


def read_any(folder: Path) -> None:
    """Raises BundleError for a model that cannot be read, of whatever kind."""
    if is_set_model(folder):
        read_set_model(folder)
    elif is_dense_model(folder):
        load_dense(folder)
    else:
        model_folder.load(folder)


@dataclass(frozen=True)
class States:
    """The checkpoints of one prefix: steps of the readable ones, and what the newest remembers."""

    readable: list[int]
    newest: int | None
    facts: Record


def saved(folder: Path, prefix: str, problems: list[Finding]) -> States:
    """Every checkpoint read; a damaged one is a warning as long as another is left."""
    readable: list[int] = []
    damaged: list[Finding] = []
    facts: Record = {}
    for step, path in checkpoint.numbered(folder, prefix):  # newest first
        try:
            found = checkpoint.read(path)
        except MetacliError as error:
            damaged.append(*findings_of(error))
            continue
        facts = facts or dict(found.facts)
        readable.append(step)
    level: Literal["error", "warning"] = "warning" if readable else "error"
    problems += [
        Finding(level, one.code, f"{prefix} checkpoint: {one.message}", one.where, one.hint)
        for one in damaged
    ]
    return States(readable, readable[0] if readable else None, facts)
