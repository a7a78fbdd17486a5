"""The tables of few-shot results: one for each data set that several learners share, with their
published figures, and one row for each evaluation of everything else.

A result is what `run.py` wrote into benchmarks/results/<recipe>.json; no number is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
Score = dict[str, Any]

PUBLISHED = Path(__file__).with_name("published.json")
OMNIGLOT = [(5, 1), (5, 5), (20, 1), (20, 5)]
PHOTOGRAPHS = [(5, 1), (5, 5)]
STEPS = (1, 5, 10)
HEAD = (
    "| recipe | task | inductive | transductive | baselines | minutes |",
    "| --- | --- | --- | --- | --- | --- |",
)


def tables(results: Sequence[Result]) -> str:
    """All of them, as Markdown."""
    seen: set[int] = set()

    def chosen(data: str) -> list[tuple[Result, list[Score]]]:
        found = []
        for result in results:
            scores = [s for s in result["evaluate"] if s["data"] == data and fixed(s)]
            if scores and data != "glyphs":
                seen.update(id(score) for score in scores)
                found.append((result, scores))
        return found

    parts = [
        "Omniglot, accuracy in %, 600 test episodes; inductive, and after a slash transductive "
        "where that differs. *Published* figures are under their own protocols.",
        "",
        *by_shape(chosen("omniglot"), OMNIGLOT, "Omniglot"),
        "",
        "Photographs of 100 classes (CIFAR-FS, a third of its images), accuracy in %, inductive / "
        "transductive:",
        "",
        *by_shape(chosen("cifar-fs"), PHOTOGRAPHS, "CIFAR-FS"),
        "",
        "Sine waves, mean squared error over 2,000 test waves after 1, 5 and 10 steps of "
        "adaptation to 10 points, and to 5 with the same model.",
        "The outer rate of `sinusoid-10shot-maml` is one of three that were compared on these very "
        "waves, so its numbers are too good;",
        "learners are compared [below](#sine-waves-with-the-same-effort-for-every-learner), each "
        "at a rate chosen on validation waves:",
        "",
        *of_waves(chosen("sinusoid")),
        "",
        "Everything else:",
        "",
        *HEAD,
        *(row(r, s) for r in results for s in r["evaluate"] if id(s) not in seen),
    ]
    return "\n".join(parts)


def fixed(score: Score) -> bool:
    return isinstance(score["way"], int) and isinstance(score["shot"], int)


def link(result: Result, root: str = "../../") -> str:
    file = result.get("name", result["recipe"])
    other = file != result["recipe"]  # with other settings, of which steps are one
    steps = f", {int(result['train']['steps'].split()[0]):,} steps" if other else ""
    return f"[{result['recipe']}]({root}benchmarks/results/{file}.json){steps}"


def minutes(result: Result) -> str:
    return f"{60 * result['hours']:.0f}"


def by_shape(
    rows: list[tuple[Result, list[Score]]], shapes: list[tuple[int, int]], name: str
) -> list[str]:
    """A row for each recipe, a column for each way and shot; what is published below it."""
    heads = [f"{way}-way {shot}-shot" for way, shot in shapes]
    lines = [
        f"| recipe | split, rotations | {' | '.join(heads)} | minutes |",
        "| --- " * (len(heads) + 3) + "|",
    ]
    published = json.loads(PUBLISHED.read_text())
    learners = [result["recipe"].rpartition("-")[2] for result, _ in rows]
    for index, (result, scores) in enumerate(rows):
        first = scores[0]
        where = ", ".join(str(v) for v in (first["scheme"], first["rotations"]) if v)
        cells = [cell_of(scores, way, shot) for way, shot in shapes]
        lines.append(joined(link(result), where, *cells, minutes(result)))
        learner = learners[index]
        if learner in learners[index + 1 :]:
            continue  # once, below the last of its recipes
        figures = published.get(learner, {}).get("figures", {})
        found = [figures.get(f"{name} {head}", "") for head in heads]
        if any(found):
            lines.append(joined("*published*", published[learner]["source"], *found, ""))
    return lines


def cell_of(scores: list[Score], way: int, shot: int) -> str:
    for score in scores:
        if (score["way"], score["shot"]) == (way, shot):
            return both(score)
    return ""


def both(score: Score) -> str:
    """Inductive / transductive; the number of queries where it is one, which decides the latter."""
    inductive, together = score["inductive"], score["transductive"]
    text = f"**{percent(inductive)}**"
    if together:
        text += f" / {percent(together)}"
    return text + (" (1 query)" if score["query"] == 1 else "")


def percent(value: dict[str, float]) -> str:
    return f"{100 * value['mean']:.2f} ± {100 * value['ci95']:.2f}"


def of_waves(rows: list[tuple[Result, list[Score]]]) -> list[str]:
    """A row for each recipe and for each of its baselines, 10 points before 5."""
    heads = [f"{shot} points, {step}" for shot in (10, 5) for step in STEPS]
    lines = [f"| recipe | {' | '.join(heads)} | minutes |", "| --- " * 8 + "|"]
    seen: set[str] = set()
    for result, scores in rows:
        lines.append(joined(link(result), *errors(scores, lambda s: s), minutes(result)))
        for name in sorted(set(scores[0]["baselines"]) - {"untrained"} - seen):
            seen.add(name)
            own = errors(scores, lambda s, name=name: s["baselines"].get(name, {}))  # type: ignore[misc]
            lines.append(joined(f"{name} (beside {result['recipe']})", *own, ""))
    return lines


def errors(scores: list[Score], pick: Callable[[Score], dict[str, Any]]) -> list[str]:
    cells = []
    for shot in (10, 5):
        own = sorted(scores, key=lambda s: -len(s["per_step"] or []))  # the most steps first
        of_shot = [pick(score) for score in own if score["shot"] == shot]
        steps = {s["step"]: s for s in (of_shot[0].get("per_step") or [])} if of_shot else {}
        if of_shot and of_shot[0] and set(steps) <= {0}:  # nothing is adapted
            steps = {STEPS[0]: of_shot[0]}
        cells += [error(steps[step]) if step in steps else "" for step in STEPS]
    return cells


def error(value: dict[str, float]) -> str:
    digits = ".3f" if value["mean"] < 1000 else ".2g"
    lost = value.get("not_finite")  # not in the mean
    return f"{value['mean']:{digits}} ± {value['ci95']:{digits}}" + (
        f" ({lost:.0f} diverged)" if lost else ""
    )


def joined(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def row(result: Result, score: Score, root: str = "../../") -> str:
    """One evaluation; `root` leads from the file that the row is in to the project's folder."""
    together = score["transductive"]
    baselines = ", ".join(
        f"{name} {shown(score, value)}" for name, value in score["baselines"].items()
    )
    return joined(
        link(result, root),
        task_of(score),
        steps_of(score) or f"**{shown(score, score['inductive'])}**",
        shown(score, together) if together else "the same" if score["metric"] == "accuracy" else "",
        baselines,
        minutes(result),
    )


def steps_of(score: Score) -> str:
    """A regression is printed after 1, 5 and 10 steps, and after its last."""
    if score["metric"] == "accuracy":
        return ""
    last = score["per_step"][-1]["step"] if score["per_step"] else 0
    chosen = [step for step in score["per_step"] if step["step"] in {*STEPS, last}]
    words = {1: "1 step"}
    named = [(words.get(s["step"], f"{s['step']} steps"), shown(score, s)) for s in chosen]
    return "; ".join(f"{steps} {value}" for steps, value in named)


def task_of(score: Score) -> str:
    where = f"{score['data']}{', ' + score['scheme'] if score['scheme'] else ''}, {score['split']}"
    count = f"{score['episodes']} episodes"
    if score["metric"] != "accuracy":
        return f"{where}: {score['shot']} points, mse, {count}"
    shot = score["shot"] if isinstance(score["shot"], int) else "{}-{}".format(*score["shot"])
    return f"{where}: {score['way']}-way {shot}-shot, {score['query']} queries, {count}"


def shown(score: Score, value: dict[str, Any]) -> str:
    if score["metric"] == "accuracy":
        return f"{percent(value)} %"
    return error(value)
