"""How well an adapted model tells what is none of its classes: area under the ROC curve of the
largest logit, which `predict --reject auto` goes by, beside what the largest probability gives; and
what the limit that `adapt` sets refuses of known and of unknown queries.

    python benchmarks/reject.py MODEL [--way 5] [--shot 5] [--tasks 200] [--split test] [--alike]

Each task has twice as many classes: the model is adapted to half of them, and asked about queries
of all. With --alike the examples of a class are those of four times as many that are most like its
first: what a user gets who writes lines that differ in a word. Written to
benchmarks/results/reject/<recipe>.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.engine.adapting.calibration import answered, limit_of
from metacli.engine.adapting.held_out import of_folds
from metacli.engine.adapting.splits import repeated_folds
from metacli.engine.events import ignore
from metacli.engine.models.opening import open_model
from metacli.engine.scoring.intervals import over_episodes, paired
from metacli.engine.scoring.multi_task_scores import area
from metacli.engine.storage.paths import require_device
from metacli.engine.training.few_shot.sources import make_source
from metacli.types import Batch

RESULTS = Path(__file__).parent / "results" / "reject"
QUERIES = 5
POOL = 4  # times as many examples, of which those that are alike are taken


@torch.no_grad()
def measured(
    model: Any, source: Any, way: int, tasks: int, alike: int | None
) -> dict[str, dict[str, np.ndarray]]:
    """`auroc` of known against unknown queries in each task, by score; and `kept` and `refused`, of
    right answers and of unknown queries, by limit."""
    areas: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    adapted = replace(model, classes=tuple(map(str, range(way))))
    problem, learner = adapted.problem(), adapted.learner()

    def answer(support: Batch, x: Tensor) -> Tensor:
        phi = learner.adapt(problem, model.params, support, model.state)
        return learner.predict(problem, phi, x)

    for index in range(tasks):
        support, query = source.episode(index)
        known = of_classes(support.x, support.y, way, alike)
        logits = answer(known, query.x)
        scores = {
            "largest probability": torch.log_softmax(logits.double(), 1).max(1).values,
            "largest logit": logits.max(1).values,
            "energy": torch.logsumexp(logits.double(), 1),
        }
        ours = (query.y < way).numpy()
        for name, score in scores.items():
            value = area(ours.astype(float), score.double().numpy()).value
            areas.setdefault(name, []).append(value)
        splits = repeated_folds(known.y.numpy(), 0)
        if not splits:
            continue
        found = answered(of_folds(answer, known.x, known.y, splits), known.y)
        top, right = logits.max(1).values.numpy(), (logits.argmax(1) == query.y).numpy()
        limits = {
            "auto": limit_of(found),
            "19 in 20 of the held-out": float(np.quantile(found.logits.max(1), 0.05)),
        }
        for name, limit in limits.items():
            shares.setdefault(f"right kept, {name}", []).append(float((top >= limit)[right].mean()))
            refused = float((top < limit)[~ours].mean())
            shares.setdefault(f"unknown refused, {name}", []).append(refused)
    rows = (
        (key, {name: np.array(own) for name, own in of.items()})
        for key, of in (("auroc", areas), ("limits", shares))
    )
    return dict(rows)


def of_classes(x: Tensor, y: Tensor, way: int, alike: int | None) -> Batch:
    """The support of the first classes; of each the `alike` examples nearest to its first."""
    if alike is None:
        return Batch(x[y < way], y[y < way])
    kept = []
    for label in range(way):
        rows = torch.nonzero(y == label)[:, 0]
        flat = x[rows].flatten(1).float()
        kept.append(rows[torch.cdist(flat[:1], flat)[0].argsort()[:alike]])
    chosen = torch.cat(kept)
    return Batch(x[chosen], y[chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--split", default="test")
    for name, default in (("way", 5), ("shot", 5), ("tasks", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--alike", action="store_true")
    asked = parser.parse_args()
    opened = open_model(asked.model, require_device("cpu"), ignore)
    model = opened.model
    drawn = POOL * asked.shot if asked.alike else asked.shot
    shape = {"way": 2 * asked.way, "shot": drawn, "query": QUERIES, "seed": 0}
    source = make_source(model.recipe, asked.split, **shape)
    alike = asked.shot if asked.alike else None
    whole = measured(model, source, asked.way, asked.tasks, alike)
    found = whole["auroc"]
    against = found["largest logit"] - found["largest probability"]
    delta, low, high = paired(against)
    recipe = str(model.provenance.get("recipe"))
    row = {
        "recipe": recipe,
        "split": asked.split,
        "way": asked.way,
        "unknown_classes": asked.way,
        "shot": asked.shot,
        "query": QUERIES,
        "alike": asked.alike,
        "tasks": asked.tasks,
        "steps": model.provenance.get("steps"),
        "auroc": {name: over_episodes(values).as_dict() for name, values in found.items()},
        "logit_minus_probability": {"delta": delta, "ci95": [low, high]},
        "limits": {
            name: over_episodes(values).as_dict() for name, values in whole["limits"].items()
        },
    }
    path = RESULTS / f"{recipe}.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    same = ("split", "way", "shot", "alike")
    rows = [one for one in rows if any(one.get(key) != row[key] for key in same)] + [row]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
