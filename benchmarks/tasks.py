"""Sets of many tasks over several divisions of their rows: `python benchmarks/tasks.py school ...`,
with the data fetched; `tasks_table.py` makes tables of the results. With `--only MODEL` a simple
model, or the recipe itself, is measured again in a file that is there, where its divisions are
still the same ones.

The protocol is protocols/tasks.md. Writes `results/tasks/<data>.json`: scores on test rows of the
shipped recipe, of its single-task model and of the simple models, for each division, and the
corrected resampled t interval (Nadeau and Bengio) of each difference. What has to be chosen is
chosen inside the rows that are no test rows: by the recipe, whose grid and folds its file has, and
by the simple models on folds of the rows they are fitted to (penalties, and leaves and number of
boosted trees: `simple_models`). Where the test rows are fixed, divisions differ in the
validation rows and the seed. Divisions and their runs are kept in build/tasks until the last one is
there: what was stopped goes on.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tasks_table import RESULTS, write_tables

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.data.multi_task.splits import TEST_SHARE
from metacli.engine.models.folder import load as load_model
from metacli.engine.multitask import multitask
from metacli.engine.scoring import multi_task_baselines
from metacli.engine.scoring.intervals import nadeau_bengio, paired, t_quantile
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.scoring.multi_task_scores import (
    Rows,
    mean_r2,
    own_metric,
    score,
    task_score,
    within,
)
from metacli.engine.training.multi_task import compare as multi_task_compare
from metacli.engine.training.multi_task.build import make_rows
from metacli.engine.training.multi_task.single_task import SINGLE
from metacli.schema.load import load

ROOT = Path(__file__).resolve().parent
BUILD = ROOT.parent / "build" / "tasks"
SMALL = 30  # training rows below which a task is small
LISTED = 40  # tasks that a results file lists one by one
CHECKED = "pooled"  # what depends on the rows of a division and on no choice that has changed


@dataclass(frozen=True)
class Plan:
    """What is measured: a recipe, over how many divisions.

    Args:
        divisions: 1 where the test rows are fixed and the recipe is solved exactly, or where one
            takes long; intervals are then over tasks.
        first: number of the first, which is its `data.split_seed` and its seed.
        share: test rows for each other row.
        others: more recipes of the same data, beside it.
    """

    recipe: str
    divisions: int = 10
    first: int = 0
    share: float = TEST_SHARE / (1 - TEST_SHARE)
    others: tuple[str, ...] = ()

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.divisions)


PLANS = {
    "school": Plan("school-mixed", first=10, others=("school-soft",)),
    "landmine": Plan("landmine-mean", first=10, others=("landmine-hard",)),
    "sarcos": Plan("sarcos-hard", 5, first=10),
    "computer-buyers": Plan("computer-buyers-mixed", 1, others=("computer-buyers-soft",)),
    "adult": Plan("adult-hard", 5, share=16_281 / 32_561),
    "omniglot-alphabets": Plan("omniglot-alphabets-hard", 1),
    "fdu-mtl": Plan("fdu-mtl-mean", 1),
}


def main(words: list[str]) -> None:
    only = words[words.index("--only") + 1] if "--only" in words else None
    for name in [word for word in words if word not in ("--only", only)]:
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{name}.json"
        document = measured(PLANS[name]) if only is None else again(PLANS[name], path, only)
        path.write_text(json.dumps(document, indent=1) + "\n")
        for model, row in document["summary"].items():
            sys.stdout.write(f"{model} {json.dumps(row[document['metric']])}\n")
    write_tables()


def again(plan: Plan, path: Path, model: str) -> dict[str, Any]:
    """The same document with one model measured again; `pooled`, which is measured beside
    it, has to be what it was. What is not written yet is kept in build/tasks."""
    document: dict[str, Any] = json.loads(path.read_text())
    assert len(document["divisions"]) == plan.divisions > 1
    for seed, models in zip(plan.numbers, document["divisions"], strict=True):
        kept = BUILD / f"{plan.recipe} {model} {seed}.json"
        if not kept.is_file():
            BUILD.mkdir(parents=True, exist_ok=True)
            found = simple_again(plan, seed, (CHECKED, model))
            if model == plan.recipe:
                found[model] = recipe_again(plan, seed)
            kept.write_text(json.dumps(found))
        found = json.loads(kept.read_text())
        metric = document["metric"]
        if abs(found[CHECKED][metric] - models[CHECKED][metric]) > 1e-6:
            raise SystemExit(f"{path}: division {seed} has other rows than before")
        models[model] = found[model]
    document["summary"] = summary(plan, document["divisions"])
    document["measured_again"] = sorted({model, *document.get("measured_again", ())})
    return document


def simple_again(plan: Plan, seed: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Scores of simple models on the test rows of one division."""
    words = (f"data.split_seed={seed}", f"seed={seed}")
    rows = make_rows(load(plan.recipe, words).recipe)
    fits = [one for one in multi_task_baselines.suited(rows.table) if one[0] in names]
    multi_task_baselines.suited = lambda table: iter(fits)
    found = dict(outside_predictions(rows, ("train", "val"), "test", lambda name: None))
    return {name: scored(rows, one) for name, one in found.items()}


