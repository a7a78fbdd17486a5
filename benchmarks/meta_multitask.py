"""Sets of functions: what meta-trained learners make of them, by `protocols/meta_multitask.md`.

    python benchmarks/meta_multitask.py RUN [VARIANT...]  # a run of meta_multitask_train.py
    python benchmarks/meta_multitask.py arms:VARIANT      # what is trained without meta-learning

Writes `results/meta_multitask/RUN.json` after each cell (a variant and a number of points) and goes
on with a file that was begun.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from meta_multitask_train import POINTS as TRAIN_POINTS
from meta_multitask_train import RUNS, Run, load, problem_of

from metacli.algorithms.meta_multitask.mtnp import MTNP
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.functions import Functions, Variant
from metacli.engine.scoring.intervals import over_episodes, paired
from metacli.engine.sets.arms.names import MULTI_TASK, PRETRAINED, SEED, SINGLE_TASK
from metacli.engine.sets.arms.pretraining import ridge_answers
from metacli.engine.sets.arms.scratch import trained
from metacli.engine.sets.arms.tuned import Tuned
from metacli.engine.sets.arms.tuning import Tuning
from metacli.engine.sets.coupling import (
    Coupling,
    coupling_of,
    joined_pairs,
    pair_score,
    pairs_of,
)
from metacli.engine.sets.evaluate import Gathered, by_task
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import (
    Answers,
    Guard,
    SetScores,
    answers_of,
    evidence,
    joined,
    mixed_scores,
    scored,
    task_errors,
)
from metacli.engine.training.options import written_out
from metacli.nn.set_attention import Gaussian
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import Params, SetEpisode

RESULTS = Path(__file__).parent / "results" / "meta_multitask"
POINTS = (5, 10, 20)
GROUP, GROUPS, GUARDED = 200, 20, 5
TUNED, TRAINED, PAIRED = 64, 200, 500  # sets
STEPS, TRUNK_STEPS = (50, 100, 200, 400), (1000, 2000)
DIVERGED = 100.0  # an error; labels have a variance of about 2
TEMPERATURES, OFFSETS, SCOPES = (1, 2, 4, 8, 16), (-1, 0, 1, 2), ("task", "set")
VARIANTS: tuple[Variant, ...] = ("shared", "noisy", "independent", "mixed")


@dataclass(frozen=True)
class Measured:
    """A run with its parameters, and its arms `joint` and `separate` by number of points."""

    run: Run
    params: Params
    tuned: Tuned | None = field(default=None)

    def answers(self, arm: str, points: int) -> Answers:
        settings = {} if self.tuned is None else self.tuned.settings(arm, points)
        return answers_of(self.run.learner.varied(settings), problem_of(self.run), self.params)

    def model(self, name: str) -> SetModel:
        """The learner called `name` as a model."""
        run = self.run
        recipe = {
            "version": 1,
            "kind": "meta-multitask",
            "data": {"source": "functions", "variant": run.variant},
            "sets": {"points": list(TRAIN_POINTS), "query": 8},
            "algorithm": {"name": name, **written_out(run.learner)},
            "train": {"steps": run.train.steps},
        }
        made = MetaMultiTaskRecipe.model_validate(recipe)
        return SetModel(made, self.params, {}, Functions(run.variant).names, 1)


def main() -> None:
    torch.set_num_threads(1)
    name, *variants = sys.argv[1:]
    if name.startswith("arms:"):
        measure_arms(name.removeprefix("arms:"))
    else:
        measure(name, variants)


def measure(name: str, variants: list[str]) -> None:
    """A run of `meta_multitask_train.py`."""
    run, state = RUNS[name], load(name)
    assert state is not None, f"train it first: meta_multitask_train.py {name}"
    snapshot, facts = state
    about = {
        "run": name,
        "variant": run.variant,
        "begin": run.begin,
        "planned": run.train.steps,
        "steps": snapshot.step,
        "seconds": facts["seconds"],
        "learner": repr(run.learner),
    }
    document = begun(name, about)
    tuning = tuning_of(run, snapshot.params, ())
    tuned = tuning.tuned() if len(tuning.variants()) > 1 else None
    if tuned is not None:
        document["chosen"] = tuned.choices.model_dump(mode="json", exclude_none=True)
    measured_run = Measured(run, snapshot.params, tuned)
    done = {(cell["variant"], cell["points"]) for cell in document["cells"]}
    for points in POINTS:
        wanted = [v for v in variants or suited(run) if (v, points) not in done]
        guarded = isinstance(run.learner, MTNP) and wanted
        guard = (
            chosen_guard(run, measured_run.answers("joint", points), points) if guarded else None
        )
        for variant in wanted:
            started = time.process_time()
            cell = measured(measured_run, variant, points, guard)
            cell["seconds"] = round(time.process_time() - started, 1)
            document["cells"].append(cell)
            write(name, document)
    if {"mixed"} & set(variants or suited(run)) and "pairs" not in document:
        model = measured_run.model(name.partition("-")[0])
        document["pairs"] = relatives_of(model, coupling_of)
        write(name, document)


def begun(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The file of an earlier call about the same state, or a new one."""
    path = RESULTS / f"{name}.json"
    document = json.loads(path.read_text()) if path.is_file() else {}
    same = all(document.get(key) == about.get(key) for key in ("steps", "variant"))
    return {**about, **document} if document and same else {**about, "cells": []}


