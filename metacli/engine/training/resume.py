"""Resuming a run: only where it is the same run, and from its newest valid state."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from metacli.data.catalogue.registry import DATASETS
from metacli.engine.events import Notice, Reporter
from metacli.engine.results.base import Json
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.lock import LOCK, is_stillborn
from metacli.engine.storage.paths import find_run_or_model, require_device
from metacli.engine.storage.serial import json_bytes
from metacli.engine.storage.writer import write_file
from metacli.engine.training import checkpoint, journal, run_file
from metacli.engine.training.checkpoint import Saved
from metacli.engine.training.history import History
from metacli.engine.training.kinds import make_run
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.run_file import RunFacts
from metacli.engine.training.runs import Run, Session, Start
from metacli.engine.training.workspace import TrainOptions, Workspace
from metacli.errors import BundleError, UsageProblem
from metacli.schema.blocks import Train
from metacli.schema.load import dump, load

FAILED = "failed.json"
MAY_CHANGE = ("train.steps=", "data.source=")  # a digest says whether the data are the same


def reopen(
    resume: str, overrides: Sequence[str], options: TrainOptions, report: Reporter
) -> Session:
    """A run where it was left.

    Raises:
        BundleError: no run, damaged, or not the same run: every difference that would change its
            results is named.
        UsageProblem: a setting that would make it another run.
    """
    require_same_settings(resume, overrides)
    folder = find_run_or_model(resume)
    facts = facts_of(folder, resume)
    loaded = load(str(folder), overrides)
    require_more_steps(loaded.recipe.train.steps, facts.planned_steps or 0)
    recorded = facts.device if options.device == "auto" else None
    device = require_device(recorded or options.device)
    name = facts.recipe or loaded.name
    workspace = Workspace(
        *(name, loaded.header, folder, device, report, options.max_time),
        resumed=True,
        team=options.team,
    )
    run = make_run(loaded, device.type, report)
    run = run if options.team.size == 1 else run.divided(options.team)
    session = Session(run, workspace)
    differences = list(differing(facts, identity(session.run, device)))
    if differences:
        raise BundleError(
            "not the same run: " + "; ".join(differences),
            code="run.changed",
            where=str(folder),
            hint=f"start again: metacli {session.run.verb} {resume}",
        )
    return session


def require_same_settings(resume: str, overrides: Sequence[str]) -> None:
    """Raises UsageProblem for a setting that would make it another run: more steps are the same
    run, and so are the same data in another folder."""
    wrong = [text for text in overrides if not text.startswith(MAY_CHANGE)]
    if wrong:
        raise UsageProblem(
            f"--resume changes nothing but train.steps, found {wrong[0]!r}",
            hint=f"start again: metacli meta-train {resume} {wrong[0]}",
        )


def facts_of(folder: Path, given: str) -> RunFacts:
    """run.json; empty where a run was killed before it could write it.

    Args:
        given: what the user called the folder.

    Raises:
        BundleError: damaged, or not a run; of one that was killed in its very first write the
            hint says how it is begun again.
    """
    if (folder / run_file.FILE).is_file() and not is_stillborn(folder):
        return run_file.read(folder)
    if (folder / "recipe.yaml").is_file() and (folder / LOCK).is_file():
        return RunFacts()
    if is_stillborn(folder):
        raise BundleError(
            "this run was killed before it had written its recipe",
            code="run.not_begun",
            where=given,
            hint=f"begin it again: metacli meta-train RECIPE -o {given}",
        )
    raise BundleError(
        "not a run",
        code="run.not_found",
        where=given,
        hint="a run holds run.json; its model/ cannot be trained on",
    )


def threads_of(resume: str) -> int:
    """The number of threads that a run was begun with: it changes the order of sums, and so the
    parameters. `reopen` wants it to be set."""
    return facts_of(find_run_or_model(resume), resume).threads or torch.get_num_threads()


def require_more_steps(steps: int, before: int) -> None:
    if steps < before:
        raise UsageProblem(f"train.steps may only be raised above {before}, found {steps}")


def identity(run: Run, device: torch.device) -> RunFacts:
    """What the results of a run depend on; recorded, and compared before it is resumed."""
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return RunFacts(
        settings=json.loads(json_bytes(run.recipe.plain())),
        versions=journal.versions(),
        device=str(device),
        chip=chip,
        threads=torch.get_num_threads(),
        data_digest=run.data.train,
        val_digest=run.data.val,
    )


# Settings that runs of earlier versions did not record, and what these did.
LATER: dict[str, Json] = {"episodes.per": "class", "episodes.warp": 0.0}


def differing(before: RunFacts, now: RunFacts) -> Iterator[str]:
    """What `now` has otherwise than `before`, one text for each key. Of a run that recorded no
    settings, nothing: it was killed before it had begun."""
    recorded = before.as_dict() if before.settings else {}
    for key, value in now.as_dict().items():
        if recorded:
            yield from different_values(recorded.get(key), value, key)


def different_values(before: Json, now: Json, path: str) -> Iterator[str]:
    """Dotted keys and what they were; those that the same run may have otherwise are left out."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*now, *(key for key in before if key not in now)]:
            name = f"{path}.{key}".removeprefix("settings.")
            if name != "train.steps" and not (name == "data.source" and is_path(before, now)):
                yield from different_values(before.get(key, LATER.get(name)), now.get(key), name)
    elif before != now:
        yield f"{path} was {before}, is {now}"


