"""The guard of `adapt` on sets of functions, and how strongly two tasks of a set are related, by
`protocols/meta_multitask.md` ("The guard of `adapt`", "Strengths of a pair"):

    python benchmarks/meta_multitask_guard.py RUN tried   # validation sets: rules and strengths
    python benchmarks/meta_multitask_guard.py RUN test    # the first 400 test sets of a variant

RUN is a run of `meta_multitask_train.py`. Writes `results/meta_multitask/guard_<tried|test>.json`
after each cell and goes on with a file that was begun.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import torch
from meta_multitask import RESULTS, VARIANTS, test_source
from meta_multitask_train import RUNS, load, problem_of
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.from_user import UserTask
from metacli.data.sets.functions import Functions
from metacli.engine.scoring.intervals import over_episodes, paired
from metacli.engine.sets.adapting import FOLDS, folds_of
from metacli.engine.sets.coupling import hiding, joined_pairs, of_tasks, pair_score, pairs_of
from metacli.engine.sets.evaluate import Gathered, by_task
from metacli.engine.sets.in_turn import in_turn, relatedness_of
from metacli.engine.sets.scoring import Answers, answers_of, log_density, task_errors
from metacli.types import Batch, SetEpisode

SETS, TRIED = 400, 120  # of test, and of validation
RULES = {
    f"{of}, {per}, {by}": (of, per, by)
    for of in ("error", "log-likelihood")
    for per in ("task", "set")
    for by in ("1 SE", "mean")
}
ADAPT = "error, task, 1 SE"  # what `adapt guard=true` does


def held_out(answer: Answers, episodes: SetEpisode, folds: np.ndarray, sees: Tensor) -> Any:
    """Of each support label, from the labels of the other folds of all tasks: absolute error and
    log-likelihood, [2, B, T, M]; nan where there is no label."""
    support = episodes.support
    assert support.mask is not None
    found = np.full((2, *support.y.shape), np.nan)
    asked = Batch(support.x, support.y)
    for fold in range(FOLDS):
        here = torch.from_numpy(folds == fold) & support.mask
        kept = support._replace(mask=support.mask & ~here)
        said = answer(SetEpisode(kept, asked, episodes.roles), sees)
        both = torch.stack([(said.mean - support.y).abs(), log_density(said, support.y)])
        found = np.where(here.numpy(), both.double().numpy(), found)
    return found


def folds_as_adapt(episodes: SetEpisode, names: tuple[str, ...]) -> np.ndarray:
    """The folds that `adapt` gives to the labels of each task, [B, T, M]; -1 where none is."""
    support = episodes.support
    assert support.mask is not None
    found = np.full(support.y.shape, -1)
    for b, t in np.ndindex(*found.shape[:2]):
        rows, name = support.mask[b, t].numpy(), names[int(episodes.roles[b, t])]
        task = UserTask(name, np.zeros((int(rows.sum()), 1)), np.zeros(int(rows.sum())))
        found[b, t, rows] = folds_of(task, FOLDS, (0, name))
    return found


def kept_apart(joint: np.ndarray, separate: np.ndarray, rule: tuple[str, str, str]) -> np.ndarray:
    """bool [B, T]: which tasks a rule answers from their own labels alone."""
    of, per, by = rule
    worse = joint[0] - separate[0] if of == "error" else separate[1] - joint[1]
    found = np.zeros(worse.shape[:2], bool)
    for b in range(len(worse)):
        tasks = [one[~np.isnan(one)] for one in worse[b]]
        if per == "set":
            tasks = len(tasks) * [np.concatenate(tasks)]
        found[b] = [is_worse(one, by) for one in tasks]
    return found


def is_worse(differences: np.ndarray, by: str) -> bool:
    if len(differences) < 2:
        return False
    error = differences.std(ddof=1) / len(differences) ** 0.5 if by == "1 SE" else 0.0
    return bool(differences.mean() > error)


def guarded(answer: Answers, source: Any, sets: int, rules: Mapping[str, Any]) -> dict[str, Any]:
    """The error of the rules, of joint and of separate adaptation on the same sets."""
    errors: dict[str, list[np.ndarray]] = {}
    roles, apart = [], []
    for step in range(-(-sets // source.meta_batch)):
        episodes = source.meta_batch_at(step)
        folds = folds_as_adapt(episodes, source.names)
        ways = [sees(episodes.roles) for sees in (together, alone)]
        joint, separate = (held_out(answer, episodes, folds, sees) for sees in ways)
        both = [task_errors(answer(episodes, sees), episodes.query) for sees in ways]
        errors.setdefault("joint", []).append(both[0])
        errors.setdefault("separate", []).append(both[1])
        for name, rule in rules.items():
            chosen = kept_apart(joint, separate, rule)
            errors.setdefault(name, []).append(np.where(chosen, both[1], both[0]))
            if name == ADAPT:
                apart.append(chosen)
        roles.append(episodes.roles.numpy())
    other = np.concatenate([one.mean(1) for one in errors["separate"]])
    arms = {}
    for name, parts in errors.items():
        mine = np.concatenate([one.mean(1) for one in parts])
        delta, low, high = paired(mine - other)
        arms[name] = {
            "mse": over_episodes(mine).as_dict(),
            "ratio": float(mine.mean() / other.mean()),
            "minus separate": [delta, low, high],
        }
    tasks = {
        name: [
            one.as_dict()
            for one in by_task(
                Gathered({}, errors[name], errors["separate"], roles, []), source.names
            )
        ]
        for name in ("joint", ADAPT)
    }
    alone_share = float(np.concatenate([one.ravel() for one in apart]).mean())
    return {"arms": arms, "by_task": tasks, "answered alone": alone_share}


Strength = Callable[[Any, SetEpisode], np.ndarray]
"""Of a model's answers for sets: [B, T, T], larger where two tasks are more related."""


