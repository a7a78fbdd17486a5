"""`adapt`: use what was learned on a user's own few examples. The source model is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Unpack

from metacli.data.user.open import look
from metacli.engine.adapting.adding import Before, before, onto
from metacli.engine.adapting.choosing.options import Option, options_for, refuse_model
from metacli.engine.adapting.doubts import require_no_doubt, require_no_doubt_anywhere
from metacli.engine.adapting.many import FOLDS, adapt_to_each
from metacli.engine.adapting.one_task import Output, adapt_to_task
from metacli.engine.adapting.request import BUDGET, AdaptKeywords, Request, Settings
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.sources import metric_of, names_of, open_sources, require_type
from metacli.engine.events import Reporter, ignore
from metacli.engine.many.over import checked_names, values_to_check
from metacli.engine.models.named import is_class_model, set_model_at
from metacli.engine.results.adapt import Adaptation, Doubt
from metacli.engine.results.adapt_many import Adaptations
from metacli.engine.results.sets import SetAdaptation
from metacli.engine.scoring.checks import Check, require_checks, require_known
from metacli.engine.shards.shard import parsed
from metacli.engine.storage.paths import RUNS, new_folder, require_device, target
from metacli.errors import UsageProblem
from metacli.schema.overrides import Overrides, spelled


def adapt(
    model: str | Path | Sequence[str | Path] | None,
    task: str | Path | None = None,
    overrides: Overrides = (),
    *,
    method: str = "native",
    holdout: float | None = None,
    baseline: bool = False,
    add: bool = False,
    report: Reporter = ignore,
    **more: Unpack[AdaptKeywords],
) -> Adaptation | Adaptations | SetAdaptation:
    """Adapt a model to a folder or table of examples, and say how good it is and whether the source
    helps.

    Args:
        model: one or more; several are ranked on the support and the best is adapted. None tries
            every source on this machine on folds of the support, and adapts the best; so does
            `adapt(DATA)`, without a second argument.
        overrides: fields of the learner, such as `["inner_steps=10"]` or `{"inner_steps": 10}`.
        method: `native` (the learner's own) or a transfer method: `prototype`, `linear-probe`,
            `fine-tune`, `lp-ft`, `l2-sp`.
        holdout: share of the support to score on, instead of k-fold.
        baseline: also train the same network from scratch.
        add: `model` is adapted already; these examples are added to those that it was adapted to.
        more: `target`, `input`, `type`, `skip_bad`, `allow_duplicates`, `follow_links`, `folds`,
            `compare`, `new_only`, `order`, `fail_under`, `fail_over`, `fail_if`, `strict`, `out`,
            `force`, `device`, `seed`, `dry_run`, `budget`, `fit_inputs`, `standalone`, `shard`; see
            `Settings`.

    Returns:
        One adaptation; of a folder of tasks a row for each, with a model in `out/<task>`.

    Raises:
        DataError: problems in the task, all of them listed, before any work.
        CheckFailed: the score is not what was asked for; the model is written all the same.
    """
    if task is None:
        model, task = None, only_data(model)
    settings, names, examples = Settings(**more), names_of(model or ()), Path(task)
    checks, doubts = settings.checks(), settings.doubts()
    if not names:
        refuse_model(examples)
    if len(names) == 1 and (sets := set_model_at(str(names[0]))):
        return with_set_model(sets, examples, overrides, settings, report, add=add)
    looked = not add and (not names or examples.is_dir())
    content = look(examples, settings.choice()) if looked else None
    tasks = () if content is None else content.tasks
    how = How(method, spelled(overrides), holdout, baseline)
    request = replace(request_of(settings, how, examples, tasks, report), content=content)
    ready = prepared(names, request, tasks, add=add)
    require_measured(settings, checks, ready.sources, tasks)
    output = output_of(settings, ready.request, tasks)
    if tasks:
        known, shard = (ready.sources, tasks, ready.request, output), parsed(settings.shard)
        every = adapt_to_each(*known, new_only=settings.new_only, shard=shard)
        return every if every.dry_run else checked_worst(every, checks, doubts)
    result = adapt_to_task(ready.sources, ready.request, output, ready.earlier, ready.options)
    return result if result.dry_run else checked(result, checks, doubts)


def only_data(given: str | Path | Sequence[str | Path] | None) -> str | Path:
    """The one argument of `adapt(DATA)`. Raises UsageProblem: none, or several."""
    if isinstance(given, str | Path):
        return given
    raise UsageProblem("adapt needs data", hint="adapt(DATA), or adapt(MODEL, DATA)")


class How(NamedTuple):
    """What the verb itself says of how to adapt."""

    method: str
    overrides: tuple[str, ...]
    holdout: float | None
    baseline: bool


def request_of(
    settings: Settings, how: How, task: Path, tasks: Sequence[Path], report: Reporter
) -> Request:
    """What is asked for a task, or for each of several below it."""
    wanted = not tasks or "hurts" in settings.doubts()
    compare = wanted if settings.compare is None else settings.compare
    return Request(
        task,
        *how,
        choice=settings.choice(),
        skip_bad=settings.skip_bad,
        allow_duplicates=settings.allow_duplicates,
        seed=settings.seed or 0,
        device=require_device(settings.device),
        report=report,
        folds=FOLDS if tasks and settings.folds is None and not settings.order else settings.folds,
        compare=compare or how.baseline,
        budget=BUDGET if settings.budget is None else settings.budget,
        fit_inputs=settings.fit_inputs,
        order=settings.order,
    )


class Ready(NamedTuple):
    """What is adapted: the sources, opened.

    Args:
        request: with `--add` the one of the earlier model's settings.
        options: what the source is chosen among, where none was named.
        earlier: the model that examples are added to.
    """

    sources: Sequence[Source]
    request: Request
    options: Sequence[Option] = ()
    earlier: Before | None = None


def prepared(names: Sequence[str], request: Request, tasks: Sequence[Path], *, add: bool) -> Ready:
    """Opens what was named, or everything that there is to choose from."""
    require_one_to_fit(names, request, add=add)
    require_folds_to_choose(names, request, add=add)
    options = [] if names else options_for(request, add=add, tasks=tasks)
    if add:
        earlier = before(names, request)
        return Ready([earlier.source], onto(earlier, request), options, earlier)
    if options:
        return Ready([one.source for one in options], request, options)
    first = replace(request, task=tasks[0]) if tasks else request
    return Ready(open_sources(names, first), request)


def require_one_to_fit(names: Sequence[str], request: Request, *, add: bool) -> None:
    """Raises UsageProblem for inputs that are to be fitted to no source, to several, or to a model
    that has its inputs already."""
    if request.fit_inputs and (add or len(names) != 1):
        raise UsageProblem(
            "--fit-inputs fits images to what one named model learned from",
            hint="leave it out" if add else f"metacli adapt MODEL {request.task} --fit-inputs",
        )


def require_folds_to_choose(names: Sequence[str], request: Request, *, add: bool) -> None:
    """Raises UsageProblem for a choice among sources on no folds."""
    if request.folds == 0 and not add and len(names) != 1:
        raise UsageProblem(
            "--folds 0 measures nothing, and sources are chosen by what is measured",
            hint=f"name one: metacli adapt MODEL {request.typed} --folds 0",
        )


def require_measured(
    settings: Settings, checks: Sequence[Check], sources: Sequence[Source], tasks: Sequence[Path]
) -> None:
    """Raises UsageProblem for a check on what is not measured, a type that the sources are not of,
    or a shard of what is not divided."""
    if settings.folds == 0 and (checks or settings.doubts()):
        raise UsageProblem("a check needs a score, and --folds 0 holds nothing out for one")
    metric = metric_of(sources)
    require_known(checks, checked_names(metric) if tasks else (metric,))
    require_type(settings.type, sources)
    require_parts(settings, tasks)


def require_parts(settings: Settings, tasks: Sequence[Path]) -> None:
    """Raises UsageProblem for a shard of one task, or of which nothing is kept."""
    shard = parsed(settings.shard)
    if shard is None:
        return
    if not tasks:
        raise UsageProblem("--shard divides a folder of tasks, and this is one task")
    if shard.count > len(tasks):
        raise UsageProblem(f"--shard {shard} of {len(tasks)} tasks: some would have none")
    if settings.out is None:
        raise UsageProblem("--shard writes a folder for merge: -o is missing", hint="-o FOLDER")
    if settings.checks() or settings.doubts():
        raise UsageProblem("checks are of all tasks, not of a shard: metacli merge, then evaluate")


def output_of(settings: Settings, request: Request, tasks: Sequence[Path]) -> Output:
    """Where the model goes, or the folder of models. Raises BundleError where something is."""
    first = request.onto[0][0] if request.onto else request.task
    usual = new_folder(RUNS / "adapted" / first.absolute().name)
    again = settings.force or (bool(tasks) and settings.new_only)
    more = "--new-only adapts to the tasks that have no model there; or " if tasks else ""
    folder = target(settings.out, usual, force=again, hint=more)
    return Output(folder, settings.force, settings.dry_run, settings.standalone)


def checked(result: Adaptation, checks: Sequence[Check], doubts: Sequence[Doubt]) -> Adaptation:
    """Raises CheckFailed, or UsageProblem where there is no score to check."""
    if checks and result.score.value is None:
        raise UsageProblem(
            f"no score to check: {result.score.why}", hint="add a query/ folder", result=result
        )
    require_checks(checks, {result.score.metric: result.score.value}, result)
    require_no_doubt(doubts, result)
    return result


def with_set_model(
    model: Path,
    examples: Path,
    overrides: Overrides,
    settings: Settings,
    report: Reporter,
    *,
    add: bool,
) -> SetAdaptation:
    """`adapt` of a model of sets."""
    # What learns sets takes long to import, and is needed here alone.
    from metacli.engine.sets.class_verbs import adapt_class_set
    from metacli.engine.sets.verbs import adapt_set, set_request

    asked, checks = set_request(examples, spelled(overrides), settings, add=add), settings.checks()
    if is_class_model(model):
        return checked_set(adapt_class_set(model, asked, report), checks)
    require_known(checks, ("mae",))
    return checked_set(adapt_set(model, asked, report), checks)


def checked_set(result: SetAdaptation, checks: Sequence[Check]) -> SetAdaptation:
    """The same for the mean over the tasks of a set."""
    if checks and not result.dry_run:
        if result.score.value is None:
            raise UsageProblem("no task of the set has rows to hold out", result=result)
        require_checks(checks, {result.score.metric: result.score.value}, result)
    return result


def checked_worst(
    result: Adaptations, checks: Sequence[Check], doubts: Sequence[Doubt]
) -> Adaptations:
    """The same for the worst task of a folder, and the ends of its tasks' intervals."""
    if checks and result.metric is None:
        raise UsageProblem("no task has a score to check", hint="add query/ folders", result=result)
    if checks:
        require_checks(checks, values_to_check(result.tasks), result)
    require_no_doubt_anywhere(doubts, result)
    return result
