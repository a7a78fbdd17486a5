"""The model card: the README.md inside a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(document: Mapping[str, Any]) -> str:
    """Markdown from `model.json`'s content: what it is, what it was measured to reach, how to use
    it."""
    recipe, provenance = document["recipe"], document["provenance"]
    name = provenance.get("recipe", "a metacli model")
    lines = [f"# {name}", ""]
    if document["kind"] == "tasks":
        lines.append(f"A model of {document['way']} tasks of {recipe['data']['source']}.")
    elif document["method"] is None:
        lines.append(
            f"A {recipe['algorithm']['name']} model that adapts to new tasks from a few examples."
        )
    else:
        lines.append(
            f"Adapted with `{document['method']}` to {len(document['classes'] or [])} classes."
        )
    lines += ["", "| | |", "| --- | --- |"]
    facts = {
        "kind": document["kind"],
        "learner": recipe.get("algorithm", {}).get("name"),
        "sharing": recipe.get("sharing", {}).get("name"),
        "backbone": recipe["backbone"]["name"],
        "trained on": recipe["data"]["source"],
        "input": _input(document["input"]),
        "classes": ", ".join(document["classes"]) if document["classes"] else None,
        "adapted from": provenance.get("from"),
        "seed": recipe["seed"],
        "made": f"{provenance.get('created', '')} by metacli {document['metacli']}",
    }
    lines += [
        f"| {key} | {escape(str(value))} |" for key, value in facts.items() if value is not None
    ]
    lines += ["", "## Scores", ""]
    for key, value in sorted(document["scores"].items()):
        lines.append(f"- {key}: {_score(value)}")
    if not document["scores"]:
        lines.append("None measured.")
    if document["kind"] == "tasks":
        what = "PICTURE.png" if document["input"]["kind"] == "image" else "ROWS.csv"
        verbs = (f"predict THIS_FOLDER {what}", "evaluate THIS_FOLDER", "export THIS_FOLDER")
        return "\n".join(
            [*lines, "", "## Use", "", "```", *(f"metacli {one}" for one in verbs), "```", ""]
        )
    usage = (
        "metacli predict THIS_FOLDER PICTURE.png"
        if document["method"]
        else "metacli adapt THIS_FOLDER MY_CLASSES/"
    )
    lines += [
        "",
        "## Use",
        "",
        "```",
        usage,
        "metacli export THIS_FOLDER --format onnx"
        if document["method"]
        else "metacli evaluate THIS_FOLDER",
        "```",
        "",
    ]
    lines += [
        "What it was not tested on is unknown: measure it on your own data (`metacli evaluate`).",
        "",
    ]
    return "\n".join(lines)


def _input(spec: Mapping[str, Any]) -> str:
    if spec["kind"] != "image":
        return f"numbers of shape {tuple(spec['shape'])}"
    channels, height, width = spec["shape"]
    strokes = ", dark strokes on light paper" if spec["invert"] else ""
    return f"images, {height}x{width}, {'grey' if channels == 1 else 'colour'}{strokes}"


def _score(value: Any) -> str:
    if isinstance(value, Mapping) and "mean" in value:
        half = value.get("ci95")
        return f"{value['mean']:.4f}" + (f" ± {half:.4f} (95 %)" if half is not None else "")
    if isinstance(value, Mapping) and "value" in value:
        return _held_out(value)
    if isinstance(value, Mapping) and "verdict" in value:
        return f"{value['verdict'].replace('_', ' ')}{_against(value)}"
    return escape(str(value))


def _held_out(score: Mapping[str, Any]) -> str:
    """What `adapt` measured, with its interval and how it was obtained."""
    if score["value"] is None:
        return f"not measured: {escape(str(score.get('why') or 'too few examples'))}"
    told = f"{score.get('metric', '')} {score['value']:.4f}"
    if score.get("low") is not None:
        told += f" (95 % from {score['low']:.4f} to {score['high']:.4f})"
    if score.get("balanced") is not None:
        told += f", balanced {score['balanced']:.4f}"
    return f"{told}; {score.get('how', '')}, {score.get('n')} examples"


def _against(transfer: Mapping[str, Any]) -> str:
    if not transfer.get("baseline"):
        return ""
    low, high = transfer["delta_ci95"]
    name = transfer["baseline"]["name"]
    return f": {transfer['delta']:+.4f} against {name} (95 % from {low:+.4f} to {high:+.4f})"


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