def is_path(before: Mapping[str, Json], now: Mapping[str, Json]) -> bool:
    """Whether both blocks are of a user's data, which their digests tell and not their folder."""
    sources = (before.get("source"), now.get("source"))
    return all(isinstance(one, str) and one not in DATASETS for one in sources)


def write_recipe(session: Session) -> None:
    """The first thing that a run writes: what it is called, and then its recipe, with which one
    that is killed can be resumed."""
    workspace = session.workspace
    if not workspace.resumed and not (workspace.folder / run_file.FILE).is_file():
        run_file.write(workspace.folder, RunFacts(recipe=workspace.name))
    write_file(workspace.folder / "recipe.yaml", dump(session.recipe, workspace.header).encode())


def start_or_restore(session: Session) -> None:
    """Put the run's folder and the session into the state to train from; under the run's lock."""
    workspace, run = session.workspace, session.run
    if workspace.resumed:
        restore(session)
    facts = RunFacts(
        status="running",
        recipe=workspace.name,
        command=journal.command_line(),
        seed=run.recipe.seed,
        commit=journal.commit(),
        data=json.loads(json_bytes(run.data.shown)),
        host=platform.node(),
        pid=os.getpid(),
        cores=os.cpu_count(),
        ranks=workspace.team.size,
    )
    facts = facts.model_copy(update=identity(run, workspace.device).as_dict())
    if session.begin is None:
        facts = facts.model_copy(update={"started": journal.now()})
    write_recipe(session)
    run_file.update(workspace.folder, facts)


def restore(session: Session) -> None:
    """Read the newest valid checkpoint and cut the run's records back to it."""
    workspace = session.workspace
    session.begin, troubles = checkpoint.newest(workspace.state, "step")
    step = 0
    if session.begin is not None:
        session.history = History.of(session.begin.facts, session.begin.path)
        step = session.begin.snapshot.step
    for trouble in troubles:
        message = f"a damaged checkpoint was passed over: {trouble}; resuming from step {step}"
        workspace.report(Notice(message, "run.checkpoint_damaged"))
    for prefix in ("step", "best"):
        checkpoint.drop_after(workspace.state, prefix, step)
    restore_best(session)
    (workspace.state / FAILED).unlink(missing_ok=True)
    journal.cut_back(workspace.folder, step, session.history.validated)
    notice_schedule(session, step)


