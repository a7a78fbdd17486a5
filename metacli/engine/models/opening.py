"""Opening what a user calls MODEL: a model folder, a run, or `@last`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from metacli.engine.events import Notice, Reporter
from metacli.engine.models import bundle
from metacli.engine.models.bundle import Bundle
from metacli.engine.storage.paths import MODEL_FILE, find_run_or_model
from metacli.engine.training import checkpoint, journal
from metacli.errors import BundleError
from metacli.schema.load import load as load_recipe


@dataclass(frozen=True)
class Opened:
    """A model that was read, where from, and the run it belongs to (None: a folder by itself)."""

    model: Bundle
    path: Path
    run: Path | None


def open_model(name: str, device: torch.device, report: Reporter) -> Opened:
    """Read MODEL; of a run its `model`, and of a run without one its newest valid best state,
    which is said.

    Raises:
        BundleError: nothing of the kind is there, or it is damaged.
    """
    path = find_run_or_model(name)
    if (path / MODEL_FILE).is_file():
        opened = Opened(bundle.load(path), path, path.parent if is_run(path.parent) else None)
    elif (path / "model").is_dir():
        opened = Opened(bundle.load(path / "model"), path / "model", path if is_run(path) else None)
    elif is_run(path):
        opened = from_state(path, report)
    else:
        raise BundleError(
            "neither a model nor a run",
            code="model.not_found",
            where=name,
            hint=f"a model holds {MODEL_FILE}, a run holds run.json: metacli inspect {name}",
        )
    params = {key: value.to(device) for key, value in opened.model.params.items()}
    return replace(opened, model=replace(opened.model, params=params))


def is_run(path: Path) -> bool:
    return (path / "run.json").is_file()


def from_state(run: Path, report: Reporter) -> Opened:
    """The model of a run that has not written one yet."""
    from metacli.engine.training.build import build

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
    built, facts = build(load_recipe(str(run))), journal.read_run(run)
    model = Bundle(
        recipe=built.recipe,
        params=saved.snapshot.params,
        state=saved.snapshot.state,
        inputs=built.inputs,
        kind=built.kind,
        way=built.way,
        provenance={
            "recipe": facts.get("recipe"),
            "steps": saved.snapshot.step,
            "seed": built.recipe.seed,
            "data": facts.get("data", {}),
        },
    )
    return Opened(model, saved.path, run)
