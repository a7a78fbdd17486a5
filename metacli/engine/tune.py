"""`tune`: search for the settings of a recipe that do best on validation data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from metacli.engine.events import Notice, Progress, Reporter, ignore
from metacli.engine.extras import require_extra
from metacli.engine.meta_train import meta_train
from metacli.engine.multitask import multitask
from metacli.engine.results.tune import TuneResult
from metacli.engine.storage.paths import RUNS, new_folder, target
from metacli.engine.tuning.limits import Limits
from metacli.engine.tuning.study import Search, open_study, reopened, result_of, run_trial
from metacli.errors import Interrupted, UsageProblem
from metacli.schema.load import load


def tune(
    recipe: str | None = None,
    settings: Sequence[str] = (),
    *,
    resume: str | Path | None = None,
    limits: Limits | None = None,
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> TuneResult | dict[str, str | list[str]]:
    """Train a recipe again and again with settings drawn by optuna's tree-structured Parzen
    estimator (Bergstra et al. 2011), and keep the best as a recipe. Test data are never read.

    Args:
        settings: `KEY=LOW..HIGH` and `KEY=A,B` are searched, other `KEY=VALUE` are fixed.
        resume: the folder of a search to continue, instead of a recipe.
        limits: trainings and seconds of this call.
        out: the folder; default `runs/tuned/<recipe>/<UTC time>`.

    Raises:
        EnvironmentProblem: optuna is not installed.
        UsageProblem: nothing to search.
        RecipeError: the recipe or a setting is not valid.
        Interrupted: a signal; `resume` continues.
        RunFailed: no training has finished.
    """
    require_extra("tune", "tune")
    search = begun(recipe, settings, resume, out, force, seed)
    kind = load(search.recipe, search.space.fixed).recipe.kind
    verb = {"multitask": multitask}.get(kind, meta_train)
    if dry_run:
        return {"run": str(search.folder), "settings": list(search.words)}
    search.save()

    def train(overrides: tuple[str, ...], folder: Path) -> tuple[str, float]:
        result = verb(
            search.recipe, overrides, out=str(folder), force=True, device=device, seed=search.seed
        )
        ((metric, score),) = result.metrics.items()
        return metric, float("nan" if score["mean"] is None else score["mean"])

    study, began, durations = open_study(search), time.monotonic(), list[float]()
    limits = limits or Limits()
    while limits.leave_room(began, durations):
        report(Progress("trainings", len(durations), limits.trials))
        started = time.monotonic()
        try:
            run_trial(search, study, train)
        except Interrupted as error:
            command = f"metacli tune --resume {search.folder}"
            error.result = {"resume_command": command, "steps": len(durations)}
            raise
        durations.append(time.monotonic() - started)
    if len(durations) < limits.trials:
        count = f"{len(durations)} of {limits.trials} trainings"
        report(Notice(f"stopped by --budget after {count}", "tune.budget"))
    return result_of(search, study)


def begun(
    recipe: str | None,
    settings: Sequence[str],
    resume: str | Path | None,
    out: str | None,
    force: bool,
    seed: int | None,
) -> Search:
    """The search to continue, or a new one."""
    if resume is not None:
        if recipe is not None or settings or out is not None:
            raise UsageProblem("--resume continues a search with its own recipe and settings")
        return reopened(Path(resume))
    if recipe is None:
        raise UsageProblem("a recipe is missing", hint="metacli recipes lists them")
    loaded = load(recipe)
    folder = target(out, new_folder(RUNS / "tuned" / loaded.name), force=force)
    name = recipe if loaded.path is None or not Path(recipe).exists() else str(loaded.path)
    search = Search(folder, name, tuple(settings), loaded.recipe.seed if seed is None else seed)
    load(name, search.space.fixed)
    return search
