"""The model card: the README.md inside a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metacli import __version__
from metacli.data.plain import Plain, Record
from metacli.engine.models.card_header import header, licence_text
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.spelling import visible
from metacli.schema.recipe import Recipe

CAUTION = "Test it on your own data before use: `metacli evaluate`."


def model_card(model: AnyModel) -> str:
    """Markdown: what the model is, what it was measured to reach, how to use it."""
    rows = [f"| {key} | {escape(str(value))} |" for key, value in facts(model).items() if value]
    scores = [f"- {key}: {score_text(value)}" for key, value in sorted(model.scores.items())]
    return "\n".join(
        [
            *header(model),
            f"# {model.provenance.get('recipe', 'a metacli model')}",
            "",
            summary(model),
            "",
            "| | |",
            "| --- | --- |",
            *rows,
            "",
            "## Scores",
            "",
            *(scores or ["None measured."]),
            "",
            "## Use",
            "",
            "```",
            *(f"metacli {command}" for command in commands(model)),
            "```",
            "",
            "## Limits",
            "",
            limits(model),
            "",
            "## Licence",
            "",
            licence_text(model),
            "",
        ]
    )


def limits(model: AnyModel) -> str:
    """What it is not for."""
    answers = {
        "classification": "It answers with one of its classes, whatever it is shown"
        + (" (`predict --reject auto` says *none of these*)." if is_adapted(model) else "."),
        "regression": "Far from the values that it learned from its answers mean little.",
    }
    return f"{answers.get(model.kind, '')} {CAUTION}".strip()


def is_adapted(model: AnyModel) -> bool:
    return isinstance(model, AdaptedModel)


def summary(model: AnyModel) -> str:
    """What it is, in a sentence."""
    match model:
        case MultiTaskModel():
            return f"A model of {len(model.heads.tasks)} tasks of {model.recipe.data.source}."
        case FewShotModel():
            name = model.recipe.algorithm.name
            return f"A {name} model that adapts to new tasks from a few examples."
        case AdaptedModel():
            what = "numbers" if model.classes is None else f"{len(model.classes)} classes"
            return f"Adapted with `{model.method}` to {what}."


def facts(model: AnyModel) -> dict[str, Plain]:
    """The rows of the table; those without a value are left out."""
    recipe, provenance = model.recipe, model.provenance
    classes = model.classes if isinstance(model, AdaptedModel) else None
    return {
        "kind": model.kind,
        **methods(recipe),
        "trained on": Path(recipe.data.source).name,  # a card travels: no folder of this machine
        "input": input_text(model.inputs),
        "classes": ", ".join(classes or ()),
        "adapted from": provenance.get("from"),
        "seed": str(recipe.seed),
        "made": f"{provenance.get('created', '')} by metacli {__version__}",
    }


def methods(recipe: Recipe) -> dict[str, Plain]:
    """What learned, and which network."""
    match recipe.kind:
        case "multitask":
            return {"sharing": recipe.sharing.name, "backbone": recipe.backbone.name}
        case "meta":
            return {"learner": recipe.algorithm.name, "backbone": recipe.backbone.name}
        case "meta-multitask":
            return {"learner": recipe.algorithm.name}


def commands(model: AnyModel) -> tuple[str, ...]:
    """How it is used, without `metacli` in front."""
    image = model.inputs.kind == "image"
    match model:
        case MultiTaskModel():
            rows = "IMAGE.png" if image else "ROWS.csv"
            return (f"predict THIS_FOLDER {rows}", "evaluate THIS_FOLDER", "export THIS_FOLDER")
        case FewShotModel():
            return "adapt THIS_FOLDER MY_CLASSES/", "evaluate THIS_FOLDER"
        case AdaptedModel():
            rows = "IMAGE.png" if image else "ROWS.csv"
            return f"predict THIS_FOLDER {rows}", "export THIS_FOLDER --format onnx"


def input_text(inputs: InputSpec) -> str:
    if inputs.kind != "image":
        return f"numbers of shape {inputs.shape}"
    channels, height, width = inputs.shape
    strokes = ", dark strokes on light paper" if inputs.invert else ""
    return f"images, {height}x{width}, {'grey' if channels == 1 else 'colour'}{strokes}"


def score_text(score: Plain) -> str:
    """A score of whatever verb, with its interval."""
    if not isinstance(score, Mapping):
        return escape(str(score))
    if "mean" in score:
        half = score.get("ci95")
        interval = "" if half is None else f" ± {rounded(half)} (95 %)"
        return f"{rounded(score['mean'])}{interval}"
    if "value" in score:
        return held_out_text(score)
    if "verdict" in score:
        return f"{str(score['verdict']).replace('_', ' ')}{against_text(score)}"
    return escape(str(score))


def held_out_text(score: Record) -> str:
    """What `adapt` measured, with its interval and how it was obtained."""
    if score["value"] is None:
        return f"not measured: {escape(str(score.get('why') or 'too few examples'))}"
    text = f"{score.get('metric', '')} {rounded(score['value'])}"
    if score.get("low") is not None:
        text += f" (95 % from {rounded(score['low'])} to {rounded(score['high'])})"
    if score.get("balanced") is not None:
        text += f", balanced {rounded(score['balanced'])}"
    return f"{text}; {score.get('how', '')}, {score.get('n')} examples"


def against_text(transfer: Record) -> str:
    """How much better it is than the best model without a source."""
    baseline, interval = transfer.get("baseline"), transfer.get("delta_ci95")
    if not isinstance(baseline, Mapping) or not isinstance(interval, list | tuple):
        return ""
    low, high = (signed(end) for end in interval)
    delta = signed(transfer.get("delta"))
    return f": {delta} against {baseline.get('name')} (95 % from {low} to {high})"


def rounded(value: Plain) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else str(value)


def signed(value: Plain) -> str:
    return f"{value:+.4f}" if isinstance(value, int | float) else str(value)


def escape(text: str) -> str:
    """A name from outside in a table of Markdown: nothing in it acts on a terminal or a page."""
    return visible(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")
