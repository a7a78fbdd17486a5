"""What each way of transfer reaches on tasks that its source has never seen.

    python benchmarks/transfer.py omniglot SOURCE    # its training characters to new alphabets
    python benchmarks/transfer.py cifar SOURCE       # training classes to tasks of 5 test classes

SOURCE is a finished run; `SOURCES` are the commands that trained those of the committed results.
Rates, steps and penalties are chosen on validation tasks, once for each number of shots; the target
tasks are read once. Results are `results/transfer/<name>.json`: the mean over target tasks with its
95 % t interval, and the paired difference to the same network from scratch.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.transfer.fine_tune import FineTune
from metacli.algorithms.transfer.l2_sp import L2SP
from metacli.algorithms.transfer.lp_ft import LPFT
from metacli.data.catalogue.omniglot import OmniglotOptions, split_characters
from metacli.data.draws import shuffled
from metacli.data.few_shot.pools import Pool, fitted
from metacli.data.sources import load_pool
from metacli.engine.adapting.transfer import starting_point
from metacli.engine.models.folder import load as load_model
from metacli.engine.models.learners import make_method
from metacli.engine.models.model import FewShotModel, network_of
from metacli.engine.scoring.intervals import paired
from metacli.engine.storage.paths import cache_root
from metacli.nn.problem import Problem
from metacli.nn.solvers.logistic import fit_logistic
from metacli.types import Batch, Params

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "transfer"
SHOTS = (1, 5, 10)
QUERY = 10
SCRATCH, RAW = "scratch", "linear probe on raw pixels"
COMMON = (
    "backbone.width=32 backbone.norm=group episodes.way=10 episodes.shot=5 episodes.query=5 "
    "train.meta_batch=2 evaluate.every=200 evaluate.episodes=100 evaluate.query=5"
)
OMNIGLOT = f"metacli meta-train omniglot-5w1s-protonet {COMMON} data.scheme=background"
SOURCES = {
    "omniglot-protonet": f"{OMNIGLOT} train.steps=400",
    "omniglot-20w1s-protonet": "metacli meta-train omniglot-20w1s-protonet",
    "cifar-fs-protonet": "metacli meta-train cifar-fs-protonet",
    "omniglot-pretrain": f"{OMNIGLOT} algorithm.name=pretrain train.steps=600",
}
# What is left to choose on validation tasks; short, for these are minutes on a shared core.
OPEN = {
    SCRATCH: FineTune(steps=100, head_rate=1.0),
    "fine-tune": FineTune(steps=30),
    "l2-sp": L2SP(lr=1e-3, steps=30),
    "lp-ft": LPFT(steps=10),
}
CHOOSE_AT = 5  # shots


@dataclass(frozen=True)
class Target:
    """A new task: a support of `shot` examples of each class, and its query."""

    name: str
    support: Batch
    query: Batch


def drawn(pool: Pool, classes: Sequence[int], name: str, shot: int, query: int) -> Target:
    """The same query and nested supports for every number of shots."""
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number in classes:
        rows = pool.rows[number]
        order = rows[shuffled(len(rows), "transfer", name, int(number))]
        halves[0].append(order[query : query + shot])
        halves[1].append(order[:query])
    made = []
    for half in halves:
        x = torch.from_numpy(np.stack([pool.store[row] for rows in half for row in rows]))
        y = torch.arange(len(half)).repeat_interleave(len(half[0]))
        made.append(Batch(x, y))
    return Target(name, *made)


def alphabets(model: FewShotModel, split: str, shot: int, step: int = 2) -> Iterator[Target]:
    """Every other alphabet by name, with all of its characters, of those that lie whole in a split
    of the source's own scheme."""
    scheme = model.recipe.data.options.get("scheme", "vinyals")
    wanted = set(split_characters(split, OmniglotOptions(scheme=scheme)))
    found: list[tuple[str, Pool, list[int]]] = []
    for part in ("train", "val", "test"):
        whole = load_pool("omniglot", part, {"scheme": "background-within"}, cache_root())
        pool = fitted(whole, model.inputs.shape)
        assert pool.families is not None
        for family in pool.families:
            names = [pool.classes[int(number)] for number in family]
            if wanted.issuperset(names):
                found.append((names[0].partition("/")[0], pool, family.tolist()))
    for name, pool, family in sorted(found, key=lambda one: one[0])[::step]:
        yield drawn(pool, family, name, shot, QUERY)


