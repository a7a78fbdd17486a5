"""`multitask`: learn many related tasks together, and see whether that helps each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metacli.engine.events import Reporter, ignore
from metacli.engine.scoring.checks import parse_checks
from metacli.engine.training.resume import reopen, threads_of
from metacli.engine.training.run import go, open_job, several
from metacli.engine.training.user_multi_task import choose_tasks
from metacli.errors import UsageProblem
from metacli.threads import computing_with


def multitask(
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
    """Train a recipe of kind multitask, then the same network for each task by itself and simple
    models of the same rows; training and validation rows only.

    Args:
        overrides: `key.sub=value` settings over the recipe.
        recipe: or a table or folder of tasks, for which a recipe is chosen.
        data: a data set of the same form, or a user's own files, instead of the recipe's.
        resume: a run to go on with instead of a recipe.
        seeds: train this many runs, with seeds from the recipe's on.
        max_time: seconds after which training ends in good order.
        fail_under: `metric=value` that validation must reach; `fail_over` where lower is better.
        out: the run folder; default `runs/<recipe>/<UTC time>`.

    Returns:
        The `result` of the command line's JSON document; `tasks` has one row for each task.

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
            return go(reopen(resume, overrides, device, max_time, report), checks, dry_run)
    if recipe is None and data is None:
        raise UsageProblem("a recipe is missing", hint="metacli recipes lists them")
    extra = [] if seed is None else [f"seed={seed}"]
    loaded = choose_tasks(recipe, data, [*overrides, *extra], report)
    if loaded.recipe.kind != "multitask":
        raise UsageProblem(
            f"{recipe} is a recipe of kind {loaded.recipe.kind}",
            hint=f"metacli meta-train {recipe}",
        )
    if seeds is not None and seeds > 1:
        return several(loaded, seeds, checks, out, force, device, max_time, dry_run, report)
    return go(open_job(loaded, out, force, device, max_time, report), checks, dry_run)
