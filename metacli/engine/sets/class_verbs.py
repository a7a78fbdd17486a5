"""`adapt` of models of sets whose tasks may be classifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from metacli.data.sets.own_added import joined, read_added
from metacli.data.sets.own_files import OwnSets
from metacli.data.sets.own_one import OneSet, Reads, read_one
from metacli.data.tables.reader import read_table
from metacli.engine.encoders.pool_features import features_of_images, frozen_of
from metacli.engine.events import Progress, Reporter
from metacli.engine.results.base import Json
from metacli.engine.results.sets import SetAdaptation, SetCoupling, SetFacts, SetScore
from metacli.engine.sets.class_adapting import FOLDS, ClassResult, adapt_to_classes
from metacli.engine.sets.class_folder import (
    load_adapted_classes,
    load_classes,
    save_classes,
)
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.coupling import HIDDEN
from metacli.engine.sets.verbs import SetRequest, provenance_of, settings_of
from metacli.engine.storage.paths import RUNS, new_folder
from metacli.engine.storage.paths import target as target_folder
from metacli.errors import UsageProblem


def adapt_class_set(path: Path, request: SetRequest, report: Reporter) -> SetAdaptation:
    """Adapt a model of sets of classifications to a user's set, or add tasks to an adapted one.

    Raises:
        DataError, BundleError, UsageProblem: before anything is written.
    """
    words = settings_of(request.overrides)
    guard = words.get("guard", "false").lower()
    if guard not in ("true", "false"):
        raise UsageProblem(f"guard is true or false, found {guard!r}")
    made = given(path, request, words)
    usual = new_folder(RUNS / "adapted" / request.set.absolute().name)
    folder = target_folder(request.out, usual, force=request.force)
    report(Progress("adapting", 0, 1))
    adapted, found = adapt_to_classes(
        made.source, made.one, guard=guard == "true", seed=request.seed
    )
    report(Progress("adapting", 1, 1))
    result = SetAdaptation(
        model=None if request.dry_run else folder,
        source=path,
        task=facts_of(request.set, made.one, found),
        score=mean_score(found),
        tasks=found.tasks,
        coupling=SetCoupling(
            adapted.names, tuple(tuple(map(float, row)) for row in found.coupling), HIDDEN
        ),
        guard=guard == "true",
        device="cpu",
        added=made.added,
        dry_run=request.dry_run or None,
    )
    if not request.dry_run:
        facts = provenance_of(path, request, result)
        scores: dict[str, Json] = {
            result.score.metric: result.score.value,
            "tasks": [task.as_dict() for task in result.tasks],
        }
        kept = replace(adapted, scores=scores, provenance=facts)
        save_classes(kept, folder, replace=request.force, standalone=request.standalone)
    return result


class Given(NamedTuple):
    """What is adapted, to what; `added` are the tasks that were added, or got more rows."""

    source: ClassSetModel
    one: OneSet
    added: tuple[str, ...] | None


def given(path: Path, request: SetRequest, words: Mapping[str, str]) -> Given:
    """The source and the rows. Raises as `adapt_class_set`."""
    options = OwnSets(
        task=words.get("data.task", ""),
        target=request.target or words.get("data.target", ""),
        input=request.input or words.get("data.input", ""),
    )
    if not request.add:
        source = load_classes(path)
        return Given(source, read_one(request.set, options, reads_of(source)), None)
    before = load_adapted_classes(path)
    source, target = before.source, common([one.target for one in before.tasks])
    options = replace(options, target=options.target or target)
    if before.layout == "rows" and before.task and not options.task:
        options = replace(options, task=named_in(request.set, before.task))
    more = read_added(request.set, options, reads_of(source))
    whole = joined(before.as_known(), more, shared_labels=source.facts.shared_labels)
    return Given(source, whole, tuple(one.name for one in more.tasks))


def common(targets: Sequence[str | None]) -> str:
    """The one target of all tasks; "" where there is none, or several."""
    return targets[0] or "" if len(set(targets)) == 1 else ""


def named_in(path: Path, column: str) -> str:
    """The column of tasks where a table has it."""
    return column if path.is_file() and column in read_table(path).columns else ""


def reads_of(source: ClassSetModel) -> Reads:
    """How a user's set is to be read."""
    inputs = source.facts.inputs
    encoder, frozen = inputs.encoder, frozen_of(source.recipe)
    spec = inputs.image() if encoder is None else encoder
    made = Reads(spec, source.facts.levels, source.facts.shared_labels)
    if frozen is None:
        return made
    return replace(made, features=partial(features_of_images, backbone=frozen, fitted=True))


def facts_of(path: Path, one: OneSet, found: ClassResult) -> SetFacts:
    kinds = {"classification" if task.labels else "regression" for task in one.tasks}
    labels = tuple(dict.fromkeys(label for task in one.tasks for label in task.labels))
    return SetFacts(
        path,
        one.layout,
        (),
        sum(task.labels for task in found.tasks),
        type=kinds.pop() if len(kinds) == 1 else "mixed",
        labels=labels,
    )


def mean_score(found: ClassResult) -> SetScore:
    """The mean over the tasks of the first task's metric."""
    metric = found.tasks[0].metric
    values = [one.value for one in found.tasks if one.value is not None and one.metric == metric]
    mean = sum(values) / len(values) if values else None
    return SetScore(mean, sum(one.labels for one in found.tasks), f"kfold:{FOLDS}", metric)
