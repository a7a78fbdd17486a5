"""Colour pictures in folders, 3 to 20 classes: `python benchmarks/own_images.py PROTONET PRETRAIN`.

Draws tasks of CIFAR-FS test classes as folders, adapts two trained models to each as a user would,
and writes `results/own_images.json`: accuracy on the folder's query for the meta-learned model, the
pretrained one with its own classifier and with a linear probe (logistic regression on its
features), and logistic regression on raw pixels; differences are paired by task.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.engine.adapting.reading import read
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.scoring import native, on_query
from metacli.engine.adapting.simple import logistic_on_raw
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.sources import prepared
from metacli.engine.events import ignore
from metacli.engine.models.folder import load as load_model
from metacli.engine.models.opening import open_model
from metacli.engine.sample import sample
from metacli.engine.scoring.intervals import paired

RESULTS = Path(__file__).resolve().parent / "results"
WAYS, SHOT, QUERY, TASKS = (3, 5, 10, 20), 5, 10, 10
RAW = "logistic regression on raw pixels"


def scores(task: Path, sources: dict[str, Source]) -> dict[str, float]:
    """Accuracy on the query of one task: the parts of `adapt` that answer a folder's query."""
    found: dict[str, float] = {}
    for name, source in sources.items():
        examples = read(source, Request(task))
        classes, rows = len(examples.labels), (examples.support, examples.query, None)
        found[name] = float(on_query(native(source, classes), *rows).hits.mean())
        if RAW not in found:
            found[RAW] = float(on_query(logistic_on_raw(classes), *rows).hits.mean())
    return found


def sources_of(protonet: str, pretrain: str) -> dict[str, Source]:
    """The ways that are compared."""
    opened = [open_model(model, torch.device("cpu"), ignore) for model in (protonet, pretrain)]
    return {
        "meta-learned": prepared(opened[0], [], "native"),
        "pretrained, nearest class mean": prepared(opened[1], [], "native"),
        "pretrained, linear probe": prepared(opened[1], ["classifier=logistic"], "native"),
    }


def cell(way: int, folder: Path, sources: dict[str, Source]) -> dict[str, Any]:
    """Means over tasks, and the lead of the meta-learned model with its interval."""
    rows = []
    for seed in range(TASKS):
        task = folder / f"{way}-{seed}"
        sample("cifar-fs", str(task), way=way, shot=SHOT, query=QUERY, split="test", seed=seed)
        rows.append(scores(task, sources))
    found: dict[str, Any] = {}
    for name in rows[0]:
        values = np.array([one[name] for one in rows])
        ours = np.array([one["meta-learned"] for one in rows])
        delta, low, high = paired(ours - values)
        found[name] = {"mean": values.mean(), "lead": delta, "lead_ci95": [low, high]}
    return {"way": way, "shot": SHOT, "query": QUERY, "tasks": TASKS, "accuracy": found}


def main() -> None:
    protonet, pretrain = sys.argv[1:]
    started = time.monotonic()
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        sources = sources_of(protonet, pretrain)
        cells = [cell(way, Path(folder), sources) for way in WAYS]
    document = {
        "commit": commit,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "hours": (time.monotonic() - started) / 3600,
        "models": [trained(model) for model in (protonet, pretrain)],
        "cells": cells,
    }
    (RESULTS / "own_images.json").write_text(json.dumps(document, indent=1) + "\n")
    for one in cells:
        print(json.dumps(one))


def trained(run: str) -> dict[str, Any]:
    """What the model was made of."""
    made = load_model(Path(run) / "model")
    facts = json.loads((Path(run) / "run.json").read_text())
    return {"recipe": made.recipe.plain(), "seconds": facts["seconds"]}


if __name__ == "__main__":
    main()
