"""Accuracy against minutes, from nothing: `python benchmarks/time_to_accuracy.py` writes
results/time_to_accuracy.json, with Omniglot fetched, on a machine that does nothing else.

`metacli meta-train` with ProtoNet on Omniglot, its whole time counted from the start of the process
(imports, reading the data, validation), and beside it the loop that one would write in plain torch:
the same network of torch's own layers, the same episodes, optimiser, schedule and number of steps,
in float32 or under autocast, whichever is faster on this machine over the first steps. Only its
imports, the drawing of episodes and the list of images are not its own. Both are validated after
the same steps on the same episodes of the validation characters, and answer the same 600 test
episodes (5-way 1-shot, 15 queries, each query by itself) once, at the end.

What is trained (`PLANS`) are two shipped recipes with as many steps as fit the minutes on two
cores, nothing else chosen; `--plan NAME` trains one only.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()  # before the slow imports, which count

import torch  # noqa: E402
from run import RESULTS, commit, machine  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import metacli  # noqa: E402
from metacli.engine.events import EvaluationDone, Event  # noqa: E402
from metacli.engine.training.few_shot.sources import (  # noqa: E402
    make_source,
    validation_source,
)
from metacli.schema.few_shot import FewShotRecipe  # noqa: E402
from metacli.schema.load import load  # noqa: E402
from metacli.types import Episode  # noqa: E402

FILE = RESULTS / "time_to_accuracy.json"
PLANS = {
    "5 minutes": ("omniglot-5w1s-protonet", ["train.steps=6000", "evaluate.every=750"]),
    "15 minutes": ("omniglot-20w1s-protonet", ["train.steps=8000", "evaluate.every=1600"]),
}
OVERRIDES = ["train.precision=bfloat16", "evaluate.way=5", "evaluate.query=15"]
WHO = ("metacli", "plain torch")
SHAPE = {"way": 5, "shot": 1, "query": 15}
EPISODES, TRIED = 600, 20
Point = dict[str, float]


def recipe_of(plan: str) -> tuple[str, list[str]]:
    recipe, overrides = PLANS[plan]
    return recipe, [*OVERRIDES, *overrides]


def ours(plan: str, folder: Path) -> dict[str, Any]:
    """One training by the library, which is what the command line calls."""
    points: list[Point] = []

    def report(event: Event) -> None:
        if isinstance(event, EvaluationDone):
            points.append(point(event.step, float(event.metrics["accuracy"]["mean"])))

    run = metacli.meta_train(*recipe_of(plan), out=folder / "run", report=report)
    seconds = time.perf_counter() - START
    found = metacli.evaluate(run["run"], **SHAPE, episodes=EPISODES)
    test = {"mean": round(found["mean"], 5), "ci95": round(found["ci95"], 5), "n": EPISODES}
    return {"seconds": round(seconds, 1), "curve": points, "test": test}


def point(step: int, accuracy: float) -> Point:
    seconds = round(time.perf_counter() - START, 1)
    return {"step": step, "seconds": seconds, "accuracy": round(accuracy, 4)}


class Conv4(nn.Module):
    """Four convolutions of torch's own layers on inverted pixels."""

    def __init__(self, recipe: FewShotRecipe) -> None:
        super().__init__()
        options = recipe.backbone.options
        width, stride = int(options.get("width", 64)), options.get("downsample") == "stride"
        layers: list[nn.Module] = []
        for channels in (1, width, width, width):
            layers += [nn.Conv2d(channels, width, 3, 2 if stride else 1, 1, bias=False)]
            layers += [nn.GroupNorm(1, width), nn.ReLU()]
            layers += [] if stride else [nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(1 - x.float() / 255)
        return found


def logits_of(network: nn.Module, episode: Episode, autocast: bool) -> Tensor:
    """Minus squared distances [queries, classes] of an episode."""
    (support, labels, *_), (query, *_) = episode
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        features = network(torch.cat([support, query])).float()
    way = int(labels.max()) + 1
    shot = features[: len(support)].view(way, -1, features.shape[1])
    return -torch.cdist(features[len(support) :], shot.mean(1)).square()


def accuracies(network: nn.Module, source: Any, count: int) -> list[float]:
    with torch.no_grad():
        return [
            float((logits_of(network, one, False).argmax(1) == one.query.y).double().mean())
            for one in map(source.episode, range(count))
        ]


def peer(plan: str) -> dict[str, Any]:
    """The loop in plain torch."""
    recipe = load(*recipe_of(plan)).recipe
    assert isinstance(recipe, FewShotRecipe)
    torch.manual_seed(recipe.seed)
    network, source, val = Conv4(recipe), make_source(recipe, "train"), validation_source(recipe)
    plain, cast = (seconds_a_step(recipe, source, on) for on in (False, True))
    skipped = time.perf_counter() - START  # of trying both; its imports count
    adam = torch.optim.Adam(network.parameters(), lr=recipe.train.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, recipe.train.steps)
    points = []
    for step in range(recipe.train.steps):
        episode = source.episode(step)
        loss = F.cross_entropy(logits_of(network, episode, cast < plain), episode.query.y)
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        if (step + 1) % recipe.evaluate.every == 0:
            found = accuracies(network, val, recipe.evaluate.episodes)
            points.append(point(step + 1, statistics.mean(found)))
    tried = TRIED * (plain + cast)
    seconds = time.perf_counter() - START - tried
    points = [{**one, "seconds": round(one["seconds"] - tried, 1)} for one in points]
    test = accuracies(network, make_source(recipe, "test", **SHAPE, seed=0), EPISODES)
    half = 1.96 * statistics.stdev(test) / math.sqrt(EPISODES)
    return {
        "seconds": round(seconds, 1),
        "autocast": cast < plain,
        "before_first_step": round(skipped - tried, 1),
        "curve": points,
        "test": {"mean": round(statistics.mean(test), 5), "ci95": round(half, 5), "n": EPISODES},
    }


def seconds_a_step(recipe: FewShotRecipe, source: Any, autocast: bool) -> float:
    network = Conv4(recipe)
    before = time.perf_counter()
    for step in range(TRIED):
        episode = source.episode(step)
        F.cross_entropy(logits_of(network, episode, autocast), episode.query.y).backward()
    return (time.perf_counter() - before) / TRIED


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--plan", choices=PLANS)
    parser.add_argument("--who", choices=WHO, nargs="+", default=WHO)
    parser.add_argument("--child", choices=WHO, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child == "plain torch":
        return print(json.dumps(peer(given.plan)))
    if given.child:
        with tempfile.TemporaryDirectory() as folder:
            return print(json.dumps(ours(given.plan, Path(folder))))
    for plan in [given.plan] if given.plan else PLANS:
        found = {name: child(plan, name) for name in given.who}
        old = json.loads(FILE.read_text())["plans"] if FILE.exists() else {}
        recipe, overrides = recipe_of(plan)
        row = {"recipe": recipe, "overrides": overrides, **found}
        facts = {"commit": commit(), "machine": machine(), "torch": torch.__version__}
        plans = {**old, plan: {**row, **facts}}
        result = {"test": {**SHAPE, "episodes": EPISODES}, "plans": plans}
        FILE.write_text(json.dumps(result, indent=1) + "\n")
    return None


def child(plan: str, name: str) -> dict[str, Any]:
    """What a fresh process found, which prints it last."""
    command = [sys.executable, __file__, "--plan", plan, "--child", name]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{plan}, {name}: {text.splitlines()[-1]}", flush=True)
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
