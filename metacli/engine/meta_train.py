"""`meta-train`: learn from many small tasks. A run folder with the resolved recipe, checkpoints,
scores and a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metacli.engine.events import Reporter, ignore
from metacli.engine.scoring.checks import parse_checks
from metacli.engine.training.resume import reopen, threads_of
from metacli.engine.training.run import go, open_job, several
from metacli.engine.training.user_data import choose
from metacli.errors import UsageProblem
from metacli.threads import computing_with


def meta_train(
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    *,
    data: str | None = None,
    resume: str | None = None,
    seeds: int | None = None,
    max_time: float | None = None,
    fail_under: Sequence[str] = (),
    fail_over: Sequence[str] = (),
    track: str | None = None,
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Train a recipe (a shipped name, a YAML file, a run folder, or a folder of data), or go on
    with a run.

    Args:
        overrides: `key.sub=value` settings over the recipe.
        resume: a run to go on with instead of a recipe.
        seeds: train this many runs, with seeds from the recipe's on.
        max_time: seconds after which training ends in good order; the learning-rate schedule ends
        with it. fail_under: `metric=value` that validation must reach; `fail_over` where lower is
        better. out: the run folder; default `runs/<recipe>/<UTC time>`.

    Returns:
        The `result` of the command line's JSON document.

    Raises:
        RecipeError, DataError: before anything is written.
        RunFailed: not finite, out of memory, disk full; the last good state is kept.
        Interrupted: a signal; the state is saved.
        CheckFailed: `fail_under` or `fail_over`.
    """
    if track is not None:
        raise UsageProblem(
            f"no tracker {track!r} in this version", hint="metrics.jsonl holds every number"
        )
    if max_time is not None and not max_time > 0:
        raise UsageProblem(f"--max-time must be positive, found {max_time}")
    checks = parse_checks(fail_under, fail_over)
    if resume is not None:
        if any(one is not None for one in (recipe, seeds, data, seed, out)):
            raise UsageProblem(
                "--resume takes a run instead of a recipe, --data, --seeds, --seed or -o"
            )
        with computing_with(threads_of(resume)):
            job = reopen(resume, overrides, device, max_time, report)
            return go(job, checks, dry_run)
    if recipe is None and data is None:
        raise UsageProblem("a recipe is missing", hint="metacli recipes lists them")
    loaded = choose(recipe, data, overrides, seed, report)
    if loaded.recipe.kind != "meta":
        kind = loaded.recipe.kind
        raise UsageProblem(f"{recipe} is of kind {kind}", hint=f"metacli {kind} {recipe}")
    if seeds is not None and seeds > 1:
        return several(loaded, seeds, checks, out, force, device, max_time, dry_run, report)
    return go(open_job(loaded, out, force, device, max_time, report), checks, dry_run)
