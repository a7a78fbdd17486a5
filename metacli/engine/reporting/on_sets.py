"""Reports of learners of sets: how much learning the tasks of a set together gains, over points and
tasks; fits before and after the other tasks are seen; how the tasks are coupled."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np

from metacli.engine.events import Progress, Reporter
from metacli.engine.reporting import plots, set_plots
from metacli.engine.reporting.blocks import (
    Block,
    Commands,
    Facts,
    Page,
    Plot,
    Section,
    Source,
    Table,
    Text,
    section,
)
from metacli.engine.reporting.on_adapted_set import (
    headline_of_adapted,
    of_adapted_classes,
    of_adapted_set,
)
from metacli.engine.reporting.repeat import short
from metacli.engine.reporting.set_measures import (
    SHOWN,
    CoupledKinds,
    Curve,
    Gain,
    SetLook,
    TaskAgainst,
    TaskFit,
    coupled_kinds,
    looks,
    over_points,
    over_tasks,
)
from metacli.engine.reporting.set_subject import SetSubject
from metacli.engine.reporting.settings import learning, logarithmic, span, when
from metacli.engine.results.base import Json
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.engine.spelling import duration, number, score, visible
from metacli.schema.load import dump

MEASURED = 4  # parts of what is drawn from validation sets
METRICS = {
    "accuracy": "Accuracy",
    "auc": "Area under the ROC curve",
    "mse": "Mean squared error",
    "log_likelihood": "Mean log-likelihood",
}


def page_of_sets(subject: SetSubject, report: Reporter) -> Page:
    """All sections of a learner of sets, or of a model adapted to one."""
    match subject.model:
        case AdaptedSet() as model:
            sentence, body = headline_of_adapted(model), of_adapted_set(model)
        case SetModel() as model:
            sentence, body = of_learner(model, report)
            body += learning(subject.history)
        case AdaptedClassSet() as model:
            sentence, body = headline_of_adapted(model), of_adapted_classes(model)
        case ClassSetModel() as model:
            sentence, body = headline_of_classes(model), learning(subject.history)
    sections = [*body, *what_it_is(subject), *repeat(subject)]
    return Page(subject.title, sentence, tuple(sections))


def headline_of_classes(model: ClassSetModel) -> str:
    """A learner of sets of classifications: its validation score; `evaluate` compares it."""
    metric = model.facts.metric
    found = model.scores.get(f"val_{metric}")
    if not isinstance(found, dict):
        return "Not measured yet."
    shown = score(metric, *(as_number(found.get(key)) for key in ("mean", "ci95")))
    return f"{METRICS[metric]} {shown} on validation sets, whose tasks are learned together."


def as_number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def of_learner(model: SetModel, report: Reporter) -> tuple[str, list[Section]]:
    """The headline, and what validation sets show."""
    steps = iter(range(1, MEASURED + 1))

    def done() -> None:
        report(Progress("validation sets", next(steps), MEASURED, "parts"))

    points, gain = over_points(model)
    done()
    tasks = over_tasks(model)
    done()
    seen = looks(model)
    done()
    coupled = coupled_kinds(model)
    done()
    sections = [*results(points, tasks, gain), *fits(seen), *couplings(coupled)]
    return headline(gain), sections


def headline(gain: Gain) -> str:
    """What learning together gains, in one sentence."""
    joint, apart = short_number(gain.joint.mean), short_number(gain.separate.mean)
    on = f"{span(gain.tasks)} tasks with {gain.points} points on validation sets"
    if gain.low <= 0 <= gain.high:
        return (
            f"Learning the tasks of a new set together makes no clear difference: error {joint} "
            f"together, {apart} each task alone ({on})."
        )
    share = abs(gain.delta) / gain.separate.mean
    verb = "cuts" if gain.delta < 0 else "raises"
    return (
        f"Learning the tasks of a new set together {verb} the error by {100 * share:.0f} %: "
        f"{joint}, against {apart} of the same model learning each task alone ({on})."
    )


def results(points: Curve, tasks: Curve, gain: Gain) -> list[Section]:
    note = Text(
        "Mean squared error on validation sets, which training never reads; bands are 95 % "
        "intervals over sets. The same model answers twice: from the labels of all tasks of a set, "
        "and for each task from its own labels alone."
    )
    first = curve(points, "points", "points of a set", "Error by the number of points")
    second = curve(
        tasks, "tasks", "tasks that are seen", f"Error by the number of tasks, {gain.points} points"
    )
    return section("results", "Together and separately", note, first, second)


def curve(found: Curve, name: str, x_label: str, title: str) -> Plot:
    lines = [
        ("all tasks together", "one", found.joint),
        ("each task alone", "two", found.separate),
    ]
    drawn = [
        (label, colour, [(x, one.mean, one.ci95) for x, one in zip(found.x, values, strict=True)])
        for label, colour, values in lines
    ]
    means = [one.mean for _, _, values in lines for one in values]
    svg = plots.curves(f"by-{name}", drawn, x_label, "MSE", log_y=logarithmic("mse", means))
    rows = tuple(
        (str(x), score("mse", a.mean, a.ci95), score("mse", b.mean, b.ci95))
        for x, a, b in zip(found.x, found.joint, found.separate, strict=True)
    )
    table = Table(title, (x_label, "together", "separate"), rows, folded=True)
    ends = " to ".join(short_number(one.mean) for one in (found.joint[0], found.joint[-1]))
    says = f"Error of learning together, {rows[0][0]} to {rows[-1][0]} {name}: {ends}"
    return Plot(title, svg, f"{says}.", table)


def fits(seen: list[SetLook]) -> list[Section]:
    """Every task of the sets that are shown, before and after the others are seen."""
    if not seen:
        return []
    colours = (
        "Orange: answered from the task's own labels; blue: from those of all tasks of the set."
    )
    curves = (
        "Tasks of validation sets. Dots are the labels that the model was given, the dotted line "
        f"what it had to find. {colours} Bands should hold the truth nine times in ten."
    )
    against = (
        "Tasks of a validation set. A dot is a row that the model was not given, its answer over "
        f"its label, noise and all: the nearer to the dotted line, the better. {colours} Lines are "
        "the intervals that should hold the label nine times in ten."
    )
    several = isinstance(seen[0].tasks[0], TaskAgainst)
    blocks: list[Block] = [Text(against if several else curves)]
    for place, one in enumerate(seen):
        blocks.append(Text(f"A set in which {one.kind}:"))
        blocks += [fit(f"fit-{place}-{t}", task) for t, task in enumerate(one.tasks[:SHOWN])]
    return section("fits", "Before and after the other tasks are seen", *blocks)


def fit(name: str, task: TaskFit | TaskAgainst) -> Plot:
    before, after = task.error(task.alone), task.error(task.together)
    title, labels = visible(task.name), labels_of(task)
    says = f"{labels} labels."
    if before is not None and after is not None:
        said = [short_number(value) for value in (before, after)]
        title += f": error {said[0]} before, {said[1]} after"
        says = f"{labels} labels; mean squared error {said[0]} from its own labels, "
        says += f"{said[1]} from those of all tasks."
    if isinstance(task, TaskAgainst):
        related = task.related or "no"
        says += f" It is related to {related} other task{'' if task.related == 1 else 's'}."
        return Plot(title, set_plots.against(name, task), says)
    return Plot(title, set_plots.fit(name, task), says)


def labels_of(task: TaskFit | TaskAgainst) -> int:
    """How many it was given."""
    return task.labels if isinstance(task, TaskAgainst) else len(task.points[0])


def short_number(value: float) -> str:
    """Two digits, without an exponent."""
    return np.format_float_positional(value, 2, fractional=False, trim="-")


def couplings(found: CoupledKinds) -> list[Section]:
    """The learned coupling beside the true one."""
    note = f"Learned: {found.kinds[0].coupling.what}. True: 1 where two tasks share parameters."
    note += " Both on one scale: blue as deep as a value is part of the largest, red below 0."
    if found.auc is not None:
        note += (
            " The learned coupling of a related pair is above that of an unrelated one in "
            f"{100 * found.auc:.0f} of 100 cases (AUC {found.auc:.3f} over validation sets)."
        )
    blocks: list[Block] = [Text(note)]
    largest = max(float(np.abs(one.coupling.learned).max()) for one in found.kinds)
    for one in found.kinds:
        names, many = one.coupling.names, f", mean of {one.sets} sets" if one.sets > 1 else ""
        learned, true = one.coupling.learned, one.coupling.true.astype(float)
        caption = f"Learned, where {one.kind}{many}"
        blocks.append(set_plots.matrix(caption, names, learned, largest))
        blocks.append(set_plots.matrix(f"True, where {one.kind}", names, true, 1.0))
    return section("coupling", "How the tasks are coupled", *blocks)


def what_it_is(subject: SetSubject) -> list[Section]:
    """The facts of a run or a model."""
    model, facts, source = subject.model, subject.facts, subject.source
    recipe, provenance = source.recipe, model.provenance
    options = ", ".join(f"{key} {value}" for key, value in recipe.data.options.items())
    size = sum(value.numel() for value in source.params.values())
    rows = {
        "status": facts.get("status"),
        "recipe": facts.get("recipe"),
        "trained on": f"{recipe.data.source}{f' ({options})' if options else ''}",
        "learner": recipe.algorithm.name,
        "parameters": f"{size:,}",
        "knows the tasks": ", ".join(source.known) if isinstance(source, SetModel) else None,
        "adapted to": ", ".join(model.names)
        if isinstance(model, AdaptedSet | AdaptedClassSet)
        else None,
        "inputs": ", ".join(model.inputs) if isinstance(model, AdaptedSet) else None,
        "steps": None if not facts.get("steps") else number(facts["steps"]),
        "seed": str(recipe.seed),
        "started": when(facts.get("started")),
        "made": None if facts else when(text_of(provenance.get("created"))),
        "took": duration(facts["seconds"]) if facts.get("seconds") else None,
    }
    shown = tuple((key, visible(value)) for key, value in rows.items() if value is not None)
    return section("what", "What it is", Facts(shown))


def text_of(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def repeat(subject: SetSubject) -> list[Section]:
    """The commands, the versions, and the recipe."""
    facts, provenance = subject.facts, subject.model.provenance
    versions = facts.get("versions") or provenance.get("versions")
    known = versions if isinstance(versions, dict) else {}
    rows = [(f"version of {key}", visible(value)) for key, value in known.items()]
    if facts.get("commit"):
        rows.append(("commit", str(short(facts["commit"]))))
    return section(
        "repeat",
        "To repeat it",
        Commands(tuple(commands(subject))),
        Facts(tuple(rows)),
        Source("The recipe with every setting", dump(subject.source.recipe, "")),
    )


def commands(subject: SetSubject) -> Iterator[str]:
    name, model = shlex.quote(subject.name), subject.model
    if not isinstance(model, AdaptedSet | AdaptedClassSet):
        if subject.run is not None:
            yield f"metacli meta-train {name}/recipe.yaml"
        yield f"metacli evaluate {name}"
        if isinstance(model, SetModel):
            yield f"metacli adapt {name} SET.csv"
        return
    data = model.provenance.get("data")
    path = data.get("source") if isinstance(data, dict) else None
    words = [str(model.provenance.get("from") or "MODEL"), str(path or "SET.csv")]
    yield " ".join(["metacli adapt", *map(shlex.quote, words), "-o", name])
    yield f"metacli predict {name} ROWS.csv"
