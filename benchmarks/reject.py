"""How well an adapted model tells what is none of its classes: area under the ROC curve of the
largest logit, which `predict --reject auto` goes by, beside what the largest probability gives.

    python benchmarks/reject.py MODEL [--way 5] [--shot 5] [--tasks 200] [--split test]

Each task has twice as many classes: the model is adapted to half of them, and asked about queries
of all. Written to benchmarks/results/reject/<recipe>.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.engine.build import make_source
from metacli.engine.events import ignore
from metacli.engine.intervals import over_episodes, paired
from metacli.engine.models import open_model
from metacli.engine.place import require_device
from metacli.engine.task_scores import area
from metacli.types import Batch

RESULTS = Path(__file__).parent / "results" / "reject"
QUERIES = 5


@torch.no_grad()
def areas(model: Any, source: Any, way: int, tasks: int) -> dict[str, np.ndarray]:
    """AUROC of known against unknown queries in each task, by score."""
    found: dict[str, list[float]] = {}
    adapted = replace(model, classes=tuple(map(str, range(way))))
    problem, learner = adapted.problem(), adapted.learner()
    for index in range(tasks):
        support, query = source.episode(index)
        own = support.y < way
        known = Batch(support.x[own], support.y[own])
        phi = learner.adapt(problem, model.params, model.state, known)
        logits = learner.predict(problem, phi, query.x)
        scores = {
            "largest probability": torch.log_softmax(logits.double(), 1).max(1).values,
            "largest logit": logits.max(1).values,
            "energy": torch.logsumexp(logits.double(), 1),
        }
        y = (query.y < way).numpy().astype(float)
        for name, score in scores.items():
            found.setdefault(name, []).append(area(y, score.double().numpy()).value)
    return {name: np.array(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--split", default="test")
    for name, default in (("way", 5), ("shot", 5), ("tasks", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    opened = open_model(asked.model, require_device("cpu"), ignore)
    model = opened.model
    shape = {"way": 2 * asked.way, "shot": asked.shot, "query": QUERIES, "seed": 0}
    found = areas(model, make_source(model.recipe, asked.split, **shape), asked.way, asked.tasks)
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
        "tasks": asked.tasks,
        "steps": model.provenance.get("steps"),
        "auroc": {name: over_episodes(values).as_dict() for name, values in found.items()},
        "logit_minus_probability": {"delta": delta, "ci95": [low, high]},
    }
    path = RESULTS / f"{recipe}.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    same = ("split", "way", "shot")
    rows = [one for one in rows if any(one[key] != row[key] for key in same)] + [row]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