def photographs(model: FewShotModel, split: str, shot: int) -> Iterator[Target]:
    """Tasks of five classes: the split's classes dealt out five at a time, again and again."""
    pool = fitted(load_pool("cifar-fs", split, {}, cache_root()), model.inputs.shape)
    count = 12 if split == "test" else 6
    deals = (
        shuffled(len(pool.classes), "deal", split, i // (len(pool.classes) // 5))
        for i in range(count)
    )
    for i, deal in enumerate(deals):
        at = 5 * (i % (len(pool.classes) // 5))
        yield drawn(pool, deal[at : at + 5], f"{split} {i}", shot, 30)


@dataclass(frozen=True)
class Way:
    """A learner whose open fields are chosen on validation tasks, and what it starts from."""

    name: str
    learner: Any
    problem: Problem
    params: Params

    def tried(self, target: Target) -> list[tuple[Any, float]]:
        """The accuracy of every choice."""
        if not hasattr(self.learner, "explore"):
            return [(self.learner, self.score(self.learner, target))]
        found = self.learner.explore(self.problem, self.params, target.support, {}, target.query.x)
        return [(one, accuracy(logits, target.query)) for one, logits in found]

    def chosen(self, targets: Sequence[Target]) -> Any:
        """The choice with the best mean accuracy."""
        totals: dict[Any, float] = {}
        for target in targets:
            for one, value in self.tried(target):
                totals[one] = totals.get(one, 0.0) + value
        return max(totals, key=lambda one: totals[one])

    @torch.no_grad()
    def score(self, learner: Any, target: Target) -> float:
        phi = learner.adapt(self.problem, self.params, target.support, {})
        return accuracy(learner.predict(self.problem, phi, target.query.x), target.query)


def prototype_problem(model: FewShotModel) -> Problem:
    """The network of a model without a head."""
    learner = make_method("prototype", {})
    return network_of(model.recipe, learner, model.inputs, model.kind, model.way)


def ways(model: FewShotModel) -> list[Way]:
    """Every way of transfer from a source, and the network from scratch."""
    problem = prototype_problem(model)
    start = starting_point(model.params, model.learner())
    found = [Way(SCRATCH, OPEN[SCRATCH], problem, problem.init(0))]
    for name in names("transfer"):
        learner = OPEN[name] if name in OPEN else ALGORITHMS[name].load()()
        found.append(Way(name, learner, problem, start))
    return [*found, Way("native", model.learner(), model.problem(), model.params)]


def accuracy(logits: Tensor, query: Batch) -> float:
    return float((logits.argmax(1) == query.y).double().mean())


def raw(target: Target) -> float:
    """Logistic regression on pixels, as `adapt` compares with."""
    x = target.support.x.flatten(1).double() / 255
    weight, bias = fit_logistic(x, target.support.y, int(target.support.y.max()) + 1)
    logits = target.query.x.flatten(1).double() / 255 @ weight.T + bias
    return accuracy(logits, target.query)


Make = Callable[[FewShotModel, str, int], Iterator[Target]]
PROTOCOLS: dict[str, tuple[Make, str]] = {
    "omniglot": (alphabets, "Omniglot: training characters to all characters of a new alphabet"),
    "cifar": (photographs, "CIFAR-FS (a third of it): training classes to 5 test classes"),
}


def measure(protocol: str, source: str) -> None:
    """Every way of transfer on every target task; written after each number of shots."""
    make, title = PROTOCOLS[protocol]
    path = Path(source)
    model = load_model(path / "model")
    started = time.time()
    result: dict[str, Any] = {
        "what": title,
        "source": facts_of(path),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "chosen_on": f"2 validation tasks at {CHOOSE_AT} shots",
        "shots": {},
    }
    validation = list(islice(make(model, "val", CHOOSE_AT), 2))
    with torch.no_grad():
        chosen = {way.name: way.chosen(validation) for way in ways(model)}
    log(f"{protocol} {chosen}")
    for shot in SHOTS:
        targets = list(make(model, "test", shot))
        values = {RAW: np.array([raw(target) for target in targets])}
        settings = {}
        for way in ways(model):
            one = chosen[way.name]
            values[way.name] = np.array([way.score(one, target) for target in targets])
            settings[way.name] = asdict(one)
            log(f"{protocol} {shot} {way.name}: {values[way.name].mean():.4f}")
        result["shots"][str(shot)] = {
            "targets": [target.name for target in targets],
            "ways": {name: summary(v, values[SCRATCH]) for name, v in values.items()},
            "settings": settings,
        }
        result["seconds"] = round(time.time() - started)
        write(f"{protocol}-{path.name}", result)


def summary(values: np.ndarray, scratch: np.ndarray) -> dict[str, Any]:
    """Mean over target tasks, its 95 % half-width, and the paired difference to scratch."""
    mean, low, high = paired(values)
    delta, *interval = paired(values - scratch)
    return {
        "mean": mean,
        "ci95": (high - low) / 2,
        "n": len(values),
        "delta": delta,
        "delta_ci95": interval,
        "values": [round(float(value), 4) for value in values],
    }


def facts_of(run: Path) -> dict[str, Any]:
    """How the source was trained."""
    facts = json.loads((run / "run.json").read_text())
    return {
        "name": run.name,
        "command": SOURCES[run.name],
        "steps": facts["steps"],
        "seconds": facts["seconds"],
        "versions": facts["versions"],
    }


def write(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def log(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("protocol", choices=list(PROTOCOLS))
    parser.add_argument("sources", nargs="+", metavar="SOURCE")
    given = parser.parse_args()
    for source in given.sources:
        measure(given.protocol, source)


if __name__ == "__main__":
    main()
