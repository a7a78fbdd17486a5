"""Train one learner of sets for `meta_multitask.py`, in one thread: `python
benchmarks/meta_multitask_train.py RUN`.

RUN is a line of `RUNS`. The state is kept in `$METACLI_RUNS/RUN` (default `runs/meta-multitask`),
and a run that was stopped goes on from it with the same result; `METACLI_STOP_AFTER` seconds stop
it. Validation sets only are read here; processor seconds are counted, since the machine may be
shared.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from metacli.algorithms.meta_multitask.coupled import Coupled
from metacli.algorithms.meta_multitask.manil import MANIL
from metacli.algorithms.meta_multitask.mcavia import MCAVIA
from metacli.algorithms.meta_multitask.mmaml import MMAML
from metacli.algorithms.meta_multitask.mreptile import MReptile
from metacli.algorithms.meta_multitask.mtnp import MTNP
from metacli.algorithms.meta_multitask.protocol import SetLearner, alone, together
from metacli.data.sets.functions import Functions, Variant
from metacli.engine.events import Event
from metacli.engine.training import checkpoint
from metacli.engine.training.loop import Snapshot, train
from metacli.nn.set_problem import SetProblem
from metacli.schema.blocks import Train

STOP_AFTER = float(os.environ.get("METACLI_STOP_AFTER", "inf"))
FOLDER = Path(os.environ.get("METACLI_RUNS", "runs/meta-multitask"))
EVERY = 500
POINTS = (3, 20)


@dataclass(frozen=True)
class Run:
    """What is trained, on which sets, for how long.

    Args:
        begin: the run whose end it begins from; its processor seconds are counted.
    """

    learner: SetLearner
    variant: Variant
    train: Train
    seed: int = 0
    begin: str | None = None
    validate: tuple[Variant, ...] = field(default=("shared", "independent"))


def attention(steps: int, lr: float = 3e-3) -> Train:
    return Train(
        steps=steps,
        meta_batch=32,
        optimizer="adamw",
        lr=lr,
        schedule="cosine",
        clip=1.0,
        weight_decay=0.0,
    )


def gradient_steps(steps: int, lr: float = 3e-3) -> Train:
    return Train(
        steps=steps,
        meta_batch=32,
        optimizer="adamw",
        lr=lr,
        schedule="cosine",
        clip=1.0,
        weight_decay=0.0,
    )


def following(steps: int, lr: float = 1.0) -> Train:
    """The outer loop of Reptile: ε falls linearly from `lr`."""
    return Train(steps=steps, meta_batch=32, optimizer="sgd", lr=lr, schedule="linear")


IN_CONTEXT = Coupled(context=8, adapts=("context.",), inner_lr=3.0)
RUNS = {
    "mtnp-shared-0": Run(MTNP(), "shared", attention(16_000)),
    # The steps up to the checkpoint at 2,000 (or the one before) were taken under a schedule of
    # 3,000 steps, which was then lengthened.
    "mtnp-pooled-0": Run(MTNP(), "pooled", attention(6_000, 2e-3), begin="mtnp-shared-0"),
    # All of the budget on all variants, from the start.
    "mtnp-pooled-whole-0": Run(MTNP(), "pooled", attention(20_000)),
    # A short run on all variants from the start: for the guard of `adapt` and the strength of
    # pairs, when the longer run's weights were no longer there. Its first 813 steps were taken
    # under a schedule of 6,000, which was then shortened.
    "mtnp-pooled-small-0": Run(MTNP(), "pooled", attention(3_000)),
    "mmaml-shared-0": Run(MMAML(inner_lr=0.1), "shared", gradient_steps(5_500, 1e-2)),
    "coupled-shared-0": Run(IN_CONTEXT, "shared", gradient_steps(8_000)),
    "mcavia-shared-0": Run(MCAVIA(inner_lr=3.0), "shared", gradient_steps(8_000)),
    # The rates of manil are those chosen for mmaml.
    "manil-shared-0": Run(MANIL(inner_lr=0.1), "shared", gradient_steps(5_000, 1e-2)),
    # With 0.05 or more the loss is not finite before step 400.
    "mreptile-shared-0": Run(MReptile(inner_lr=0.02), "shared", following(5_000, 0.3)),
    "mmaml-pooled-0": Run(
        MMAML(inner_lr=0.1), "pooled", gradient_steps(2_000, 5e-3), begin="mmaml-shared-0"
    ),
    "coupled-pooled-0": Run(IN_CONTEXT, "pooled", gradient_steps(4_500), begin="coupled-shared-0"),
    "mtnp-mixed-0": Run(
        *(MTNP(), "mixed", attention(6_000, 1.5e-3)), begin="mtnp-pooled-0", validate=("mixed",)
    ),
    "mcavia-pooled-0": Run(
        MCAVIA(inner_lr=3.0), "pooled", gradient_steps(5_500), begin="mcavia-shared-0"
    ),
}
SEEDS = (1, 2)
# The runs of the tables again, with other starts and other sets to learn from.
RUNS |= {
    f"{name.removesuffix('-0')}-{seed}": replace(
        run, seed=seed, begin=run.begin and f"{run.begin.removesuffix('-0')}-{seed}"
    )
    for name, run in list(RUNS.items())
    for seed in SEEDS
    if run.variant == "shared" or (run.variant == "pooled" and name != "mtnp-pooled-small-0")
}
# The start of this seed is one from which steps of 0.1 are not finite; the rates are learned.
RUNS["mmaml-shared-1"] = replace(RUNS["mmaml-shared-1"], learner=MMAML(inner_lr=0.05))
# Tries of about a minute, from which the rates were chosen on validation sets.
TRIES = {
    f"{name}-try-{inner_lr}-{lr}": Run(
        *(replace(learner, inner_lr=inner_lr), "shared", gradient_steps(steps, lr)),
        validate=("shared",),
    )
    for name, learner, steps, rates in (
        ("coupled", Coupled(), 800, (0.02, 0.1)),
        ("context", IN_CONTEXT, 1500, (0.3, 1.0, 3.0)),
        ("mmaml", MMAML(), 1000, (0.02, 0.05, 0.1)),
        ("manil", MANIL(), 1200, (0.02, 0.1)),
        ("mcavia", MCAVIA(), 2000, (0.3, 1.0, 3.0)),
    )
    for inner_lr in rates
    for lr in (1e-3, 3e-3, 1e-2)
}
TRIES |= {
    f"mreptile-try-{inner_lr}-{lr}": Run(
        *(MReptile(inner_lr=inner_lr), "shared", following(600, lr)), validate=("shared",)
    )
    for inner_lr in (0.02, 0.05, 0.1)
    for lr in (0.3, 1.0)
}
RUNS |= TRIES


def problem_of(run: Run) -> SetProblem:
    roles = len(Functions(run.variant).names)
    return SetProblem(run.learner.network(1, roles))


def load(name: str) -> tuple[Snapshot, dict[str, float]] | None:
    """The newest state of a run and what it has cost; None where there is none."""
    saved, _ = checkpoint.newest(FOLDER / name, "step")
    return None if saved is None else (saved.snapshot, saved.facts)


def go(name: str) -> None:
    torch.set_num_threads(1)
    run = RUNS[name]
    problem = problem_of(run)
    source = Functions(
        run.variant, POINTS, 8, seed=("train", run.seed), meta_batch=run.train.meta_batch
    )
    begun = load(name)
    params = problem.init(run.seed)
    own, state = run.learner.init(problem, params)
    begin, spent = Snapshot(0, {**params, **own}, state, {}), 0.0
    if begun is None and run.begin is not None:
        begin, spent = continued(run.begin, begin)
    if begun is not None:
        begin, spent = begun[0], begun[1]["seconds"]
    started, wall = time.process_time(), time.time()
    seconds = lambda: spent + time.process_time() - started  # noqa: E731

    def visit(snapshot: Snapshot) -> None:
        checkpoint.save(FOLDER / name, "step", snapshot, {"seconds": seconds()})
        facts: dict[str, object] = {"step": snapshot.step, "seconds": round(seconds(), 1)}
        facts["wall"] = round(time.time() - wall)
        if snapshot.step % (4 * EVERY) == 0 or snapshot.step == run.train.steps:
            facts["val"] = validation(run, problem, snapshot)
        with (FOLDER / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(facts) + "\n")

    def ignore(event: Event) -> None:
        pass

    train(
        run.learner,
        problem,
        source.meta_batch_at,
        run.train,
        begin,
        learned=problem.trainable | frozenset(own),
        seed=run.seed,
        every=EVERY,
        visit=visit,
        stop=lambda: time.time() - wall > STOP_AFTER,
        report=ignore,
    )


def continued(name: str, fresh: Snapshot) -> tuple[Snapshot, float]:
    """The end of another run as the beginning of this one, and what it has cost. Roles that it did
    not know keep their fresh rows."""
    found = load(name)
    assert found is not None, f"train {name} first"
    params = {}
    for key, value in fresh.params.items():
        before = found[0].params[key]
        params[key] = torch.cat([before, value[len(before) :]]) if before.dim() else before
    return Snapshot(0, params, found[0].state, {}), found[1]["seconds"]


def validation(run: Run, problem: SetProblem, snapshot: Snapshot) -> dict[str, list[float]]:
    """Query error on 512 validation sets at 10 points: joint and alone."""
    found = {}
    for variant in run.validate:
        source = Functions(variant, 10, 32, seed=("val", 0), meta_batch=512)
        episodes = source.meta_batch_at(0)
        with torch.no_grad():
            answers = [
                run.learner.answer(problem, snapshot.params, episodes, sees(episodes.roles))
                for sees in (together, alone)
            ]
        found[variant] = [float(problem.error(a.mean, episodes.query).mean()) for a in answers]
    return found


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in sys.argv[1:]:
        go(each)
