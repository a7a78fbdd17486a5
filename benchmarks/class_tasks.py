"""Classification tasks as the unit, by benchmarks/protocols/class_tasks.md.

python benchmarks/class_tasks.py tox21|sider|grasps|heart [FOLDER [finished]]

What is finished of it is kept in FOLDER (inputs, folds, hospitals), from which it goes on; with
`finished` the result is of what is there, and says what is not.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.joint import Joint
from metacli.algorithms.meta.maml import MAML
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.algorithms.meta.r2d2 import R2D2
from metacli.algorithms.meta_multitask.mmaml import MMAML
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.few_shot.class_tasks import ClassTaskEpisodes, ClassTasks
from metacli.data.few_shot.read_class_tasks import stores_of
from metacli.data.few_shot.task_rows import TaskRows
from metacli.data.sources import load_class_tasks, tasks_with_cells
from metacli.engine.scoring.class_measures import class_measures
from metacli.engine.scoring.intervals import over_episodes, paired_t
from metacli.engine.storage.paths import cache_root
from metacli.nn.backbones.table import make_backbone
from metacli.nn.problem import Problem, make_module
from metacli.nn.set_problem import SetProblem
from metacli.threads import computing_with
from metacli.types import Batch, Episode, Params, SetEpisode

RESULTS = Path(__file__).parent / "results" / "class_tasks"
SPLITS = {"tox21": (3, 1), "sider": (6, 2)}  # the last targets test; before them, validate
WORK = RESULTS / "parts"
FINISHED = False  # of parts that are there alone
SECONDS: list[float] = []  # of processor time, of each part
Answer = Callable[[Batch, Tensor], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Table = dict[str, np.ndarray]
"""Measures [tasks, draws] by name."""


# Drawing and scoring


def drawn(source: ClassTaskEpisodes, task: int, shot: int, draw: int) -> Episode:
    """The support and all other rows of a task: the same for every arm."""
    key = ("class tasks", source.tasks.tasks[task], shot, draw)
    members = source.drawn(task, shot, key, rest=True)
    return Episode(source.batch(members, members.support), source.batch(members, members.query))


def scored(source: ClassTaskEpisodes, shot: int, draws: int, answer: Answer) -> Table:
    found: dict[str, list[list[float]]] = {}
    for task in range(len(source.tasks.tasks)):
        rows = []
        for draw in range(draws):
            support, query = drawn(source, task, shot, draw)
            scores = answer(support, query.x)
            rows.append(class_measures(scores, query.y.numpy(), positive=True))
        for name in rows[0]:
            found.setdefault(name, []).append([one[name] for one in rows])
    return {name: np.array(values) for name, values in found.items()}


def fitted(fit: Fit) -> Answer:
    return lambda support, x: fit(support.x.numpy(), support.y.numpy(), x.numpy())


def forest(share: str | float, trees: int = 100) -> Fit:
    def fit(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
        made = RandomForestClassifier(trees, max_features=share, random_state=0, n_jobs=1)
        return np.asarray(made.fit(x, y).predict_proba(asked))

    return fit


def logistic(c: float) -> Fit:
    def fit(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
        made = LogisticRegression(C=c, max_iter=500).fit(x, y)
        return np.asarray(made.predict_proba(asked))

    return fit


def pulled(c: float, pooled: LogisticRegression) -> Fit:
    """Logistic regression with |w - w_0|² / 2 in the place of |w|² / 2, by Newton's method."""
    start = np.append(pooled.coef_[0], pooled.intercept_[0])

    def fit(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
        rows = np.column_stack([x, np.ones(len(x))]).astype(float)
        w = start.copy()
        for _ in range(50):
            p = 1 / (1 + np.exp(-(rows @ w).clip(-50, 50)))
            gradient = c * rows.T @ (p - y) + (w - start)
            hessian = c * (rows.T * (p * (1 - p))) @ rows + np.eye(len(w))
            step = np.linalg.solve(hessian, gradient)
            w -= step
            if np.abs(step).max() < 1e-9:
                break
        margin = np.column_stack([asked, np.ones(len(asked))]) @ w
        return np.stack([-margin / 2, margin / 2], 1)

    return fit


# Training


def network(inputs: int, hidden: Sequence[int], learner: Learner) -> Problem:
    module, features = make_backbone("mlp", {"hidden": list(hidden)}).build((inputs,))
    bare = make_module(torch.nn.Identity(), module)
    return Problem(bare, features, "classification", learner.head_size(2), chunk=8, way=2)


def trained(
    learner: Learner, problem: Problem, source: ClassTaskEpisodes, steps: int
) -> dict[int, tuple[Params, dict]]:
    """θ after a third, two thirds and all of the steps."""
    params = problem.init(0)
    own, state = learner.init(problem, params)
    leaves = {name: value.clone() for name, value in {**params, **own}.items()}
    optimizer = torch.optim.Adam(list(leaves.values()), lr=1e-3)
    rng, kept = torch.Generator().manual_seed(0), {}
    for step in range(steps):
        theta = {name: value.detach() for name, value in leaves.items()}
        update = learner.direction(problem, theta, source.meta_batch_at(step), state, rng)
        for name, value in update.direction.items():
            leaves[name].grad = value
        optimizer.step()
        state = update.state
        if (step + 1) % (steps // 3) == 0:
            kept[step + 1] = ({n: v.detach().clone() for n, v in leaves.items()}, state)
    return kept


def adapting(learner: Learner, problem: Problem, theta: Params, state: dict) -> Answer:
    @torch.no_grad()
    def answer(support: Batch, x: Tensor) -> np.ndarray:
        phi = learner.adapt(problem, theta, support, state)
        found: np.ndarray = learner.predict(problem, phi, x).numpy()
        return found

    return answer


Arms = dict[str, Answer]
"""An arm's settings by name."""


def choose(options: Arms, source: ClassTaskEpisodes, shots: Sequence[int], draws: int) -> dict:
    """The setting with the best mean AUC over the validation tasks, and those of all."""
    scores = {
        name: float(np.mean([scored(source, k, draws, one)["auc"].mean() for k in shots]))
        for name, one in options.items()
    }
    return {"chosen": max(scores, key=lambda name: scores[name]), "validation_auc": scores}


def meta_trained(
    learners: dict[str, Learner], hidden: Sequence[int], source: ClassTaskEpisodes, steps: int
) -> Arms:
    found: Arms = {}
    for name, learner in learners.items():
        problem = network(source.tasks.example_shape[0], hidden, learner)
        for step, (theta, state) in trained(learner, problem, source, steps).items():
            found[f"{name}, step {step}"] = adapting(learner, problem, theta, state)
    return found


# Molecules


def molecules(name: str) -> dict:
    test, val = SPLITS[name]
    division = {"test_tasks": f"last:{test}", "val_tasks": f"last:{val}"}
    parts = {
        f"{name}-{part}{known}": partial(make, name, division, inputs, known)
        for part, make in (("", with_inputs), ("pooled-", without_support))
        for inputs, known in (("fingerprints", False), ("fingerprints and known labels", True))
    }
    there = [one for one in parts if not FINISHED or (WORK / f"{one}.json").is_file()]
    every = [kept(one, parts[one]) for one in there]
    return {
        "tasks": every[0]["tasks"],
        "not_measured": [one for one in parts if one not in there],
        "arms": {arm: found for one in every for arm, found in one["arms"].items()},
        "choices": {arm: found for one in every for arm, found in one["choices"].items()},
    }


def with_inputs(name: str, division: dict, inputs: str, known: bool) -> dict:
    arms: dict[str, Table] = {}
    choices: dict[str, dict] = {}
    parts = {s: molecule_source(name, s, {**division, "known_labels": known}) for s in SPLIT}
    options = {
        "random forest": {f"share {s}": fitted(forest(s)) for s in ("sqrt", 0.1, 0.3)},
        "logistic regression": {f"C {c:g}": fitted(logistic(c)) for c in (0.01, 0.1, 1, 10)},
    }
    learners = {
        "protonet": ProtoNet(),
        "maml": MAML(inner_lr=0.1, inner_steps=5),
        "r2d2": R2D2(),
    }
    options["meta-trained"] = meta_trained(learners, (128, 64), parts["train"], 300)
    for arm, settings in options.items():
        called = f"{arm}, {inputs}"
        choices[called] = choose(settings, parts["val"], (10,), 5)
        arms[called] = scored(parts["test"], 10, 20, settings[choices[called]["chosen"]])
    if not known:
        joint_arms(parts, arms, choices)
    return {"tasks": list(parts["test"].tasks.tasks), "arms": arms, "choices": choices}


def without_support(name: str, division: dict, inputs: str, known: bool) -> dict:
    """Models of all meta-training targets as one, which see no support."""
    parts = {s: molecule_source(name, s, {**division, "known_labels": known}) for s in SPLIT}
    arms: dict[str, Table] = {}
    choices: dict[str, dict] = {}
    for arm, settings in pooled_options(parts["train"], 300).items():
        called = f"{arm}, {inputs}"
        choices[called] = choose(settings, parts["val"], (10,), 5)
        arms[called] = scored(parts["test"], 10, 20, settings[choices[called]["chosen"]])
    return {"tasks": list(parts["test"].tasks.tasks), "arms": arms, "choices": choices}


def pooled_options(source: ClassTaskEpisodes, steps: int) -> dict[str, Arms]:
    """Every pooled arm with its settings. A class of a target weighs as much as any other, as it
    does in episodes; the weights are 1 in the mean."""
    tasks = source.tasks
    x = np.concatenate([rows.take(np.arange(len(rows))) for rows in tasks.rows])
    sparse = csr_matrix(x)
    y = np.concatenate(tasks.y)
    weights = np.concatenate([len(one) / np.bincount(one)[one] / len(one) for one in tasks.y])
    weights *= len(weights) / weights.sum()
    joint = Joint()
    problem = network(tasks.example_shape[0], (128, 64), joint)
    return {
        "pooled logistic regression": {
            f"C {c:g}": whole(LogisticRegression(C=c, max_iter=1000).fit(sparse, y, weights))
            for c in (1e-4, 1e-3, 1e-2, 1e-1)
        },
        "pooled random forest": {
            f"share {share}": whole(pooled_forest(share).fit(x, y, weights))
            for share in ("sqrt", 0.1)
        },
        "pooled network": {
            f"step {step}": unadapted(joint, problem, theta)
            for step, (theta, _) in trained(joint, problem, source, steps).items()
        },
    }


def pooled_forest(share: str | float) -> RandomForestClassifier:
    """Each tree is grown on 10,000 drawn rows."""
    return RandomForestClassifier(
        100, max_features=share, max_samples=10_000, random_state=0, n_jobs=1
    )


def whole(made: LogisticRegression | RandomForestClassifier) -> Answer:
    """The answer of a fitted model, whatever the support is."""
    return lambda support, asked: np.asarray(made.predict_proba(asked.numpy()))


def unadapted(learner: Joint, problem: Problem, theta: Params) -> Answer:
    @torch.no_grad()
    def answer(support: Batch, x: Tensor) -> np.ndarray:
        found: np.ndarray = learner.predict(problem, theta, x).numpy()
        return found

    return answer


SPLIT = ("train", "val", "test")


def molecule_source(name: str, split: str, options: dict) -> ClassTaskEpisodes:
    tasks = load_class_tasks(name, split, options, cache_root())
    return ClassTaskEpisodes(tasks, way=2, shot=10, query=10, seed=("train", 0), meta_batch=4)


def joint_arms(parts: dict[str, ClassTaskEpisodes], arms: dict, choices: dict) -> None:
    """`mmaml` on sets of targets; one model answers for both arms."""
    width = parts["train"].tasks.example_shape[0]
    options = {}
    for rate in (0.02, 0.1):
        learner = MMAML(
            inner_lr=rate, inner_steps=3, hidden=(64, 64), frequencies=0, first_order=True
        )
        problem = SetProblem(learner.network(width, 0))
        for step, theta in trained_on_sets(learner, problem, parts["train"], 300).items():
            options[f"rate {rate:g}, step {step}"] = (learner, problem, theta)
    for arm, sees in (("mmaml, joint", together), ("mmaml, one by one", alone)):
        val = {
            name: float(set_table(parts["val"], 10, 5, one, sees)["auc"].mean())
            for name, one in options.items()
        }
        chosen = max(val, key=lambda name: val[name])
        choices[arm] = {"chosen": chosen, "validation_auc": val}
        arms[arm] = set_table(parts["test"], 10, 20, options[chosen], sees)


def as_set(episodes: Sequence[Episode]) -> SetEpisode:
    """Episodes of different tasks as one set, labels as -1 and 1."""
    most = max(len(one.query.x) for one in episodes)

    def half(parts: Sequence[Batch], size: int) -> Batch:
        x = torch.zeros(len(parts), size, parts[0].x.shape[1])
        y, mask = torch.zeros(len(parts), size), torch.zeros(len(parts), size, dtype=torch.bool)
        for task, one in enumerate(parts):
            x[task, : len(one.x)], mask[task, : len(one.x)] = one.x, True
            y[task, : len(one.x)] = 2.0 * one.y - 1
        return Batch(x, y, mask)

    support = half([one.support for one in episodes], len(episodes[0].support.x))
    query = half([one.query for one in episodes], most)
    return SetEpisode(support, query, torch.full((len(episodes),), -1))


def stacked(sets: Sequence[SetEpisode]) -> SetEpisode:
    def both(parts: Sequence[Batch]) -> Batch:
        return Batch(*(torch.stack([one[i] for one in parts]) for i in range(3)))

    support, query = both([s.support for s in sets]), both([s.query for s in sets])
    return SetEpisode(support, query, torch.stack([s.roles for s in sets]))


def trained_on_sets(
    learner: MMAML, problem: SetProblem, source: ClassTaskEpisodes, steps: int
) -> dict[int, Params]:
    params = problem.init(0)
    own, _ = learner.init(problem, params)
    leaves = {name: value.clone() for name, value in {**params, **own}.items()}
    optimizer = torch.optim.Adam(list(leaves.values()), lr=1e-3)
    rng, order = torch.Generator().manual_seed(0), np.random.default_rng(0)
    kept = {}
    for step in range(steps):
        sets = []
        for of_step in range(2):
            chosen = order.choice(len(source.tasks.tasks), 3, replace=False)
            members = [source.drawn(int(t), 10, ("sets", step, of_step, int(t))) for t in chosen]
            sets.append(
                as_set(
                    [Episode(source.batch(m, m.support), source.batch(m, m.query)) for m in members]
                )
            )
        theta = {name: value.detach() for name, value in leaves.items()}
        update = learner.direction(problem, theta, stacked(sets), {}, rng)
        for name, value in update.direction.items():
            leaves[name].grad = value
        optimizer.step()
        if (step + 1) % (steps // 3) == 0:
            kept[step + 1] = {n: v.detach().clone() for n, v in leaves.items()}
    return kept


def set_table(
    source: ClassTaskEpisodes,
    shot: int,
    draws: int,
    made: tuple[MMAML, SetProblem, Params],
    sees: Callable[[Tensor], Tensor],
) -> Table:
    """All tasks of a split as one set, draw by draw."""
    learner, problem, theta = made
    tasks = range(len(source.tasks.tasks))
    found: dict[str, np.ndarray] = {}
    for draw in range(draws):
        episodes = [drawn(source, task, shot, draw) for task in tasks]
        one = stacked([as_set(episodes)])
        with torch.no_grad():
            mean = learner.answer(problem, theta, one, sees(one.roles)).mean[0].numpy()
        for task, episode in enumerate(episodes):
            margin = mean[task, : len(episode.query.x)]
            scores = np.stack([-margin, margin], 1)
            measured = class_measures(scores, episode.query.y.numpy(), positive=True)
            for name, value in measured.items():
                found.setdefault(name, np.zeros((len(episodes), draws)))[task, draw] = value
    return found


# Objects and hospitals


def part(name: str, chosen: Sequence[str], learned: Sequence[str]) -> ClassTasks:
    """Some tasks, read by what is fitted to others."""
    data = tasks_with_cells(name, {}, cache_root())
    place = {one: number for number, one in enumerate(data.tasks)}
    stores, encoder = stores_of(data, [place[one] for one in learned])
    at = [place[one] for one in chosen]
    return ClassTasks(
        name=name,
        split="train",
        tasks=tuple(chosen),
        rows=tuple(TaskRows(stores[one], np.arange(len(data.y[one]))) for one in at),
        y=tuple(data.y[one].astype(np.int64) for one in at),
        labels=tuple(data.labels[one] for one in at),
        shared=data.labels[0],
        metric="accuracy",
        encoder=encoder,
        digest=name,
    )


def source_of(tasks: ClassTasks, shots: tuple[int, int]) -> ClassTaskEpisodes:
    return ClassTaskEpisodes(tasks, 2, shots, 12, per="task", seed=("train", 0), meta_batch=8)


def options_of(source: ClassTaskEpisodes, rates: Sequence[float], steps: int) -> dict[str, Arms]:
    """Every arm with its settings, fitted to the training tasks of `source`."""
    tasks = source.tasks
    x = np.concatenate([one.take(np.arange(len(one))) for one in tasks.rows])
    y = np.concatenate(tasks.y)
    pooled = {c: LogisticRegression(C=c, max_iter=500).fit(x, y) for c in (0.001, 0.01, 0.1, 1.0)}
    forests = {
        share: RandomForestClassifier(300, max_features=share, random_state=0).fit(x, y)
        for share in ("sqrt", 0.3)
    }
    maml = {f"rate {rate:g}": MAML(inner_lr=rate, inner_steps=3) for rate in rates}
    joint = Joint(inner_lr=0.02, inner_steps=5)
    problem = network(tasks.example_shape[0], (64,), joint)
    adapted: Arms = {}
    for step, (theta, state) in trained(joint, problem, source, steps).items():
        for rate in (1e-9, *rates):
            moved = replace(joint, inner_lr=rate)
            adapted[f"rate {rate:g}, step {step}"] = adapting(moved, problem, theta, state)
    return {
        "MAML": meta_trained(maml, (64,), source, steps),
        "multi-task, adapted": adapted,
        "pulled to the pooled one": {
            f"C {c:g}": fitted(pulled(c, pooled[0.01])) for c in (0.001, 0.01, 0.1, 1.0)
        },
        "pooled logistic regression": {f"C {c:g}": whole(one) for c, one in pooled.items()},
        "pooled random forest": {f"share {s}": whole(one) for s, one in forests.items()},
        "logistic regression": {f"C {c:g}": fitted(logistic(c)) for c in (0.01, 0.1, 1, 10)},
        "random forest": {f"share {s}": fitted(forest(s)) for s in ("sqrt", 0.3)},
    }


def grasps() -> dict:
    names = list(tasks_with_cells("grasps", {}, cache_root()).tasks)
    names.sort(key=lambda one: hashlib.sha256(f"fold {one}".encode()).digest())
    return merged([kept(f"grasps-{n}", partial(fold, names, n)) for n in range(5)])


def fold(names: Sequence[str], number: int) -> dict:
    tested = names[number::5]
    left = [one for one in names if one not in tested]
    learned, val = left[:-5], left[-5:]
    sources = [source_of(part("grasps", one, learned), (5, 10)) for one in (learned, val, tested)]
    arms, choices = {}, {}
    for arm, settings in options_of(sources[0], (0.02, 0.1, 0.3), 300).items():
        for shot in (5, 10):
            called = f"{arm}, {shot} grasps"
            choices[called] = choose(settings, sources[1], (shot,), 3)
            arms[called] = scored(sources[2], shot, 5, settings[choices[called]["chosen"]])
    return {"tasks": list(tested), "arms": arms, "choices": choices}


def heart() -> dict:
    names = list(tasks_with_cells("heart", {}, cache_root()).tasks)
    return merged([kept(f"heart-{one}", partial(left_out, names, one)) for one in names])


def left_out(names: Sequence[str], tested: str) -> dict:
    others, rates = [one for one in names if one != tested], (0.02, 0.1)
    scores: dict[str, dict[str, list[float]]] = {}
    for val in others:
        learned = [one for one in others if one != val]
        train = source_of(part("heart", learned, learned), (10, 20))
        asked = source_of(part("heart", [val], learned), (10, 20))
        for arm, settings in options_of(train, rates, 300).items():
            for shot in (10, 20):
                of_arm = scores.setdefault(f"{arm}, {shot} patients", {})
                for name, value in choose(settings, asked, (shot,), 5)["validation_auc"].items():
                    of_arm.setdefault(name, []).append(value)
    train = source_of(part("heart", others, others), (10, 20))
    asked = source_of(part("heart", [tested], others), (10, 20))
    arms, choices = {}, {}
    for arm, settings in options_of(train, rates, 300).items():
        for shot in (10, 20):
            called = f"{arm}, {shot} patients"
            means = {name: float(np.mean(one)) for name, one in scores[called].items()}
            chosen = max(means, key=lambda name: means[name])
            choices[called] = {"chosen": chosen, "validation_auc": means}
            arms[called] = scored(asked, shot, 20, settings[chosen])
    return {"tasks": [tested], "arms": arms, "choices": choices}


# Results


def kept(name: str, make: Callable[[], dict]) -> dict:
    """A part that is finished, read again; else made, and kept."""
    path = WORK / f"{name}.json"
    if not path.is_file():
        started = time.process_time()
        made = make()
        made["seconds"] = time.process_time() - started
        made["arms"] = {a: {m: v.tolist() for m, v in t.items()} for a, t in made["arms"].items()}
        WORK.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made))
        print(name, f"{made['seconds']:.0f} s", flush=True)
    found: dict = json.loads(path.read_text())
    SECONDS.append(found["seconds"])
    found["arms"] = {
        a: {m: np.array(v) for m, v in table.items()} for a, table in found["arms"].items()
    }
    return found


def merged(parts: Sequence[dict]) -> dict:
    """Folds one behind the other."""
    arms = {
        arm: {m: np.concatenate([one["arms"][arm][m] for one in parts]) for m in table}
        for arm, table in parts[0]["arms"].items()
    }
    return {
        "tasks": [task for one in parts for task in one["tasks"]],
        "arms": arms,
        "choices": {arm: [one["choices"][arm] for one in parts] for arm in arms},
    }


def summary(table: Table) -> dict:
    """Means and both intervals, and each task."""
    found = {}
    for name, values in table.items():
        of_tasks, of_draws = over_episodes(values.mean(1)), over_episodes(values.mean(0))
        found[name] = {
            "mean": of_tasks.mean,
            "ci95_tasks": of_tasks.ci95,
            "ci95_draws": of_draws.ci95,
            "tasks": values.mean(1).tolist(),
            "draws": values.mean(0).tolist(),
        }
    return found


def differences(arms: dict[str, Table], metric: str) -> dict:
    """Every pair, over tasks and over draws."""
    found = {}
    for one, ours in arms.items():
        for other, theirs in arms.items():
            if one == other:
                continue
            gap = ours[metric] - theirs[metric]
            tasks, draws = paired_t(gap.mean(1)), paired_t(gap.mean(0))
            found[f"{one} minus {other}"] = {
                "delta": tasks.delta,
                "ci95_tasks": [tasks.low, tasks.high],
                "ci95_draws": [draws.low, draws.high],
            }
    return found


def main(name: str) -> None:
    with computing_with(1):
        made = {"grasps": grasps, "heart": heart}.get(name, lambda: molecules(name))()
    arms: dict[str, Table] = made["arms"]
    result = {
        "protocol": "benchmarks/protocols/class_tasks.md",
        "data": name,
        "machine": f"{platform.machine()}, 1 thread",
        "processor_seconds": round(sum(SECONDS), 1),
        "tasks": made["tasks"],
        "not_measured": made.get("not_measured", []),
        "arms": {called: summary(one) for called, one in arms.items()},
        "differences": differences(arms, "auc"),
        "choices": made["choices"],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        WORK = Path(sys.argv[2])
        FINISHED = sys.argv[3:] == ["finished"]
    main(sys.argv[1])