def recipe_again(plan: Plan, seed: int) -> dict[str, float]:
    """Scores of the recipe by itself on the test rows of one division."""
    run = BUILD / "runs" / f"{plan.recipe}-{seed}"
    shutil.rmtree(run, ignore_errors=True)
    multitask(
        plan.recipe, [f"data.split_seed={seed}", f"seed={seed}", "baselines=[]"], out=str(run)
    )
    model = load_model(run / "model")
    rows = make_rows(model.recipe)
    sys.stderr.write(f"{plan.recipe}: division {seed}\n")
    return scored(rows, predictions(model.problem(), model.params, rows, "test"))


def measured(plan: Plan) -> dict[str, Any]:
    """What a results file holds."""
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=True)
    # On validation they are the run's own business; here they are fitted once, for the test rows.
    multi_task_compare.outside_predictions = lambda *_: iter(())
    runs = BUILD / "runs"
    found = [kept(plan, seed, runs) for seed in plan.numbers]
    document = {
        "recipe": plan.recipe,
        "metric": found[0]["metric"],
        "splits": plan.divisions,
        "first": plan.first,
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "hours": sum(one["seconds"] for one in found) / 3600,
        "summary": over_tasks(plan, found[0])
        if plan.divisions == 1
        else summary(plan, [one["models"] for one in found]),
        "divisions": [one["models"] for one in found],
    }
    for path in BUILD.glob(f"{plan.recipe} *.json"):
        path.unlink()
    shutil.rmtree(runs)
    return document


def kept(plan: Plan, seed: int, folder: Path) -> dict[str, Any]:
    """A division, measured now or by a run that was stopped."""
    path, started = BUILD / f"{plan.recipe} {seed}.json", time.monotonic()
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    found = division(plan, seed, folder) | {"seconds": time.monotonic() - started}
    BUILD.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def division(plan: Plan, seed: int, folder: Path) -> dict[str, Any]:
    """Scores of every model on the test rows of one division."""
    found: dict[str, list[np.ndarray]] = {}
    for recipe in (plan.recipe, *plan.others):
        run = folder / f"{recipe}-{seed}"
        if not (run / "baselines" / SINGLE / "model.json").is_file():
            shutil.rmtree(run, ignore_errors=True)
            multitask(recipe, [f"data.split_seed={seed}", f"seed={seed}"], out=str(run))
        model = load_model(run / "model")
        rows = make_rows(model.recipe)
        found[recipe] = predictions(model.problem(), model.params, rows, "test")
        alone = SINGLE if recipe == plan.recipe else f"{SINGLE} of {recipe}"
        single = load_model(run / "baselines" / SINGLE)
        found[alone] = predictions(single.problem(), single.params, rows, "test")
    found |= dict(outside_predictions(rows, ("train", "val"), "test", lambda name: None))
    y, metric = rows.numbers("test")[1], rows.table.metric
    sys.stderr.write(f"{plan.recipe}: division {seed}\n")
    return {
        "metric": metric,
        "models": {name: scored(rows, one) for name, one in found.items()},
        "errors": {
            name: [float(((a - b) ** 2).mean()) for a, b in zip(y, one, strict=True)]
            for name, one in found.items()
            if metric == "rmse"
        },
    }


