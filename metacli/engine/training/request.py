"""What a training command was asked for, carried out; the same for every kind of recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from metacli.engine.events import Reporter, ignore
from metacli.engine.ranks.launched import launched
from metacli.engine.ranks.private_folder import copy_of_run, private_folder
from metacli.engine.ranks.team import PeerLost, Team, joined
from metacli.engine.results.train import SeedsResult, TrainResult
from metacli.engine.scoring.checks import Check, parse_checks
from metacli.engine.shards.shard import Shard, parsed
from metacli.engine.shards.training import keep_runs
from metacli.engine.tracking.tracking import tracked
from metacli.engine.training.kinds import verb_of
from metacli.engine.training.limits import MOST_SEEDS
from metacli.engine.training.outcome import rank_lost
from metacli.engine.training.plugged import allow_asked_for
from metacli.engine.training.resume import reopen, threads_of
from metacli.engine.training.run import carry_out, open_session, several
from metacli.engine.training.workspace import TrainOptions
from metacli.errors import UsageProblem
from metacli.schema.load import Loaded
from metacli.threads import computing_with

# From (recipe, data, overrides) to the recipe that was asked for, or one that suits the data.
Chooser = Callable[[str | None, str | None, Sequence[str], Reporter], Loaded]

RESUME_ALONE = "--resume takes a run instead of a recipe, --data, --seeds, --seed or -o"


class Keywords(TypedDict, total=False):
    """What every training verb takes beside what is to be trained: the fields of `TrainOptions`,
    and bounds.

    `track` names programs that record the training: `tensorboard`, `mlflow`. `fail_under` are
    `metric=value` that validation must reach; `fail_over`, where lower is better, that it must not
    exceed. `shard` is a part of the seeds, `2/8`, for `merge`.
    """

    out: str | Path | None
    force: bool
    device: str
    max_time: float | None
    dry_run: bool
    fail_under: Sequence[str]
    fail_over: Sequence[str]
    track: Sequence[str]
    shard: str | None


@dataclass(frozen=True)
class TrainRequest:
    """What to train: a recipe or data, or a run to resume.

    Args:
        overrides: `key.sub=value` settings over the recipe. data: instead of the recipe's own.
        seeds: train this many runs, with seeds from the recipe's on.
    """

    recipe: str | None
    overrides: Sequence[str]
    data: str | None
    resume: str | None
    seed: int | None
    seeds: int | None
    report: Reporter

    def require_sense(self) -> None:
        """Raises UsageProblem where the words do not fit together."""
        instead = (self.recipe, self.data, self.seed, self.seeds)
        if self.resume is not None and any(one is not None for one in instead):
            raise UsageProblem(RESUME_ALONE)
        if self.resume is None and self.recipe is None and self.data is None:
            raise UsageProblem("a recipe is missing", hint="metacli recipes lists them")
        if self.seeds is not None and not 1 <= self.seeds <= MOST_SEEDS:
            raise UsageProblem(f"--seeds wants 1 to {MOST_SEEDS}, found {self.seeds}")

    @property
    def words(self) -> list[str]:
        """All settings over the recipe."""
        return [*self.overrides, *([] if self.seed is None else [f"seed={self.seed}"])]


def fulfil(
    request: TrainRequest, verb: str, choose: Chooser, keywords: Keywords
) -> TrainResult | SeedsResult:
    """Train a recipe of a kind that this verb trains.

    Raises:
        UsageProblem: the words do not fit together, or a recipe of another kind.
        EnvironmentProblem: a tracker that is not installed.
        RecipeError, DataError: before anything is written.
        RunFailed, Interrupted, CheckFailed: as the verbs say.
    """
    request.require_sense()
    options = options_of(keywords)
    checks = parse_checks(keywords.get("fail_under", ()), keywords.get("fail_over", ()))
    if request.resume is not None and options.out is not None:
        raise UsageProblem(RESUME_ALONE)
    track, shard = keywords.get("track", ()), parsed(keywords.get("shard"))
    if shard is not None:
        require_shard(request, options, checks, shard)
    with joined(launched()) as team, private_folder(team) as place:
        options = replace(options, team=Team() if options.dry_run else team)
        if place is not None:  # rank 0 writes, reports and checks
            request, track, checks = replace(request, report=ignore), (), []
        try:
            if request.resume is not None:
                request = replace(request, resume=copy_of_run(team, request.resume, place))
            elif place is not None:
                options = replace(options, out=str(place))
            return carried_out(request, verb, choose, options, checks, track, shard)
        except PeerLost:
            raise rank_lost(team.size, None) from None


def carried_out(
    request: TrainRequest,
    verb: str,
    choose: Chooser,
    options: TrainOptions,
    checks: Sequence[Check],
    track: Sequence[str],
    shard: Shard | None,
) -> TrainResult | SeedsResult:
    """What this process has of the training; alone, all of it."""
    with tracked(request.report, track) as report:
        reported = replace(request, report=report)
        if request.resume is None:
            return begun(reported, verb, choose, options, checks, shard)
        return resumed(reported, request.resume, options, checks)


def require_shard(
    request: TrainRequest, options: TrainOptions, checks: Sequence[Check], shard: Shard
) -> None:
    """Raises UsageProblem for a part of nothing."""
    if request.seeds is None or shard.count > request.seeds:
        raise UsageProblem(
            f"--shard {shard} divides the runs of --seeds N, which are {request.seeds or 1}",
            hint=f"--seeds {shard.count} or more",
        )
    if options.out is None:
        raise UsageProblem("--shard writes a folder for merge: -o is missing", hint="-o FOLDER")
    if checks:
        raise UsageProblem("--fail-under and --fail-over are of all seeds, not of a shard")


def resumed(
    request: TrainRequest, run: str, options: TrainOptions, checks: Sequence[Check]
) -> TrainResult | SeedsResult:
    """Continue a run, with its own number of threads."""
    with computing_with(threads_of(run)):
        session = reopen(run, request.overrides, options, request.report)
        return carry_out(session, checks, dry_run=options.dry_run)


def begun(
    request: TrainRequest,
    verb: str,
    choose: Chooser,
    options: TrainOptions,
    checks: Sequence[Check],
    shard: Shard | None,
) -> TrainResult | SeedsResult:
    """A new run, or one for each seed, or for each seed of a shard."""
    loaded = choose(request.recipe, request.data, request.words, request.report)
    allow_asked_for(loaded.recipe, text_of(request.recipe))
    other = verb_of(loaded.recipe)
    if other != verb:
        message = f"{request.recipe} is of kind {loaded.recipe.kind}"
        raise UsageProblem(message, hint=f"metacli {other} {request.recipe}")
    if shard is not None and request.seeds is not None:
        made = several(loaded, request.seeds, checks, options, request.report, shard)
        if not options.dry_run and options.team.leads:
            seeds = range(loaded.recipe.seed, loaded.recipe.seed + request.seeds)
            keep_runs(shard, Path(options.out or "").absolute(), loaded, seeds, made)
        return replace(made, shard=str(shard))
    if request.seeds is not None and request.seeds > 1:
        return several(loaded, request.seeds, checks, options, request.report)
    session = open_session(loaded, options, request.report)
    return carry_out(session, checks, dry_run=options.dry_run)


def text_of(path: str | Path | None) -> str | None:
    """A name or path as the command line has it."""
    return None if path is None else str(path)


def options_of(keywords: Keywords) -> TrainOptions:
    """Raises UsageProblem for a time that is none."""
    options = TrainOptions(
        out=text_of(keywords.get("out")),
        force=keywords.get("force", False),
        device=keywords.get("device", "auto"),
        max_time=keywords.get("max_time"),
        dry_run=keywords.get("dry_run", False),
    )
    if options.max_time is not None and not options.max_time > 0:
        raise UsageProblem(f"--max-time must be positive, found {options.max_time}")
    return options