def two_by_two(value: Callable[[Any, SetEpisode, Tensor], Tensor]) -> Strength:
    """What each of two tasks gains from the other where no third one is seen."""

    def found(model: Any, episodes: SetEpisode) -> np.ndarray:
        sets, tasks = episodes.roles.shape
        matrix = np.zeros((sets, tasks, tasks))
        for a, b in combinations(range(tasks), 2):
            two = of_tasks(episodes, (a, b))
            gained = [value(model, two, sees(two.roles)) for sees in (together, alone)]
            difference = (gained[0] - gained[1]).double().numpy()
            matrix[:, a, b], matrix[:, b, a] = difference[:, 0], difference[:, 1]
        return matrix

    return found


def mean_density(model: Any, episodes: SetEpisode, sees: Tensor) -> Tensor:
    """The mean log-likelihood of the queries of each task, [B, T]."""
    return log_density(model.answer(episodes, sees), episodes.query.y).mean(-1)


def bounded(model: Any, episodes: SetEpisode, sees: Tensor) -> Tensor:
    """The mean log-likelihood of the queries, none counting below -3."""
    return log_density(model.answer(episodes, sees), episodes.query.y).clamp(min=-3).mean(-1)


def hidden(model: Any, episodes: SetEpisode) -> np.ndarray:
    """What hiding each task costs the others' queries."""
    whole = mean_density(model, episodes, together(episodes.roles))
    tasks = range(episodes.roles.shape[1])
    parts = [whole - mean_density(model, episodes, hiding(episodes.roles, s)) for s in tasks]
    found: np.ndarray = torch.stack(parts, -1).double().numpy()
    return found


STRENGTHS: Mapping[str, Strength] = {
    "hidden": hidden,
    "two, queries": two_by_two(mean_density),
    "two, queries, bounded": two_by_two(bounded),
    "two, labels in turn": in_turn,
    "two, labels in turn, all divisions": lambda model, episodes: (
        relatedness_of(model, episodes).matrix
    ),
}


SHOWN = ("two, labels in turn, all divisions", "hidden", "two, queries")


class Model:
    """What `STRENGTHS` ask: a run's answers."""

    def __init__(self, name: str) -> None:
        run, state = RUNS[name], load(name)
        assert state is not None, f"train it first: meta_multitask_train.py {name}"
        self.step, self.seconds = state[0].step, state[1]["seconds"]
        self.answer = answers_of(run.learner, problem_of(run), state[0].params)


def areas(model: Any, source: Any, sets: int, names: list[str]) -> dict[str, Any]:
    """The area under the ROC curve of each strength on the same sets."""
    parts: dict[str, list[Any]] = {name: [] for name in names}
    with torch.no_grad():
        for step in range(-(-sets // source.meta_batch)):
            episodes = source.meta_batch_at(step)
            related = source.related_at(step)
            for name in names:
                matrix = STRENGTHS[name](model, episodes)
                parts[name].append(pairs_of(matrix, related, step * source.meta_batch))
    return {name: pair_score(joined_pairs(one), name).as_dict() for name, one in parts.items()}


def main(run: str, what: str, chosen: list[str]) -> None:
    torch.set_num_threads(1)
    model, path = Model(run), RESULTS / f"guard_{what}.json"
    document = json.loads(path.read_text()) if path.is_file() else {"run": run, "cells": []}
    assert document.setdefault("steps", model.step) == model.step, "the file is of another state"
    document["train_seconds"] = model.seconds
    test = what == "test"
    done = {(cell["variant"], cell["points"]) for cell in document["cells"]}
    for points in (10, 5, 20):
        for variant in VARIANTS:
            if (variant, points) in done:
                continue
            started = time.process_time()
            source = test_source(variant, points) if test else validation(variant, points)
            rules = {name: RULES[name] for name in ([ADAPT, *chosen] if test else RULES)}
            cell = guarded(model.answer, source, SETS if test else TRIED, rules)
            seconds = round(time.process_time() - started, 1)
            document["cells"].append(
                {"variant": variant, "points": points, **cell, "seconds": seconds}
            )
            path.write_text(json.dumps(document, indent=1) + "\n")
    pairs = document.setdefault("pairs", {})
    for name in (one for one in (SHOWN if test else STRENGTHS) if one not in pairs):
        source = test_source("mixed", 10) if test else validation("mixed", 10, 7)
        pairs |= areas(model, source, 200 if test else 80, [name])
        path.write_text(json.dumps(document, indent=1) + "\n")


def validation(variant: Any, points: int, number: int = 6) -> Functions:
    return Functions(variant, points, 32, seed=("val", number), meta_batch=40)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