def require_fits(saved: Saved, start: Start) -> None:
    """Raises BundleError for a checkpoint that is not of this run's network and method, whoever
    wrote it: other parameters, memory or optimiser tensors than training begins with."""
    problem = misfit(saved.snapshot, start)
    if problem is not None:
        raise damaged(saved.path, f"is not of this run: {problem}")


def misfit(snapshot: Snapshot, start: Start) -> str | None:
    """What a snapshot has otherwise than the beginning of its run; None: nothing."""
    for name in sorted({*snapshot.params, *start.params}):
        found, wanted = snapshot.params.get(name), start.params.get(name)
        if found is None or wanted is None:
            return f"{name} is {'missing' if found is None else 'no parameter of it'}"
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            return f"{name} is {found.dtype} {list(found.shape)}"
    for full, value in snapshot.optimizer.items():
        name, _, key = full.rpartition("/")
        if name not in start.learned or not key:
            return f"{full} belongs to no parameter"
        if value.ndim and value.shape != start.params[name].shape:
            return f"{full} has shape {list(value.shape)}"
    every = {**snapshot.params, **snapshot.optimizer}
    for name, value in every.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            return f"{name} holds a value that is not finite"
    return unlike_state(snapshot.state, start.state)


def unlike_state(found: Json, wanted: Json, path: str = "state") -> str | None:
    """Where the memory of a method is of another kind than it begins with. What is empty or None
    at the beginning may become anything; numbers are finite."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping) or set(found) != set(wanted):
            return f"{path} has other keys"
        pairs = ((unlike_state(found[key], wanted[key], f"{path}.{key}")) for key in wanted)
        return next((one for one in pairs if one is not None), None)
    if isinstance(wanted, Sequence) and not isinstance(wanted, str) and len(wanted):
        if isinstance(found, str) or not isinstance(found, Sequence):
            return f"{path} is no list"
        pairs = (unlike_state(one, wanted[0], f"{path}[{i}]") for i, one in enumerate(found))
        return next((one for one in pairs if one is not None), None)
    number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    if number and (isinstance(found, bool) or not isinstance(found, int | float)):
        return f"{path} is no number"
    return None


def restore_best(session: Session) -> None:
    """The best state that the history speaks of; an older one, or none, where it is damaged."""
    wanted, workspace = session.history.best_step, session.workspace
    if session.begin is not None and session.begin.snapshot.step == wanted:
        session.best = session.begin
        return
    try:
        session.best, troubles = checkpoint.newest(workspace.state, "best")
    except BundleError as error:
        session.best, troubles = None, [error.message]
    for trouble in troubles:
        message = f"a damaged best state was passed over: {trouble}"
        workspace.report(Notice(message, "run.best_damaged"))
    best = session.best
    if (best.snapshot.step if best is not None else None) != wanted:
        older = History() if best is None else History.of(best.facts, best.path)
        changes = {
            "best_mean": older.best_mean,
            "best_step": older.best_step,
            "best": older.best,
        }
        session.history = session.history.model_copy(update=changes)


def notice_schedule(session: Session, step: int) -> None:
    """Say so where raised steps stretch a schedule whose first part has been trained already."""
    folder, train = session.folder, session.recipe.train
    recorded = run_file.read(folder) if (folder / run_file.FILE).is_file() else RunFacts()
    before = recorded.planned_steps
    if before and step and before != train.steps and depends_on_steps(train):
        session.workspace.report(
            Notice(
                f"the {train.schedule} schedule now ends at step {train.steps}; the first {step} "
                f"steps followed the one that ends at step {before}",
                "run.schedule_stretched",
            )
        )


def depends_on_steps(train: Train) -> bool:
    """Whether the learning rate of a step depends on how many there are."""
    stepwise = train.schedule == "step" and train.schedule_every is None
    return train.schedule in ("linear", "cosine") or stepwise
