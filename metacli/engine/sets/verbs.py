"""`adapt` and `evaluate` of models of sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metacli.data.sets.from_user import SetColumns, UserSet, read_set
from metacli.engine.adapting.request import Settings
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.results.base import Json
from metacli.engine.results.sets import (
    SetAdaptation,
    SetCoupling,
    SetEvaluation,
    SetFacts,
    SetScore,
)
from metacli.engine.scoring.intervals import paired, verdict
from metacli.engine.sets.adapting import FOLDS, SetResult, adapt_to_set
from metacli.engine.sets.adding import joined, known_set, read_added
from metacli.engine.sets.arms.answers import Arms
from metacli.engine.sets.arms.names import ARMS, POINTS
from metacli.engine.sets.arms.tuned import tuned_beside
from metacli.engine.sets.evaluate import Wanted, evaluate_cells, groups_of, shapes_of
from metacli.engine.sets.folder import save
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.opening import open_adapted, open_source
from metacli.engine.storage.paths import RUNS, new_folder
from metacli.engine.storage.paths import target as target_folder
from metacli.engine.training import journal
from metacli.errors import UsageProblem

SETTINGS = ("guard", "data.task", "data.target", "data.input")


@dataclass(frozen=True)
class SetRequest:
    """What `adapt` was asked for.

    Args:
        target: columns that are tasks; input: columns of x; both with commas between them.
        add: the model is adapted already, and these tasks join.
        standalone: a pretrained encoder is put into the folder, not named by its hash.
    """

    set: Path
    overrides: Sequence[str] = ()
    target: str | None = None
    input: str | None = None
    out: str | Path | None = None
    force: bool = False
    seed: int = 0
    dry_run: bool = False
    add: bool = False
    standalone: bool = False


def set_request(
    path: Path, overrides: Sequence[str], settings: Settings, *, add: bool = False
) -> SetRequest:
    """From what every adaptation is asked for. Raises UsageProblem for a check that a model of sets
    does not know."""
    if settings.doubts():
        raise UsageProblem(
            "--strict and --fail-if are not for models of sets of tasks",
            hint="each task of the result has its own verdict",
        )
    if settings.order is not None:
        raise UsageProblem("--order is for the rows of one table, not for sets of tasks")
    inputs = settings.input
    return SetRequest(
        path,
        overrides,
        target=settings.target,
        input=inputs if inputs is None or isinstance(inputs, str) else ",".join(inputs),
        out=settings.out,
        force=settings.force,
        seed=settings.seed or 0,
        dry_run=settings.dry_run,
        add=add,
        standalone=settings.standalone,
    )


@dataclass(frozen=True)
class Given:
    """What is adapted, to what.

    Args:
        user: all rows. added: names of the tasks that were added, or got more rows; None without
            `--add`.
    """

    source: SetModel
    user: UserSet
    added: tuple[str, ...] | None = None


def given(path: Path, request: SetRequest, words: Mapping[str, str]) -> Given:
    """The source and the rows. Raises as `adapt_set`."""
    columns = SetColumns(
        names(request.target or words.get("data.target")),
        words.get("data.task"),
        names(request.input or words.get("data.input")),
    )
    if not request.add:
        source = open_source(path)
        return Given(source, read_set(request.set, replace(columns, known=source.known)))
    before = open_adapted(path)
    known = replace(columns, inputs=before.inputs, known=before.source.known)
    more = read_added(request.set, replace(known, task=known.task or before.task))
    return Given(before.source, joined(known_set(before), more), more.names)


def adapt_set(path: Path, request: SetRequest, report: Reporter) -> SetAdaptation:
    """Adapt a model of sets to a user's set, or add tasks to an adapted one.

    Raises:
        DataError, BundleError, UsageProblem: before anything is written.
    """
    words = settings_of(request.overrides)
    guard = words.get("guard", "false").lower()
    if guard not in ("true", "false"):
        raise UsageProblem(f"guard is true or false, found {guard!r}")
    made = given(path, request, words)
    if len(made.user.tasks) == 1:
        said = f"{made.user.name} has one task, {made.user.names[0]}: nothing to learn together"
        report(Notice(said, "adapt.one_task"))
    usual = new_folder(RUNS / "adapted" / request.set.absolute().name)
    folder = target_folder(request.out, usual, force=request.force)
    report(Progress("adapting", 0, 1))
    adapted, found = adapt_to_set(made.source, made.user, guard=guard == "true", seed=request.seed)
    report(Progress("adapting", 1, 1))
    result = result_of(path, folder, request, made, found, guard=guard == "true")
    if not request.dry_run:
        facts = provenance_of(path, request, result)
        scores: dict[str, Json] = {
            "mae": result.score.value,
            "together": result.score.as_dict(),
            "tasks": [one.as_dict() for one in result.tasks],
        }
        save(replace(adapted, scores=scores, provenance=facts), folder, replace=request.force)
    return result


def result_of(
    path: Path, folder: Path, request: SetRequest, made: Given, found: SetResult, *, guard: bool
) -> SetAdaptation:
    labels = sum(one.labels for one in found.tasks)
    coupling = found.coupling
    return SetAdaptation(
        model=None if request.dry_run else folder,
        source=path,
        task=SetFacts(request.set, made.user.layout, made.user.inputs, labels),
        score=mean_score(found),
        tasks=found.tasks,
        coupling=SetCoupling(
            made.user.names,
            tuple(tuple(map(float, row)) for row in coupling.matrix[0]),
            coupling.what,
        ),
        guard=guard,
        device="cpu",
        added=made.added,
        dry_run=request.dry_run or None,
    )


def mean_score(found: SetResult) -> SetScore:
    """Over all tasks, and whether adapting to them together helps."""
    labels, how = sum(one.labels for one in found.tasks), f"kfold:{FOLDS}"
    values = [one.value for one in found.tasks if one.value is not None]
    separate = [one.alone for one in found.tasks if one.alone is not None]
    if not values:
        return SetScore(None, labels, how)
    joint, alone = (sum(some) / len(some) for some in (values, separate))
    delta, low, high = paired(found.differences)
    said = verdict(low, high, len(found.differences), larger_is_better=False)
    return SetScore(joint, labels, how, "mae", alone, delta, (low, high), said)


def provenance_of(path: Path, request: SetRequest, result: SetAdaptation) -> dict[str, Json]:
    """Where the adapted model came from."""
    return {
        "from": str(path),
        "created": journal.now(),
        "versions": {**journal.versions()},
        "seed": request.seed,
        "data": {"source": str(request.set)},
        "coupling": result.coupling.as_dict(),
    }


def settings_of(overrides: Sequence[str]) -> dict[str, str]:
    """`key=value` words. Raises UsageProblem for a key that adapting to a set does not have."""
    found = {}
    for text in overrides:
        key, _, value = text.partition("=")
        if key not in SETTINGS:
            hint = f"there are {', '.join(SETTINGS)}"
            raise UsageProblem(f"a model of sets has no setting {key}", hint=hint)
        found[key] = value
    return found


def names(text: str | None) -> tuple[str, ...]:
    return tuple(one.strip() for one in (text or "").split(",") if one.strip())


def evaluate_sets(
    path: Path,
    *,
    shot: str | int | None,
    sets: int,
    seed: int,
    arms: Sequence[str] = ARMS,
    dry_run: bool,
    report: Reporter,
) -> SetEvaluation:
    """Joint adaptation against the other arms on fresh sets of the model's own source.

    Args:
        shot: numbers of points, `5,10,20`.
        arms: which are wanted, of those that the model has; joint and separate are always there.
    """
    source = open_source(path)
    points = POINTS if shot is None else points_of(str(shot))
    compared, done = Arms(source, tuned_beside(path)), 0
    shapes = shapes_of(source, points)
    groups = groups_of(sets) * len(shapes)

    def tick(what: str) -> None:
        nonlocal done
        report(Progress(f"evaluating, {what}", done, groups, "groups of sets"))
        done += 1

    wanted = Wanted(shapes, sets, seed, arms=arms, tick=tick)
    cells = () if dry_run else evaluate_cells(compared, wanted)
    first = cells[0] if cells else None
    recipe = source.recipe
    usual = "shared" if recipe.data.source == "functions" else ""
    return SetEvaluation(
        metric="mse",
        mean=None if first is None else first.joint.mse.mean,
        ci95=None if first is None else first.joint.mse.ci95,
        data=recipe.data.source,
        variant=str(recipe.data.options.get("variant", usual)),
        split="test",
        episodes=0 if first is None else first.sets,
        episodes_seed=seed,
        train_seed=recipe.seed,
        cells=cells,
        dry_run=dry_run or None,
    )


def points_of(text: str) -> tuple[int, ...]:
    """`5,10,20`. Raises UsageProblem for a range."""
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        hint = "--shot 5,10,20"
        raise UsageProblem(f"points of a set are numbers, found {text!r}", hint=hint) from None
