"""MAML on sine waves written once more, in plain torch and on purpose without metacli's learner,
loop or network; then metacli's runs against it on the same 2,000 test waves.

    python benchmarks/sinusoid_reference.py train reference.pt          # 30,000 steps, minutes
    python benchmarks/sinusoid_reference.py compare reference.pt RUN...  # paired, step by step

The settings are those of cbfinn/maml: 1-40-40-1, 25 waves of 10 + 10 points, one inner step of rate
0.01, Adam; but 30,000 steps whose rate falls from 2e-3 to 0 on a cosine (the authors: 70,000 of
1e-3), as in `metacli meta-train sinusoid-10shot-maml train.steps=30000 train.lr=2e-3
train.schedule=cosine`. Weights start as torch's linear layers do. `compare` writes
benchmarks/results/sinusoid/reference.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

RESULT = Path(__file__).resolve().parent / "results" / "sinusoid" / "reference.json"
SIZES = (1, 40, 40, 1)
SHOT, QUERY, META_BATCH, STEPS, INNER_LR, OUTER_LR = 10, 10, 25, 30_000, 0.01, 2e-3
WAVES, SHOWN = 2000, (1, 5, 10)


def start(rng: np.random.Generator) -> list[Tensor]:
    """W1, b1, W2, b2, W3, b3, uniform within 1/sqrt(inputs)."""
    values = []
    for inputs, outputs in pairwise(SIZES):
        for shape in ((inputs, outputs), (outputs,)):
            drawn = rng.uniform(-1, 1, shape) / math.sqrt(inputs)
            values.append(torch.tensor(drawn, dtype=torch.float32, requires_grad=True))
    return values


def network(weights: list[Tensor], x: Tensor) -> Tensor:
    """[B, K, 1] -> [B, K, 1], a network of its own for each wave."""
    for layer in range(3):
        weight, bias = weights[2 * layer], weights[2 * layer + 1]
        x = x @ weight + bias[:, None]
        x = x.relu() if layer < 2 else x
    return x


def adapted(weights: list[Tensor], x: Tensor, y: Tensor, *, training: bool) -> list[Tensor]:
    """One step for each wave by itself: φ - α ∇ of its mean squared error; weights [B, ...]."""
    loss = (network(weights, x) - y).square().mean((1, 2)).sum()  # waves do not touch each other
    gradients = torch.autograd.grad(loss, weights, create_graph=training)
    return [w - INNER_LR * g for w, g in zip(weights, gradients, strict=True)]


def waves(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A meta-batch: x and y [B, 20, 1]."""
    amplitude, phase = (
        rng.uniform(0.1, 5, (META_BATCH, 1)),
        rng.uniform(0, math.pi, (META_BATCH, 1)),
    )
    x = rng.uniform(-5, 5, (META_BATCH, SHOT + QUERY))
    y = amplitude * np.sin(x - phase)
    return tuple(torch.tensor(v[..., None], dtype=torch.float32) for v in (x, y))  # type: ignore[return-value]


def train(file: Path, steps: int, seed: int) -> None:
    rng, begin = np.random.default_rng(seed), time.time()
    weights = start(rng)
    optimizer = torch.optim.Adam(weights, OUTER_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        x, y = waves(rng)
        each = [w.expand(META_BATCH, *w.shape) for w in weights]
        phi = adapted(each, x[:, :SHOT], y[:, :SHOT], training=True)
        loss = (network(phi, x[:, SHOT:]) - y[:, SHOT:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 5000 == 0:
            sys.stderr.write(f"step {step}, loss {loss.item():.3f}\n")
    torch.save([w.detach() for w in weights], file)
    sys.stderr.write(f"{steps} steps in {time.time() - begin:.0f} s\n")


def errors_of_reference(weights: list[Tensor], x: Tensor, y: Tensor) -> np.ndarray:
    """[S + 1, E]: the mean squared error of each wave after 0..10 steps."""
    phi, found = [w.expand(len(x), *w.shape) for w in weights], []
    for _ in range(max(SHOWN) + 1):
        with torch.no_grad():
            found.append((network(phi, x[:, SHOT:]) - y[:, SHOT:]).square().mean((1, 2)))
        own = [w.detach().requires_grad_() for w in phi]
        phi = adapted(own, x[:, :SHOT], y[:, :SHOT], training=False)
    return torch.stack(found).numpy()


def errors_of_run(run: str) -> np.ndarray:
    """The same of a metacli run, as `evaluate` measures it."""
    from metacli.engine.models.opening import open_model
    from metacli.engine.scoring.episodes import score_episodes
    from metacli.engine.training.few_shot.sources import make_source

    model = open_model(run, torch.device("cpu"), lambda event: None).model
    source = make_source(model.recipe, "test", shot=SHOT, query=QUERY, seed=0)
    found = score_episodes(
        model.problem(),
        model.learner(),
        model.params,
        model.state,
        source.episode,
        WAVES,
        detailed=True,
    )
    assert found.per_step is not None
    return found.per_step


def compare(file: Path, runs: list[str]) -> None:
    from metacli.data.catalogue.sinusoid import Sinusoids
    from metacli.engine.scoring.intervals import over_episodes, paired_t

    source = Sinusoids(SHOT, QUERY, (0, "sinusoid", "test", 1, SHOT, QUERY))
    drawn = [source.episode(index) for index in range(WAVES)]
    x = torch.stack([torch.cat([one.support.x, one.query.x]) for one in drawn])
    y = torch.stack([torch.cat([one.support.y, one.query.y]) for one in drawn])
    wanted = errors_of_reference(torch.load(file, weights_only=True), x, y)
    result: dict[str, Any] = {
        "command": "python benchmarks/sinusoid_reference.py",
        "waves": WAVES,
        "reference": [{"step": k, **over_episodes(wanted[k]).as_dict()} for k in SHOWN],
        "runs": [],
    }
    for run in runs:
        found = errors_of_run(run)
        facts = json.loads((Path(run) / "run.json").read_text())
        name, train = facts["recipe"], facts["settings"]["train"]
        budget = {key: train[key] for key in ("steps", "lr", "schedule")}
        rows = []
        for step in [k for k in SHOWN if k < len(found)]:
            delta = paired_t(found[step] - wanted[step])
            interval = [delta.low, delta.high]
            row = {"step": step, **over_episodes(found[step]).as_dict()}
            rows.append({**row, "delta": delta.delta, "delta_ci95": interval})
            sys.stdout.write(
                f"{name}, {step} steps: {row['mean']:.3f}, minus the reference "
                f"{delta.delta:+.3f} ({delta.low:+.3f} to {delta.high:+.3f})\n"
            )
        result["runs"].append({"recipe": name, "train": budget, "steps": rows})
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("verb", choices=("train", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.verb == "train":
        train(given.file, given.steps, given.seed)
    else:
        compare(given.file, given.runs)


if __name__ == "__main__":
    main()
