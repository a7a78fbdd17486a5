"""`adapt`, `predict` and `evaluate` of models of sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metacli.data.sets.from_user import SetColumns, UserSet, read_set
from metacli.data.tables.reader import read_table
from metacli.engine.adapting.request import Settings
from metacli.engine.events import Progress, Reporter
from metacli.engine.predicting.inputs import Given, Held, items_of
from metacli.engine.results.base import Json
from metacli.engine.results.predict import TaskPrediction, TaskPredictions
from metacli.engine.results.sets import (
    SetAdaptation,
    SetCoupling,
    SetEvaluation,
    SetFacts,
    SetScore,
)
from metacli.engine.sets.adapting import FOLDS, SetResult, adapt_to_set, predicted
from metacli.engine.sets.arms.answers import Arms
from metacli.engine.sets.arms.names import ARMS, POINTS
from metacli.engine.sets.arms.tuned import ARMS_FOLDER, Tuned, load_tuned
from metacli.engine.sets.evaluate import Wanted, evaluate_cells, groups_of, shapes_of
from metacli.engine.sets.folder import save
from metacli.engine.sets.opening import open_adapted, open_source
from metacli.engine.sets.scoring import Z90
from metacli.engine.storage.paths import RUNS, new_folder
from metacli.engine.storage.paths import target as target_folder
from metacli.engine.training import journal
from metacli.errors import UsageProblem
from metacli.nn.set_attention import Gaussian

SETTINGS = ("guard", "data.task", "data.target", "data.input")


@dataclass(frozen=True)
class SetRequest:
    """What `adapt` was asked for.

    Args:
        target: columns that are tasks; input: columns of x; both with commas between them.
    """

    set: Path
    overrides: Sequence[str] = ()
    target: str | None = None
    input: str | None = None
    out: str | Path | None = None
    force: bool = False
    seed: int = 0
    dry_run: bool = False


def set_request(path: Path, overrides: Sequence[str], settings: Settings) -> SetRequest:
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
    )


def adapt_set(path: Path, request: SetRequest, report: Reporter) -> SetAdaptation:
    """Adapt a model of sets to a user's set.

    Raises:
        DataError, BundleError, UsageProblem: before anything is written.
    """
    source, words = open_source(path), settings_of(request.overrides)
    guard = words.get("guard", "false").lower()
    if guard not in ("true", "false"):
        raise UsageProblem(f"guard is true or false, found {guard!r}")
    columns = SetColumns(
        names(request.target or words.get("data.target")),
        words.get("data.task"),
        names(request.input or words.get("data.input")),
        source.known,
    )
    user = read_set(request.set, columns)
    usual = new_folder(RUNS / "adapted" / request.set.absolute().name)
    folder = target_folder(request.out, usual, force=request.force)
    report(Progress("adapting", 0, 1))
    adapted, found = adapt_to_set(source, user, guard=guard == "true", seed=request.seed)
    report(Progress("adapting", 1, 1))
    result = SetAdaptation(
        model=None if request.dry_run else folder,
        source=path,
        task=SetFacts(
            request.set, user.layout, user.inputs, sum(one.labels for one in found.tasks)
        ),
        score=mean_score(found),
        tasks=found.tasks,
        coupling=SetCoupling(
            user.names,
            tuple(tuple(map(float, row)) for row in found.coupling.matrix[0]),
            found.coupling.what,
        ),
        guard=guard == "true",
        device="cpu",
        dry_run=request.dry_run or None,
    )
    if not request.dry_run:
        facts = provenance_of(path, request, result)
        scores: dict[str, Json] = {
            "mae": result.score.value,
            "tasks": [one.as_dict() for one in result.tasks],
        }
        save(replace(adapted, scores=scores, provenance=facts), folder, replace=request.force)
    return result


def mean_score(found: SetResult) -> SetScore:
    measured = [one.value for one in found.tasks if one.value is not None]
    mean = sum(measured) / len(measured) if measured else None
    return SetScore(mean, sum(one.labels for one in found.tasks), f"kfold:{FOLDS}")


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


def paths_of(inputs: Given | Sequence[Given]) -> list[Path]:
    """The tables among the inputs. Raises UsageProblem for arrays and images."""
    found = []
    for one in items_of(inputs):
        if isinstance(one, Held):
            raise UsageProblem("a model of sets predicts rows of tables", hint="give a path")
        found.append(Path(one))
    return found


def predict_set(path: Path, inputs: Sequence[Path]) -> TaskPredictions:
    """Every row of every table answered for its task, or for each task where no column names it;
    `low` to `high` is the central 90 % interval.

    Raises:
        DataError: a table cannot be read, or has other columns.
    """
    adapted = open_adapted(path)
    wanted = adapted.names if adapted.layout == "columns" else ()
    columns = SetColumns(wanted, adapted.task, adapted.inputs, adapted.names)
    rows: list[TaskPrediction] = []
    for one in inputs:
        user = read_set(one, columns_for(columns, one, adapted.names), labelled=False)
        rows += rows_of(one, user, predicted(adapted, user))
    return TaskPredictions(rows=tuple(rows), tasks=adapted.names, coverage=0.9)


def rows_of(path: Path, user: UserSet, answers: Mapping[str, Gaussian]) -> list[TaskPrediction]:
    """The predictions in the order of the rows, which are numbered as in a table whose header is
    row 1."""
    found = []
    for task in user.tasks:
        if task.name not in answers:
            continue
        mean, variance = answers[task.name]
        file = path / f"{task.name}.csv" if user.layout == "folder" else path
        ends = zip(mean.tolist(), (Z90 * variance.sqrt()).tolist(), strict=True)
        for at, (middle, off) in zip(task.places or range(len(task.x)), ends, strict=True):
            name = f"{file}:{at + 2}"
            row = TaskPrediction(name, middle, None, middle - off, middle + off, task=task.name)
            found.append((at, row))
    if user.layout != "folder":
        found.sort(key=lambda pair: pair[0])
    return [row for _, row in found]


def columns_for(columns: SetColumns, path: Path, tasks: tuple[str, ...]) -> SetColumns:
    """A table without a column of tasks is asked of every task."""
    if path.is_dir() or columns.targets:
        return columns
    named = columns.task or "task"
    return columns if named in read_table(path).columns else replace(columns, targets=tasks)


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
    return SetEvaluation(
        metric="mse",
        mean=None if first is None else first.joint.mse.mean,
        ci95=None if first is None else first.joint.mse.ci95,
        data=recipe.data.source,
        variant=str(recipe.data.options.get("variant", "shared")),
        split="test",
        episodes=0 if first is None else first.sets,
        episodes_seed=seed,
        train_seed=recipe.seed,
        cells=cells,
        dry_run=dry_run or None,
    )


def tuned_beside(path: Path) -> Tuned | None:
    """What the run of a model has chosen for its arms; None of a model without a run."""
    return load_tuned(path.parent / "baselines" / ARMS_FOLDER) if path.name == "model" else None


def points_of(text: str) -> tuple[int, ...]:
    """`5,10,20`. Raises UsageProblem for a range."""
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        hint = "--shot 5,10,20"
        raise UsageProblem(f"points of a set are numbers, found {text!r}", hint=hint) from None