def write(name: str, document: Mapping[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


def tuning_of(run: Run, params: Params, arms: tuple[str, ...]) -> Tuning:
    """The choices of the arms on validation sets of the variant that the run was trained for."""

    def validation(points: int) -> SetEpisode:
        return Functions(run.variant, points, 32, seed=("val", 2), meta_batch=TUNED).meta_batch_at(
            0
        )

    training = Functions(run.variant, TRAIN_POINTS, 8, seed=("train", run.seed), meta_batch=32)
    return Tuning(
        learner=run.learner,
        problem=problem_of(run),
        params=params,
        points=POINTS,
        validation=validation,
        training=training.meta_batch_at,
        arms=arms,
        steps=STEPS,
        trunk_steps=TRUNK_STEPS,
    )


def measure_arms(variant: str) -> None:
    """What is trained without meta-learning for a variant, on its first test sets."""
    run = RUNS[f"mtnp-{variant}-0"]
    started = time.process_time()
    tuned = tuning_of(run, {}, (MULTI_TASK, SINGLE_TASK, PRETRAINED)).tuned()
    chosen = tuned.choices.model_dump(mode="json", exclude_none=True)
    document = begun(f"arms_{variant}", {"variant": variant, "steps": None, "chosen": chosen})
    assert document["chosen"] == chosen, "the file is of other choices"
    done = {(cell["variant"], cell["points"]) for cell in document["cells"]}
    for tested in suited(run) if variant == "pooled" else (variant,):
        for points in POINTS:
            if (tested, points) in done:
                continue
            source = test_source(tested, points)
            episodes = first(source.meta_batch_at(0), TRAINED)
            arms = {}
            for arm in (MULTI_TASK, SINGLE_TASK, PRETRAINED):
                mean = without_learner(tuned, arm, episodes, points)
                nothing = Gaussian(mean, torch.full_like(mean, torch.nan))
                error = scored(nothing, episodes.query).error
                arms[arm] = {"mse": over_episodes(error).as_dict(), "errors": rounded(error)}
            document["cells"].append({"variant": tested, "points": points, "arms": arms})
            document["seconds"] = round(time.process_time() - started, 1)
            write(f"arms_{variant}", document)


def without_learner(tuned: Tuned, arm: str, episodes: SetEpisode, points: int) -> torch.Tensor:
    settings = tuned.settings(arm, points)
    if arm == PRETRAINED:
        return ridge_answers(tuned.trunk, episodes, (settings["penalty"],))[0]
    steps, rate = (int(settings["steps"]),), settings["rate"]
    return trained(episodes, shared=arm == MULTI_TASK, rate=rate, steps=steps, seed=SEED)[0]


def rounded(errors: np.ndarray) -> list[float]:
    """For paired differences with the learners, in the order of the test sets."""
    return [float(f"{one:.5g}") for one in errors]


def first(episodes: SetEpisode, sets: int) -> SetEpisode:
    """The first sets of a meta-batch."""
    support, query = (
        type(half)(half.x[:sets], half.y[:sets], None if half.mask is None else half.mask[:sets])
        for half in (episodes.support, episodes.query)
    )
    return SetEpisode(support, query, episodes.roles[:sets])


def test_source(variant: Variant | str, points: int) -> Functions:
    return Functions(
        variant,  # type: ignore[arg-type]  # checked when it is made
        points,
        40,
        grid=True,
        seed=("test", 0),
        meta_batch=GROUP,
    )


def relatives_of(
    model: SetModel, strength: Callable[[SetModel, SetEpisode], Coupling]
) -> dict[str, Any]:
    """How well related tasks are told from unrelated ones in mixed sets of 10 points."""
    source, parts, what = test_source("mixed", 10), [], ""
    for step in range(-(-PAIRED // GROUP)):
        found = strength(model, source.meta_batch_at(step))
        related, what = source.relations_at(step).related, found.what
        parts.append(pairs_of(found.matrix, related, step * GROUP))
    return pair_score(joined_pairs(parts), what).as_dict()


def suited(run: Run) -> tuple[Variant, ...]:
    """A model that has only seen four activations cannot name eight."""
    return VARIANTS[:3] if run.variant != "pooled" else VARIANTS


def measured(of: Measured, variant: str, points: int, guard: Guard | None) -> dict[str, Any]:
    """Every arm of one cell on the same test sets."""
    source = test_source(variant, points)
    joint_answers, apart_answers = of.answers("joint", points), of.answers("separate", points)
    names = ("joint", "separate", "oracle", *(() if guard is None else ("guard",)))
    arms: dict[str, list[SetScores]] = {name: [] for name in names}
    errors, guarded = Gathered({}, [], [], [], []), Gathered({}, [], [], [], [])
    for step in range(GROUPS):
        episodes = source.meta_batch_at(step)
        related = torch.from_numpy(source.relations_at(step).related)
        joint = joint_answers(episodes, together(episodes.roles))
        separate = apart_answers(episodes, alone(episodes.roles))
        arms["joint"].append(scored(joint, episodes.query))
        arms["separate"].append(scored(separate, episodes.query))
        errors.joint.append(task_errors(joint, episodes.query))
        errors.separate.append(task_errors(separate, episodes.query))
        errors.roles.append(episodes.roles.numpy())
        if bool(related.all()):
            oracle = joint
        elif bool(torch.equal(related, alone(episodes.roles))):
            oracle = separate
        else:
            oracle = joint_answers(episodes, related)
        arms["oracle"].append(scored(oracle, episodes.query))
        if guard is not None and step < GUARDED:
            weights = guard.weights(*both_evidence(joint_answers, episodes))
            arms["guard"].append(mixed_scores(joint, separate, weights, episodes.query))
            mean = torch.lerp(separate.mean, joint.mean, weights[..., None])
            guarded.joint.append(task_errors(joint._replace(mean=mean), episodes.query))
            guarded.separate.append(errors.separate[-1])
            guarded.roles.append(errors.roles[-1])
    found = {name: joined(parts) for name, parts in arms.items()}
    tasks = by_task(errors, source.names)
    return {
        "variant": variant,
        "points": points,
        "guard": None if guard is None else vars(guard),
        "arms": {name: summary(one) for name, one in found.items()},
        "differences": differences(found),
        "by_task": [one.as_dict() for one in tasks],
        "by_task_guard": [one.as_dict() for one in by_task(guarded, source.names)]
        if guarded.roles
        else None,
        "first_errors": {
            name: rounded(found[name].error[:TRAINED]) for name in ("joint", "separate")
        },
    }


def both_evidence(answers: Answers, episodes: SetEpisode) -> tuple[torch.Tensor, torch.Tensor]:
    joint = evidence(answers, episodes, together(episodes.roles))
    return joint, evidence(answers, episodes, alone(episodes.roles))


def summary(scores: SetScores) -> dict[str, Any]:
    """Of steps that are too large for a few sets the mean is of those few: the median, and how many
    they are, say so."""
    return {
        "mse": over_episodes(scores.error).as_dict(),
        "median": float(np.median(scores.error)),
        "diverged": int((scores.error > DIVERGED).sum()),
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