def scored(rows: MultiTaskRows, predicted: Rows) -> dict[str, float]:
    """Every reading of the predictions for the test rows."""
    small = [len(one) < SMALL for one in rows.numbers("train", "val")[1]]
    y = rows.numbers("test")[1]
    return scores(rows.table.metric, rows.table.tasks, y, predicted, small)


def scores(
    metric: str, names: tuple[str, ...], y: Rows, predicted: Rows, small: list[bool]
) -> dict[str, float]:
    """The metric, other readings of it, and every task where there are few."""
    found = {metric: score(metric, y, predicted).value}
    if metric == "explained_variance":
        few = [(a, b) for a, b, keep in zip(y, predicted, small, strict=True) if keep]
        found |= {"within_tasks": within(y, predicted), "mean_task_r2": mean_r2(y, predicted)}
        if few:
            ours, theirs = [a for a, _ in few], [b for _, b in few]
            found["small_tasks"] = score(metric, ours, theirs).value
    if len(names) > LISTED:
        return found
    for name, a, b in zip(names, y, predicted, strict=True):
        found[f"{own_metric(metric, b)}/{name}"] = task_score(metric, a, b).value
    return found


def summary(plan: Plan, found: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means, and the recipe's lead over each other model with its interval."""
    rows: dict[str, Any] = {}
    for name in found[0]:
        rows[name] = {}
        for metric in found[0][name]:
            values = np.array([one[name][metric] for one in found])
            ours = np.array([one[plan.recipe][metric] for one in found])
            _, low, high = nadeau_bengio(values, plan.share)
            delta, *ends = nadeau_bengio(ours - values, plan.share)
            mean = values.mean()
            rows[name][metric] = {
                "mean": mean,
                "ci95": (high - low) / 2,
                "lead": delta,
                "lead_ci95": ends,
            }
    return rows


def over_tasks(plan: Plan, found: dict[str, Any]) -> dict[str, Any]:
    """As `summary` for one division: t intervals over the tasks, of a mean over them, or by the
    delta method of a root mean squared error."""
    metric, models = found["metric"], found["models"]
    if metric == "rmse":
        return roots_over_tasks(metric, found["errors"], found["errors"][plan.recipe])
    each = {
        name: np.array([value for key, value in row.items() if "/" in key])
        for name, row in models.items()
    }
    rows: dict[str, Any] = {}
    for name, values in each.items():
        _, low, high = paired(values)
        delta, *ends = paired(each[plan.recipe] - values)
        own = {"mean": values.mean(), "ci95": (high - low) / 2, "lead": delta, "lead_ci95": ends}
        rows[name] = {metric: own}
    return rows


def roots_over_tasks(
    metric: str, errors: dict[str, list[float]], own: list[float]
) -> dict[str, Any]:
    """Of mean squared errors of each task."""
    rows: dict[str, Any] = {}
    ours = np.array(own)
    for name, squares in errors.items():
        values = np.array(squares)
        reach = t_quantile(len(values) - 1) / len(values) ** 0.5
        roots = [float(one.mean() ** 0.5) for one in (ours, values)]
        lead = roots[0] - roots[1]
        half = reach * float((ours - values).std(ddof=1)) / sum(roots)
        rows[name] = {
            metric: {
                "mean": roots[1],
                "ci95": reach * float(values.std(ddof=1)) / (2 * roots[1]),
                "lead": lead,
                "lead_ci95": [lead - half, lead + half],
            }
        }
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
