"""Generated tasks of which it is known which are related: what learning them together does to
each, and where learned weights go: `python benchmarks/families.py`; `--table` makes the table of
the page.

Writes `results/tasks/families.json` after each family, and goes on with one that was begun: the
shipped recipes on families of related tasks (some with half of their signs flipped) and on one of
tasks that are all unrelated, as they are, by the suggested groups, and with the guard. Verdicts are
those of `evaluate`, of every task against itself alone on more than a thousand test rows. What had
to be chosen (`weighting.focus`, the learning rate of the meta recipe) was chosen by the error on
held-out rows of families 100 to 105.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import result_pages
import torch
from learning import CPU, QUIET, RESULTS, arm_of, learned, say, write

from metacli.engine.scoring.intervals import paired
from metacli.engine.scoring.multi_task_evaluate import judged
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.training.multi_task.guard import decide
from metacli.engine.training.multi_task.relatedness import relatedness
from metacli.engine.training.multi_task.single_task import Candidate

PAGE = result_pages.MULTI_TASK
BEGIN, END = "<!-- families: made by benchmarks/families.py -->", "<!-- end of families -->"
SEEDS = 5
FAMILIES = {
    "three groups and two unrelated": (),
    "the same, signs flipped": ("data.flipped=2",),
    "twelve unrelated": ("data.groups=0", "data.unrelated=12"),
}
SHOWN = {
    "hard": "together",
    "groups": "by suggested groups",
    "meta": "`weighting.name=auto-lambda`",
}


def measure() -> None:
    """One family after the other; goes on with a file that was begun."""
    started, found = time.monotonic(), begun()
    done = {(one["family"], one["seed"]) for one in found}
    for seed in range(SEEDS):
        for name, overrides in FAMILIES.items():
            if (name, seed) in done:
                continue
            found.append({"family": name, "seed": seed, **one_family(seed, overrides)})
            say(name, seed, found[-1])
            kinds = {one["family"]: [] for one in found}
            for one in found:
                kinds[one["family"]].append(one)
            summary = {kind: summed_up(ones) for kind, ones in kinds.items()}
            document = {"metric": "nmse", "seeds": seed + 1, "summary": summary, "families": found}
            write("families", document, started)


def begun() -> list[dict[str, Any]]:
    path = RESULTS / "families.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found["families"] if len(found.get("families", ())) < SEEDS * len(FAMILIES) else []


def one_family(seed: int, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Every way of training on one family: its verdicts, and the mass of learned weights."""
    over = (f"data.seed={seed}", *overrides)
    alone, rows = arm_of("task-families-hard", *over, single=True)
    groups = relatedness("gradient-cosine", rows, 0).groups
    arms = {
        "hard": arm_of("task-families-hard", *over)[0],
        "groups": arm_of("task-families-hard", *over, f"groups={json.dumps(groups)}")[0],
        "meta": arm_of("task-families-meta", *over)[0],
    }
    params = {name: learned(arm, rows) for name, arm in arms.items()}
    by_itself = predictions(alone.problem, learned(alone, rows), rows, "test")
    told = {name: predictions(arms[name].problem, params[name], rows, "test") for name in arms}
    for name in ("hard", "groups"):
        told[f"{name}+guard"] = guarded(arms[name], alone, rows, told[name], by_itself)
    known = np.array(rows.table.groups)
    return {
        "groups": groups,
        "test_rows": len(rows.parts["test"][0]),
        "ways": {name: against(rows, one, by_itself, known) for name, one in told.items()},
        "mass": mass(params["meta"]["weighting.weights"].numpy(), known),
    }


def guarded(
    arm: Candidate, alone: Candidate, rows: Any, together: Any, by_itself: Any
) -> list[np.ndarray]:
    """What a run with `guard=true` answers."""
    chosen = decide(arm, alone, rows, arm.recipe.train.steps, CPU, QUIET)
    assert chosen is not None
    each = zip(chosen.decisions, together, by_itself, strict=True)
    return [a if one.shares else b for one, a, b in each]


def against(rows: Any, told: Any, by_itself: Any, known: np.ndarray) -> dict[str, Any]:
    """Verdicts over the tasks, each beside itself alone; positive differences are worse."""
    tasks = judged("nmse", rows.table.tasks, rows.numbers("test")[1], told, by_itself)
    deltas = np.array([task.delta for task in tasks])
    verdicts = np.array([task.verdict for task in tasks])
    alone = known < 0
    return {
        "tasks": len(tasks),
        "nmse": float(np.mean([task.value for task in tasks])),
        "delta": float(deltas.mean()),
        "worst_delta": float(deltas.max()),
        "hurt": int((verdicts == "hurt").sum()),
        "helped": int((verdicts == "helped").sum()),
        "unrelated": int(alone.sum()),
        "unrelated_hurt": int((verdicts[alone] == "hurt").sum()),
        "unrelated_delta": float(deltas[alone].mean()),
    }


def mass(weights: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Of what tasks with related ones give to other tasks, the share of those; and what a
    task without them gives, its own weight being 1."""
    own = np.eye(len(groups), dtype=bool)
    related = (groups[:, None] == groups) & (groups >= 0)[:, None] & ~own
    others, some = weights * ~own, groups >= 0
    given = others.sum(1)
    found = {"given_by_unrelated": float(given[~some].mean())}
    if some.any():
        shares = (others * related).sum(1)[some] / given[some]
        found |= {"relatives": float(shares.mean()), "given_by_related": float(given[some].mean())}
    return found


def summed_up(families: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds with their 95 % t intervals, and verdicts added up."""
    ways = {}
    for way in families[0]["ways"]:
        each = [one["ways"][way] for one in families]
        ways[way] = {
            **{
                key: interval([one[key] for one in each])
                for key in ("nmse", "delta", "worst_delta")
            },
            **{
                key: sum(one[key] for one in each)
                for key in ("tasks", "hurt", "helped", "unrelated", "unrelated_hurt")
            },
        }
    masses = [one["mass"] for one in families]
    return {
        "ways": ways,
        "mass": {key: interval([one[key] for one in masses]) for key in masses[0]},
    }


def interval(values: list[float]) -> dict[str, Any]:
    mean, low, high = paired(np.array(values))
    return {"mean": mean, "ci95": [low, high]}


def table() -> str:
    """Markdown for the documentation."""
    found = json.loads((RESULTS / "families.json").read_text())
    lines = [
        "| family | trained | error minus separate | hurt | helped | weight on related tasks |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for family, one in found["summary"].items():
        for way, row in one["ways"].items():
            name, _, guard = way.partition("+")
            to_related = one["mass"].get("relatives") if way == "meta" else None
            cells = [
                family,
                SHOWN[name] + (", `guard=true`" if guard else ""),
                shown(row["delta"], "+.3f"),
                f"{row['hurt']} of {row['tasks']}",
                str(row["helped"]),
                shown(to_related, ".0%") if to_related else "",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(found: dict[str, Any], form: str) -> str:
    low, high = found["ci95"]
    return f"{found['mean']:{form}} [{low:{form}}, {high:{form}}]"


def write_table() -> None:
    result_pages.replace(PAGE, BEGIN, END, table())


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] != ["--table"]:
        measure()
    write_table()


if __name__ == "__main__":
    main()
