"""What a run or a model is, and how it learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metacli.data.plain import record_in, text_or_none_in, whole_or_none_in
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.learners import METHODS
from metacli.engine.models.model import AdaptedModel, AnyModel
from metacli.engine.reporting import plots
from metacli.engine.reporting.blocks import (
    Block,
    Facts,
    Plot,
    Section,
    Table,
    Text,
    section,
)
from metacli.engine.reporting.subject import Line, Subject
from metacli.engine.results.base import Json
from metacli.engine.spelling import date, duration, is_fraction, metric_name, number, score, visible
from metacli.errors import first_names
from metacli.schema.blocks import Named
from metacli.schema.few_shot import Episodes

POINTS = 400  # of a learning curve


def what_it_is(subject: Subject) -> list[Section]:
    """The facts of a run or a model."""
    model, facts = subject.model, subject.facts
    recipe, provenance = model.recipe, model.provenance
    learner = None if recipe.kind == "multitask" else recipe.algorithm.name
    multi = recipe if recipe.kind == "multitask" else None
    sharing = None if multi is None else multi.sharing.name
    weighting = None if multi is None else multi.weighting.name
    surgery = None if multi is None or multi.surgery is None else multi.surgery.name
    data = facts.get("data") or record_in(provenance, "data")
    size = sum(value.numel() for value in model.params.values())
    rows = {
        "status": facts.get("status"),
        "recipe": facts.get("recipe") or provenance.get("recipe"),
        "trained on": recipe.data.source if subject.run else Path(recipe.data.source).name,
        "scheme": data.get("scheme"),
        "learned from tasks of": shape_of(recipe.episodes, model.kind)
        if recipe.kind == "meta" and learned(model)
        else None,
        "learner": learner,
        "sharing": sharing,
        "weighting": weighting,
        "surgery": surgery,
        "network": None
        if recipe.kind == "meta-multitask"
        else backbone(recipe.backbone, model.inputs),
        "parameters": f"{size:,}",
        "adapted with": model.method if isinstance(model, AdaptedModel) else None,
        "classes": classes(model.classes) if isinstance(model, AdaptedModel) else None,
        "steps": number(facts.get("steps") or whole_or_none_in(provenance, "steps")),
        "seed": str(recipe.seed),
        "started": when(facts.get("started")),
        "made": None if facts else when(text_or_none_in(provenance, "created")),
        "took": duration(facts["seconds"]) if facts.get("seconds") else None,
    }
    shown = tuple((key, visible(value)) for key, value in rows.items() if value not in (None, "-"))
    return section("what", "What it is", Facts(shown))


def learned(model: AnyModel) -> bool:
    """Whether it was meta-trained on episodes; columns and pretrained encoders were not."""
    return model.recipe.kind == "meta" and model.recipe.algorithm.name not in METHODS


def when(stamp: str | None) -> str | None:
    """A date for people."""
    return None if stamp is None else date(stamp)


def backbone(block: Named, inputs: InputSpec) -> str:
    """`conv4 (width 64, ...) on image of 1 × 28 × 28`."""
    known = {k: v for k, v in block.options.items() if v and not isinstance(v, bool | float)}
    said = ", ".join(f"{key} {value}" for key, value in known.items())
    if inputs.kind == "numbers":
        return f"{block.name}{f' ({said})' if said else ''} on {inputs.shape[0]} columns"
    shape = " × ".join(map(str, inputs.shape))
    return f"{block.name}{f' ({said})' if said else ''} on {inputs.kind} of {shape}"


def classes(names: Sequence[str] | None) -> str | None:
    if names is None:
        return None
    return first_names(names, 10)


def shape_of(episodes: Episodes, kind: str) -> str:
    if kind == "regression":
        return f"{span(episodes.shot)} points, {episodes.query} queries"
    return f"{span(episodes.way)}-way {span(episodes.shot)}-shot, {episodes.query} queries"


def span(value: Json) -> str:
    return "–".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def learning(history: Sequence[Line]) -> list[Section]:
    """The learning curves of `metrics.jsonl`: training as it went, validation with its interval."""
    trained = [line for line in history if isinstance(line.get("train"), dict)]
    validated = [line for line in history if isinstance(line.get("val"), dict)]
    names = [key for line in validated[:1] for key in line["val"]]
    best = [line["step"] for line in validated if line.get("best")]
    if len(validated) == 1 and len(trained) <= 1:
        return section("learning", "Learning", *(one_step(name, validated[0]) for name in names))
    mark = best[-1] if best else None
    blocks: list[Block] = [
        one_step(name, validated[0])
        if len(validated) == 1
        else validation_plot(name, validated, mark)
        for name in names
    ]
    known = trained[0]["train"] if trained else {}
    losses = [key for key in ("query_loss", "loss", "support_loss") if key in known]
    blocks += [training_plot(name, trained) for name in losses[:1] if len(trained) > 1]
    if not blocks:
        return []
    note = Text("The best checkpoint was chosen on validation data; the test set was not used.")
    return section("learning", "Learning curves", note, *blocks)


def one_step(name: str, line: Line) -> Text:
    """A single validation has no curve."""
    value = score(name, line["val"][name]["mean"], line["val"][name].get("ci95"))
    steps = (
        "Solved in one step." if line["step"] == 1 else f"Validated once, at step {line['step']}."
    )
    return Text(f"{steps} Validation {metric_name(name)}: {value}.")


def validation_plot(name: str, lines: Sequence[Line], best: int | None) -> Plot:
    points = [
        (line["step"], line["val"][name]["mean"], line["val"][name].get("ci95")) for line in lines
    ]
    points = [point for point in points if point[1] is not None]
    words = metric_name(name)
    svg = plots.curves(
        "learning-val",
        [(words, "one", points)],
        "outer step",
        words,
        None if best is None else (best, "best"),
        log_y=logarithmic(name, [p[1] for p in points]),
        percent=is_fraction(name),
    )
    says = f"Validation {words} over training"
    if points:
        says += f": from {score(name, points[0][1])} to {score(name, points[-1][1])}"
        says += "" if best is None else f", best at step {best}"
    table = Table(
        f"Validation {words} by step",
        ("step", words),
        tuple((f"{p[0]:,}", score(name, p[1], p[2])) for p in points),
        folded=True,
    )
    return Plot(f"Validation {words}", svg, f"{says}.", table)


def training_plot(name: str, lines: Sequence[Line]) -> Plot:
    points = [(line["step"], line["train"][name], None) for line in lines]
    points = [point for point in points if point[1] is not None]
    thin = points[:: max(1, len(points) // POINTS)]
    words = name.replace("_", " ")
    svg = plots.curves(
        "learning-train",
        [(words, "two", thin)],
        "outer step",
        f"training {words}",
        log_y=logarithmic("loss", [p[1] for p in thin]),
    )
    says = f"Training {words} over {len(points)} windows of steps"
    if points:
        says += f": from {number(points[0][1])} to {number(points[-1][1])}"
    return Plot(f"Training {words}", svg, f"{says}.")


def logarithmic(name: str, values: Sequence[float]) -> bool:
    """Errors that fall by powers of ten are read on a logarithmic axis."""
    return (
        not is_fraction(name)
        and bool(values)
        and min(values) > 0
        and max(values) > 10 * min(values)
    )
