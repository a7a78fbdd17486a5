"""Reports of models of dense tasks: what learning together is worth, task by task; every measure;
validation images with what is true of them and what the network says.

Test images are read by `evaluate` alone: what the page says of them stands in the score file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from metacli.data.plain import record_in, whole_or_none_in
from metacli.data.scenes.generated import CLASSES, Scenes, scenes
from metacli.engine.dense.evaluate import LOSS, measured, single_of
from metacli.engine.dense.folder import DenseModel, load_dense
from metacli.engine.dense.maps import COLOURS, Maps, coloured, shaded, tinted
from metacli.engine.dense.predicting import maps_of
from metacli.engine.events import Progress, Reporter
from metacli.engine.reporting.blocks import (
    Block,
    Commands,
    Facts,
    Gallery,
    Image,
    Page,
    Row,
    Section,
    Source,
    Table,
    Text,
    section,
)
from metacli.engine.reporting.images import shown
from metacli.engine.reporting.repeat import short
from metacli.engine.reporting.settings import learning, when
from metacli.engine.reporting.subject import Line, called, evaluations
from metacli.engine.results.dense import DenseEvaluation
from metacli.engine.scoring import score_file
from metacli.engine.scoring.dense_measures import MEASURES
from metacli.engine.spelling import duration, number, score, verdict_words, visible
from metacli.engine.training import journal, run_file
from metacli.nn.dense.targets import TASKS
from metacli.schema.load import dump

SHOWN = 4  # images
WORDS = {
    "miou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "abs_error": "mean absolute error",
    "rel_error": "mean relative error",
    "mean_angle": "mean angle, degrees",
    "median_angle": "median angle, degrees",
    "within_11": "within 11.25 degrees",
    "within_22": "within 22.5 degrees",
    "within_30": "within 30 degrees",
}
SHARES = ("miou", "pixel_accuracy", "within_11", "within_22", "within_30")


@dataclass(frozen=True)
class DenseSubject:
    """
    Args:
        name: as the user called it, for commands. path: the model's folder. run: its run's; None
            for a model by itself. facts: run.json. history: metrics.jsonl. tested: the last result
            of `evaluate` for the model, test images first; empty where there is none.
    """

    name: str
    path: Path
    run: Path | None
    model: DenseModel
    facts: Line = field(default_factory=dict)
    history: tuple[Line, ...] = ()
    tested: Line = field(default_factory=dict)


def open_dense_subject(folder: Path, name: str) -> DenseSubject:
    """Of a model folder, which may be that of a run. Raises BundleError for a damaged one."""
    model = load_dense(folder)
    run = folder.parent if (folder.parent / "run.json").is_file() else None
    found = [
        one
        for one in evaluations(score_file.place_for(run, folder, None), folder)
        if one.get("measures")
    ]
    found.sort(key=lambda one: one.get("split") == "test")
    tested = found[-1] if found else {}
    if run is None:
        return DenseSubject(called(folder, name), folder, None, model, tested=tested)
    facts, history = run_file.read(run).as_dict(), tuple(journal.history(run))
    return DenseSubject(called(run, name), folder, run, model, facts, history, tested)


def page_of_dense(subject: DenseSubject, report: Reporter) -> Page:
    """All sections of a run or a model of dense tasks."""
    report(Progress("validation images", 0, 2, "parts"))
    made = scenes(subject.model.options, "val")
    result = subject.tested or validated(subject, made)
    report(Progress("validation images", 1, 2, "parts"))
    sections = [
        *results(result),
        *learning(subject.history),
        *images(subject.model, made),
        *what_it_is(subject),
        *repeat(subject),
    ]
    report(Progress("validation images", 2, 2, "parts"))
    title = str(subject.facts.get("recipe") or subject.path.name)
    return Page(title, headline(subject, result), tuple(sections))


def validated(subject: DenseSubject, made: Scenes) -> Line:
    """What `evaluate` would say on validation images."""
    facts = DenseEvaluation(LOSS, split="val", images=len(made))
    found, _ = measured(facts, subject.model, single_of(subject.path), made)
    return found.as_dict()


def headline(subject: DenseSubject, result: Line) -> str:
    """Task by task, whether learning together is better than a network for each task."""
    on = (
        f"{result.get('images')} {'test' if result.get('split') == 'test' else 'validation'} images"
    )
    tail = "" if subject.tested else " Not evaluated on test images yet."
    tasks = result.get("tasks") or []
    if result.get("delta_p") is None:
        first = f"Mean loss {score(LOSS, result.get('mean'), result.get('ci95'))} on {on}."
        return f"{first} There are no networks for each task to compare it with.{tail}"
    by_words: dict[str, list[str]] = {}
    for task in tasks:
        by_words.setdefault(verdict_words(task.get("verdict")), []).append(str(task.get("name")))
    said = "; ".join(
        f"{words} for {listed([visible(one) for one in names])}"
        for words, names in by_words.items()
    )
    return (
        f"Learned together, compared with a network for each task by the loss on {on}: {said}. "
        f"Over all measures Δp is {changed(result['delta_p'], result.get('delta_p_ci95'))} "
        f"(above 0: better together).{tail}"
    )


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def changed(delta: float | None, ends: Sequence[float | None] | None) -> str:
    """`+2.3 % [+0.1, +4.4]`."""
    if delta is None or not np.isfinite(delta):
        return "-"
    low, high = ends if ends is not None and len(ends) == 2 else (None, None)
    if low is None or high is None:
        return f"{100 * delta:+.1f} %"
    return f"{100 * delta:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"


def results(result: Line) -> list[Section]:
    """Δp of each task with its interval and verdict, and every measure."""
    split = visible(result.get("split"))
    note = Text(
        f"On {result.get('images')} images of the split {split}. Δp is the mean relative change of "
        "the measures of a task against a network for that task alone; its interval is over images "
        "(bootstrap), so that it says nothing of what another training would give. Verdicts are on "
        "the tasks' losses, over images, and hold for all tasks together (false discovery rate "
        "5 %, Benjamini and Hochberg)."
    )
    title = "Together and separately"
    return section("results", title, note, task_table(result), measure_table(result))


def task_table(result: Line) -> Table:
    each: Mapping[str, Line] = result.get("task_delta_p") or {}
    rows = []
    for task in result.get("tasks") or []:
        name, one = str(task.get("name")), each.get(str(task.get("name"))) or {}
        rows.append(
            (
                visible(name),
                changed(one.get("delta"), one.get("ci95")),
                number(task.get("value")),
                number(task.get("single_task")),
                verdict_words(task.get("verdict")),
            )
        )
    whole = changed(result.get("delta_p"), result.get("delta_p_ci95"))
    rows.append(("all tasks", whole, number(result.get("mean")), "", ""))
    header = ("task", "Δp, 95 % interval", "loss", "separate", "learning together is")
    return Table("What learning together is worth", header, tuple(rows))


def measure_table(result: Line) -> Table:
    measures: Mapping[str, Mapping[str, float]] = result.get("measures") or {}
    alone: Mapping[str, Mapping[str, float]] = result.get("single_task") or {}
    rows = [
        (
            visible(task),
            f"{WORDS[name]} ({'higher' if higher else 'lower'} is better)",
            spelled(name, measures.get(task, {}).get(name)),
            spelled(name, alone.get(task, {}).get(name)),
        )
        for task, names in MEASURES.items()
        for name, higher in names.items()
    ]
    header = ("task", "measure", "together", "separate")
    return Table("Every measure, over all pixels", header, tuple(rows))


def spelled(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if name in SHARES else number(value, 3)


def images(model: DenseModel, made: Scenes) -> list[Section]:
    """Some validation images, with what is true of them and what the network says."""
    names = ", ".join(f"{name} {hexadecimal(at)}" for at, name in enumerate(CLASSES))
    note = Text(
        "Validation images, which training never learned from. First the image; then, for each "
        "task, left the truth and right what the network says. Colours of the classes: "
        f"{names}. Depth: white is the nearest true pixel, black the farthest. Normals: x, y and "
        "z as red, green and blue."
    )
    found = maps_of(model, made.images[:SHOWN])
    rows = tuple(row_of(at, made, one) for at, one in enumerate(found))
    return section("images", "Truth and answer", note, Gallery("Truth left, answer right", rows))


def hexadecimal(number_of_class: int) -> str:
    return "#" + "".join(f"{part:02x}" for part in COLOURS[number_of_class])


def row_of(at: int, made: Scenes, found: Maps) -> Row:
    """One image and its three pairs."""
    truth = Maps(made.labels[at], made.depths[at], made.normals[at])
    ends = float(truth.depth.min()), float(truth.depth.max())
    pairs = (
        (coloured(truth.labels), coloured(found.labels)),
        (shaded(truth.depth, *ends), shaded(found.depth, *ends)),
        (tinted(truth.normals), tinted(found.normals)),
    )
    groups: list[tuple[Image, ...]] = [(shown(made.images[at], "the image"),)]
    groups += [
        (shown(left, f"{task}, the truth"), shown(right, f"{task}, the answer"))
        for task, (left, right) in zip(TASKS, pairs, strict=True)
    ]
    right = float((truth.labels == found.labels).mean())
    off = float(np.abs(truth.depth - found.depth).mean())
    note = f"{100 * right:.0f} % of the classes right, depth off by {number(off, 2)} on average"
    return Row(f"Image {at + 1}", tuple(groups), note)


def what_it_is(subject: DenseSubject) -> list[Section]:
    """The facts of a run or a model."""
    model, facts = subject.model, subject.facts
    recipe, provenance = model.recipe, model.provenance
    options = ", ".join(f"{key} {value}" for key, value in recipe.data.options.items())
    widths = recipe.backbone.options.get("widths")
    size = sum(value.numel() for value in model.params.values())
    created = provenance.get("created")
    rows = {
        "status": facts.get("status"),
        "recipe": facts.get("recipe") or provenance.get("recipe"),
        "trained on": f"{recipe.data.source} ({options})",
        "tasks": ", ".join(TASKS),
        "sharing": model.sharing,
        "weighting": recipe.weighting.name,
        "surgery": None if recipe.surgery is None else recipe.surgery.name,
        "network": f"{recipe.backbone.name} of widths {widths}",
        "parameters": f"{size:,}",
        "steps": number(facts.get("steps") or whole_or_none_in(provenance, "steps")),
        "seed": str(recipe.seed),
        "started": when(facts.get("started")),
        "made": None if facts or not isinstance(created, str) else when(created),
        "took": duration(facts["seconds"]) if facts.get("seconds") else None,
    }
    known = tuple((key, visible(value)) for key, value in rows.items() if value not in (None, "-"))
    return section("what", "What it is", Facts(known))


def repeat(subject: DenseSubject) -> list[Section]:
    """The commands, the versions, and the recipe."""
    facts, provenance = subject.facts, subject.model.provenance
    versions = facts.get("versions") or record_in(provenance, "versions")
    rows = [(f"version of {key}", visible(value)) for key, value in versions.items()]
    for key, value in (
        ("commit", facts.get("commit")),
        ("fingerprint of the data", record_in(provenance, "data").get("digest")),
    ):
        if value:
            rows.append((key, str(short(value))))
    blocks: list[Block] = [Commands(tuple(commands(subject))), Facts(tuple(rows))]
    recipe = Source("The recipe with every setting", dump(subject.model.recipe, ""))
    return section("repeat", "To repeat it", *blocks, recipe)


def commands(subject: DenseSubject) -> Iterator[str]:
    name = shlex.quote(subject.name)
    if subject.run is not None:
        yield f"metacli multitask {name}/recipe.yaml"
    yield f"metacli evaluate {name}"
    yield f"metacli predict {name} IMAGES -o MAPS"
