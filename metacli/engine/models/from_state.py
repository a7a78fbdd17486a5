"""The model of a run that has not written one: of its newest valid best state."""

from __future__ import annotations

from pathlib import Path

from metacli.data.plain import Record
from metacli.engine.dense.build import is_dense
from metacli.engine.encoders.parameters import with_encoder
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.model import AnyModel, FewShotModel, MultiTaskModel
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
    return made_of(saved, load_recipe(str(run)), run_file.read(run).as_dict()), saved.path


def made_of(saved: Saved, loaded: Loaded, facts: Record) -> AnyModel:
    """The model of a state; of a multi-task run one without the spread of its errors."""
    provenance = {
        "recipe": facts.get("recipe"),
        "steps": saved.snapshot.step,
        "seed": loaded.recipe.seed,
        "data": facts.get("data", {}),
    }
    if loaded.recipe.kind == "multitask" and not is_dense(loaded.recipe):
        tasks, params = build_multi_task(loaded), saved.snapshot.params
        return MultiTaskModel(
            tasks.recipe, params, tasks.inputs, tasks.heads, provenance=provenance
        )
    if loaded.recipe.kind != "meta":
        raise BundleError(
            "this run has not written its model yet",
            code="model.not_found",
            where=str(saved.path),
            hint="let it end, or stop it with Ctrl-C: it writes the best state",
        )
    built = build_few_shot(loaded)
    return FewShotModel(
        recipe=built.recipe,
        params=with_encoder(built.recipe, saved.snapshot.params),
        state=saved.snapshot.state,
        inputs=built.inputs,
        kind=built.kind,
        way=built.way,
        provenance=provenance,
    )
