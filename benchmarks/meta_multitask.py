"""Sets of functions: what meta-trained learners make of them, by `protocols/meta_multitask.md`.

    python benchmarks/meta_multitask.py RUN [VARIANT...]  # a run of meta_multitask_train.py

Writes `results/meta_multitask/RUN.json` after each cell (a variant and a number of points) and goes
on with a file that was begun.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from meta_multitask_train import RUNS, Run, load, problem_of

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.functions import Functions, Variant
from metacli.engine.scoring.intervals import over_episodes, paired
from metacli.engine.sets.scoring import (
    Answers,
    Guard,
    SetScores,
    answers_of,
    evidence,
    joined,
    mixed_scores,
    scored,
)

RESULTS = Path(__file__).parent / "results" / "meta_multitask"
POINTS = (5, 10, 20)
GROUP, GROUPS, GUARDED = 200, 20, 5
TEMPERATURES, OFFSETS, SCOPES = (1, 2, 4, 8, 16), (-1, 0, 1, 2), ("task", "set")
VARIANTS: tuple[Variant, ...] = ("shared", "noisy", "independent", "mixed")


def main() -> None:
    torch.set_num_threads(1)
    name, *variants = sys.argv[1:]
    run, problem = RUNS[name], problem_of(RUNS[name])
    state = load(name)
    assert state is not None, f"train it first: meta_multitask_train.py {name}"
    snapshot, facts = state
    answers = answers_of(run.learner, problem, snapshot.params)
    path = RESULTS / f"{name}.json"
    document = json.loads(path.read_text()) if path.is_file() else {}
    about = {
        "run": name,
        "variant": run.variant,
        "begin": run.begin,
        "planned": run.train.steps,
        "steps": snapshot.step,
        "seconds": facts["seconds"],
    }
    if document.get("steps") != snapshot.step:
        document = {**about, "learner": repr(run.learner), "cells": []}
    done = {(cell["variant"], cell["points"]) for cell in document["cells"]}
    for points in POINTS:
        guard = chosen_guard(run, answers, points)
        for variant in variants or suited(run):
            if (variant, points) in done:
                continue
            started = time.process_time()
            cell = measured(answers, variant, points, guard)
            cell["seconds"] = round(time.process_time() - started, 1)
            document["cells"].append(cell)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=1) + "\n")


def suited(run: Run) -> tuple[Variant, ...]:
    """A model that has only seen four activations cannot name eight."""
    return VARIANTS[:3] if run.variant != "pooled" else VARIANTS


def measured(answers: Answers, variant: Variant, points: int, guard: Guard) -> dict[str, Any]:
    """Every arm of one cell on the same test sets."""
    source = Functions(variant, points, 40, grid=True, seed=("test", 0), meta_batch=GROUP)
    arms: dict[str, list[SetScores]] = {"joint": [], "separate": [], "guard": [], "oracle": []}
    for step in range(GROUPS):
        episodes = source.meta_batch_at(step)
        related = torch.from_numpy(source.relations_at(step).related)
        joint = answers(episodes, together(episodes.roles))
        separate = answers(episodes, alone(episodes.roles))
        arms["joint"].append(scored(joint, episodes.query))
        arms["separate"].append(scored(separate, episodes.query))
        if bool(related.all()):
            oracle = joint
        elif bool(torch.equal(related, alone(episodes.roles))):
            oracle = separate
        else:
            oracle = answers(episodes, related)
        arms["oracle"].append(scored(oracle, episodes.query))
        if step < GUARDED:
            weights = guard.weights(*both_evidence(answers, episodes))
            arms["guard"].append(mixed_scores(joint, separate, weights, episodes.query))
    found = {name: joined(parts) for name, parts in arms.items()}
    return {
        "variant": variant,
        "points": points,
        "guard": vars(guard),
        "arms": {name: summary(one) for name, one in found.items()},
        "differences": differences(found),
    }


def both_evidence(answers: Answers, episodes: Any) -> tuple[torch.Tensor, torch.Tensor]:
    joint = evidence(answers, episodes, together(episodes.roles))
    return joint, evidence(answers, episodes, alone(episodes.roles))


def summary(scores: SetScores) -> dict[str, Any]:
    return {
        "mse": over_episodes(scores.error).as_dict(),
        "log_likelihood": over_episodes(scores.log_likelihood).as_dict(),
        "coverage90": float(scores.coverage.mean()),
    }


def differences(found: Mapping[str, SetScores]) -> dict[str, Any]:
    """Each arm's error minus that of separate, over the sets that both were measured on, and the
    ratio of their means."""
    rows = {}
    for name, one in found.items():
        if name == "separate":
            continue
        shared = min(len(one.error), len(found["separate"].error))
        mine, other = one.error[:shared], found["separate"].error[:shared]
        delta, low, high = paired(mine - other)
        rows[f"{name} - separate"] = {
            "delta": delta,
            "ci95": [low, high],
            "ratio": float(mine.mean() / other.mean()),
            "sets": shared,
        }
    return rows


def chosen_guard(run: Run, answers: Answers, points: int) -> Guard:
    """The guard with the best mean log-likelihood over validation sets of every variant."""
    parts = []
    for variant in suited(run):
        source = Functions(variant, points, 32, seed=("val", 1), meta_batch=200)
        episodes = source.meta_batch_at(0)
        joint = answers(episodes, together(episodes.roles))
        separate = answers(episodes, alone(episodes.roles))
        parts.append((joint, separate, both_evidence(answers, episodes), episodes.query))
    best, chosen = -np.inf, Guard(1, 0)
    for temperature in TEMPERATURES:
        for offset in OFFSETS:
            for scope in SCOPES:
                guard = Guard(temperature, offset, scope)
                values = [
                    mixed_scores(joint, separate, guard.weights(*both), query).log_likelihood.mean()
                    for joint, separate, both, query in parts
                ]
                if np.mean(values) > best:
                    best, chosen = float(np.mean(values)), guard
    return chosen


if __name__ == "__main__":
    main()
