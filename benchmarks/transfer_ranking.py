"""Can the support tell which source is best? `python benchmarks/transfer_ranking.py SOURCE...`
with Omniglot fetched and the runs of `transfer.SOURCES` trained.

Every one of the 20 alphabets that no source was trained on is a task; random weights are one more
source. Writes `results/transfer/ranking.json`: Kendall's τ between each measure and the true test
accuracy, over the tasks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor
from transfer import Target, accuracy, alphabets, facts_of, log, prototype_problem, write

from metacli.algorithms import ALGORITHMS
from metacli.algorithms.transfer.leep import leep, nce
from metacli.algorithms.transfer.logme import logme
from metacli.algorithms.transfer.transfer import network_of
from metacli.engine.adapting.held_out import held_out
from metacli.engine.adapting.splits import stratified_folds
from metacli.engine.models.folder import load as load_model
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.intervals import paired
from metacli.types import Batch


def main(shot: int = 5) -> None:
    """Kendall's τ, over each alphabet, between what the support says of the sources and the test
    accuracy of prototypes on each."""
    sources = sys.argv[1:]
    models = {Path(one).name: load_model(Path(one) / "model") for one in sources}
    models["random weights"] = untrained(next(iter(models.values())))
    rows: list[dict[str, Any]] = []
    of = {name: list(alphabets(model, "test", shot, 1)) for name, model in models.items()}
    for number in range(len(next(iter(of.values())))):
        row = {name: measures(model, of[name][number]) for name, model in models.items()}
        rows.append({"target": next(iter(of.values()))[number].name, "sources": row})
        log(f"ranking {rows[-1]['target']}")
    found = {}
    for measure_name in ("score", "logme"):
        taus = np.array([tau(row["sources"].values(), measure_name) for row in rows])
        mean, low, high = paired(taus)
        best = np.mean([picked_best(row["sources"].values(), measure_name) for row in rows])
        found[measure_name] = {
            "tau": mean,
            "tau_ci95": [low, high],
            "n": len(rows),
            "best_picked": float(best),
        }
    classifiers = [n for n, m in models.items() if "head.weight" in m.params]
    write(
        "ranking",
        {
            "what": f"Which of {len(models)} sources is best for an alphabet, told from {shot} "
            "examples of each character; truth: test accuracy of prototypes",
            "sources": {Path(one).name: facts_of(Path(one)) for one in sources},
            "classifiers": classifiers,
            "measures": found,
            "targets": rows,
        },
    )


def untrained(model: FewShotModel) -> FewShotModel:
    """The same network with random weights: what is no source at all."""
    return replace(model, params=model.problem().init(7))


@torch.no_grad()
def measures(model: FewShotModel, target: Target) -> dict[str, float | None]:
    """What the support says of a source (cross-validated accuracy of prototypes, LogME, LEEP and
    NCE), and the test accuracy."""
    learner = ALGORITHMS["prototype"].load()(distance="euclidean")
    problem = prototype_problem(model)
    network = network_of(problem, model.params)
    x, y, _ = target.support
    splits = stratified_folds(y.numpy(), 0)

    def predict(support: Batch, rows: Tensor) -> Tensor:
        return learner.predict(problem, learner.adapt(problem, network, support, {}), rows)

    features = problem.embed(network, x)
    theirs = None
    if "head.weight" in model.params and model.learner().trains_on == "classes":
        theirs = torch.softmax(problem.read_out(model.params, features), 1)
    return {
        "score": float(held_out(predict, x, y, splits).hits.mean()),
        "logme": logme(features, y),
        "leep": None if theirs is None else leep(theirs, y),
        "nce": None if theirs is None else nce(theirs, y),
        "test": accuracy(predict(target.support, target.query.x), target.query),
    }


def tau(sources: Iterable[dict[str, Any]], name: str) -> float:
    """τ-b between a measure and the test accuracy."""
    rows = list(sources)
    return float(kendalltau([one[name] for one in rows], [one["test"] for one in rows]).statistic)


def picked_best(sources: Iterable[dict[str, Any]], name: str) -> bool:
    rows = list(sources)
    chosen = max(rows, key=lambda one: one[name])
    return bool(chosen["test"] == max(one["test"] for one in rows))


if __name__ == "__main__":
    main()
