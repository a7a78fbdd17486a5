"""One-shot classification within alphabets, as protocols/one_shot.md says:

    python benchmarks/one_shot.py ANY WITHIN    # folders of the two runs, trained before by
    metacli meta-train omniglot-20w1s-protonet data.scheme=background data.turned=true -o ANY
    metacli meta-train omniglot-20w1s-protonet data.scheme=background-within data.turned=true \
        episodes.way=20 train.meta_batch=3 -o WITHIN

Writes results/one_shot.json and its table; `--table` makes the table alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
import torch
from torch import Tensor

from metacli.data.few_shot.pools import Pool
from metacli.data.sources import load_pool
from metacli.engine.models.folder import load
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.baseline_scores import untrained
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.storage.paths import cache_root
from metacli.types import Batch

PAGE = result_pages.FEW_SHOT
BEGIN, END = "<!-- one shot: made by benchmarks/one_shot.py -->", "<!-- end of one shot -->"
NAMES = {
    "within": "ProtoNet, 20-way episodes within alphabets",
    "any": "ProtoNet, 60-way episodes of any characters",
    "untrained": "the same network, untrained",
    "pixels": "nearest pixels",
}
PUBLISHED = {"people": 4.5, "Bayesian program learning": 3.3}  # Lake et al. 2015
FILE = Path(__file__).resolve().parent / "results" / "one_shot.json"
WAY, RUNS, DRAWERS, SEED = 20, 20, 20, 0
Answer = Callable[[Tensor, Tensor], Tensor]
"""(one image of each of 20 characters, 20 images) -> the class of each."""


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] != ["--table"]:
        measure()
    result_pages.replace(PAGE, BEGIN, END, table())


def measure() -> None:
    paths = dict(zip(("any", "within"), sys.argv[1:3], strict=True))
    models = {name: few_shot(path) for name, path in paths.items()}
    answers = {name: of_model(model) for name, model in models.items()}
    val = {name: errors("val", answer) for name, answer in answers.items()}
    taken = min(val, key=lambda name: float(np.mean(list(val[name].values()))))
    answers |= {"untrained": of_model(models[taken], trained=False), "pixels": nearest_pixels}
    test = {name: errors("test", answer) for name, answer in answers.items()}
    document = {
        "way": WAY,
        "runs_of_an_alphabet": RUNS,
        "seed": SEED,
        "taken": taken,
        "val": {name: summed_up(found) for name, found in val.items()},
        "test": {name: summed_up(found) for name, found in test.items()},
    }
    FILE.write_text(json.dumps(document, indent=1) + "\n")


def few_shot(path: str) -> FewShotModel:
    model = load(Path(path) / "model")
    assert isinstance(model, FewShotModel)
    return model


def errors(split: str, answer: Answer) -> dict[str, float]:
    """The share of wrong answers in each alphabet that has characters enough."""
    pool = load_pool("omniglot", split, {"scheme": "background-within"}, cache_root())
    assert pool.families is not None
    found = {}
    for family in pool.families:
        if len(family) < WAY:
            continue
        alphabet = pool.classes[family[0]].partition("/")[0]
        rng = np.random.default_rng([SEED, int(family[0])])
        runs = [one_run(pool, family, rng, answer) for _ in range(RUNS)]
        found[alphabet] = float(np.mean(runs))
    return found


def one_run(pool: Pool, family: np.ndarray, rng: np.random.Generator, answer: Answer) -> float:
    """The share of wrong answers. Drawing k of every character of an alphabet is by one person."""
    characters = rng.permutation(family)[:WAY]
    first, second = rng.permutation(DRAWERS)[:2]
    support, query = (
        torch.from_numpy(np.stack([pool.images[pool.rows[one][who]] for one in characters]))
        for who in (first, second)
    )
    return float((answer(support, query) != torch.arange(WAY)).double().mean())


def of_model(model: FewShotModel, trained: bool = True) -> Answer:
    learner, problem = model.learner(), model.problem()
    params, state = (model.params, model.state) if trained else untrained(model, problem)

    def answer(support: Tensor, query: Tensor) -> Tensor:
        given = Batch(support, torch.arange(WAY))
        with torch.no_grad():
            adapted = learner.adapt(problem, params, given, state)
            return learner.predict(problem, adapted, query).argmax(1)

    return answer


def nearest_pixels(support: Tensor, query: Tensor) -> Tensor:
    return torch.cdist(query.flatten(1).double(), support.flatten(1).double()).argmin(1)


def summed_up(found: dict[str, float]) -> dict[str, Any]:
    """Errors in %: the mean over alphabets, and each."""
    each = {name: round(100 * share, 2) for name, share in found.items()}
    return {**over_episodes(100 * np.array(list(found.values()))).as_dict(), "each": each}


def table() -> str:
    """Markdown from the results file."""
    document = json.loads(FILE.read_text())
    lines = [
        "| who | errors, new alphabets | errors, validation alphabets |",
        "| --- | --- | --- |",
    ]
    for name, words in NAMES.items():
        cells = [shown(document[split].get(name)) for split in ("test", "val")]
        lines.append(f"| {words}{', taken' * (name == document['taken'])} | {' | '.join(cells)} |")
    lines += [f"| *{who}, on Lake's runs* | {errors} % |  |" for who, errors in PUBLISHED.items()]
    return "\n".join(lines)


def shown(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['mean']:.1f} ± {found['ci95']:.1f} %"


if __name__ == "__main__":
    main()
