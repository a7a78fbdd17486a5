"""The model of a run that has not written one: of its newest valid best state."""

from __future__ import annotations

from pathlib import Path

from metacli.data.plain import Record
from metacli.engine.dense.build import is_dense
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.model import AnyModel
from metacli.engine.training import checkpoint, run_file
from metacli.engine.training.checkpoint import Saved
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.multi_task.build import build_multi_task
from metacli.errors import BundleError
from metacli.schema.load import Loaded
from metacli.schema.load import load as load_recipe


def from_state(run: Path, report: Reporter) -> tuple[AnyModel, Path]:
    """The model of a run that has not written one yet, and the state that it is of."""
    saved, _ = checkpoint.newest(run / "state", "best")
    if saved is None:
        raise BundleError(
            "this run has no model yet: it was not validated before it stopped",
            code="model.not_found",
            where=str(run),
            hint=f"metacli meta-train --resume {run}",
        )
    report(
        Notice(
            f"{run} has no model yet: using its best state, of step {saved.snapshot.step}",
            "run.no_model",
        )
    )
    return model_of_state(saved, load_recipe(str(run)), run_file.read(run).as_dict()), saved.path


def model_of_state(saved: Saved, loaded: Loaded, facts: Record) -> AnyModel:
    """The model of a state; of a multi-task run one without the spread of its errors."""
    provenance = {
        "recipe": facts.get("recipe"),
        "steps": saved.snapshot.step,
        "seed": loaded.recipe.seed,
        "data": facts.get("data", {}),
    }
    if loaded.recipe.kind == "multitask" and not is_dense(loaded.recipe):
        built = build_multi_task(loaded)
        return built.model(built.recipe, saved.snapshot.params, provenance)
    if loaded.recipe.kind != "meta":
        raise BundleError(
            "this run has not written its model yet",
            code="model.not_found",
            where=str(saved.path),
            hint="let it end, or stop it with Ctrl-C: it writes the best state",
        )
    return build_few_shot(loaded).model(saved.snapshot, provenance)
