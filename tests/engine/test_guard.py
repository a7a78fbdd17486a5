"""The guard: what each of its decisions rests on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metacli.data.multi_task.dataset import MultiTaskData, MultiTaskRows, all_of
from metacli.engine.adapting.trunk_source import trunk_source
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Note
from metacli.engine.export import export
from metacli.engine.models import folder as models
from metacli.engine.models.multi_task_networks import single_recipe
from metacli.engine.models.opening import Opened
from metacli.engine.multitask import multitask
from metacli.engine.scoring import multi_task_baselines as task_baselines
from metacli.engine.scoring.multi_task_params import predictions, validated
from metacli.engine.training.multi_task import compare as multi_task_compare
from metacli.engine.training.multi_task import guard
from metacli.engine.training.multi_task.build import (
    MultiTaskBuilt,
    build_multi_task,
    make_rows,
)
from metacli.engine.training.multi_task.candidates import others, work
from metacli.engine.training.multi_task.error_sizes import residual_spread
from metacli.engine.training.multi_task.run import make_multi_task_run
from metacli.engine.training.multi_task.single_task import (
    Candidate,
    alone_method,
    repetitions,
    train_best,
)
from metacli.engine.training.signals import Control
from metacli.nn.multi_task import TaskProblem
from metacli.nn.selected import AveragedProblem
from metacli.nn.sharing.hard import Hard
from metacli.nn.sharing.mean_ridge import MeanRidge
from metacli.nn.sharing.scheme import Sharing
from metacli.schema.load import load
from metacli.schema.multi_task import MultiTaskRecipe

TASKS, ROWS = 10, 100


def divided(**changes: object) -> MultiTaskRows:
    """`TASKS` regressions, whose training rows are the first 100 of 120."""
    rng = np.random.default_rng(0)
    y = tuple(rng.normal(size=ROWS + 20) for _ in range(TASKS))
    table = MultiTaskData(
        name="toy",
        tasks=tuple(f"t{number}" for number in range(TASKS)),
        metric="nmse",
        contents="0",
        x=tuple(one[:, None] for one in y),  # a row is known by its target
        y=y,
        kinds=all_of("regression", TASKS),
    )
    parts = {
        "train": (np.arange(ROWS),) * TASKS,
        "val": (np.arange(ROWS, ROWS + 10),) * TASKS,
        "test": (np.arange(ROWS + 10, ROWS + 20),) * TASKS,
    }
    return MultiTaskRows(replace(table, **changes), parts)


def answers(y: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Predictions with these squared errors."""
    return y + np.sqrt(squared)


@pytest.mark.parametrize(("spread", "shares"), [(0.05, True), (0.9, False)])
def test_the_standard_error_knows_the_rows_where_all_folds_agree(
    spread: float, shares: bool
) -> None:
    """Five folds with the very same gain: over folds alone its error would be 0."""
    y, noise = np.random.default_rng(1).normal(size=40), np.tile([1.0, -1.0], 20)
    together = answers(y, 0.95 + spread * noise)
    alone = answers(y, np.ones(40))
    found = guard.judge("nmse", [y] * 5, [together] * 5, [alone] * 5)
    assert found.gain == pytest.approx(0.05 / y.var())
    rows = np.sqrt(5 * ((spread * noise) / y.var()).var(ddof=1) / 40) / 5
    assert found.error == pytest.approx(rows)
    assert found.shares == shares


def test_the_standard_error_knows_the_folds_where_rows_say_nothing() -> None:
    y = np.random.default_rng(2).normal(size=40)
    alone = [answers(y, np.ones(40))] * 5
    gains = np.array([0.5, -0.2, 0.4, -0.3, 0.1])
    together = [answers(y, np.full(40, 1 - gain)) for gain in gains]
    found = guard.judge("nmse", [y] * 5, together, alone)
    assert found.gain == pytest.approx(gains.mean() / y.var())
    assert found.error == pytest.approx(gains.std(ddof=1) / np.sqrt(5) / y.var())
    assert not found.shares


def test_a_success_is_better_when_it_is_larger() -> None:
    y = np.tile([0.0, 1.0], 20)
    right, wrong = y * 0.8 + 0.1, np.where(np.arange(40) % 4 < 2, y, 1 - y)
    found = guard.judge("accuracy", [y] * 5, [right] * 5, [wrong] * 5)
    assert (found.shares, found.gain) == (True, 0.5)
    assert not guard.judge("accuracy", [y] * 5, [wrong] * 5, [right] * 5).shares


def test_folds_without_two_rows_are_left_out_and_one_fold_is_no_decision() -> None:
    y, near, far = (np.arange(4) + off for off in (0.0, 0.1, 1.0))
    lone = guard.judge("nmse", [y, y[:1]], [near, near[:1]], [far, far[:1]])
    assert not lone.shares
    assert np.isnan([lone.gain, lone.error]).all()
    two = guard.judge("nmse", [y, y, y[:1]], [near, near, near[:1]], [far, far, far[:1]])
    assert two.shares


def test_luck_among_many_tasks_is_taken_back_and_each_fold_is_trained_without_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One task gains by a little more than its standard error, nine lose by as much."""
    rows, trained = divided(), []
    gains = [0.12, *[-0.1] * (TASKS - 1)]

    def train_best(candidate: SimpleNamespace, inner: MultiTaskRows, *rest: object) -> tuple:
        trained.append((candidate.name, inner.parts))
        return {}, 0

    def predictions(problem: str, params: object, inner: MultiTaskRows, split: str) -> list:
        """Squared errors of 1 alone; together they are smaller by the gain, give or take."""
        assert split == "test"
        found = []
        for gain, y in zip(gains, inner.numbers("test")[1], strict=True):
            noise = np.resize([0.5, -0.5], len(y))
            squared = np.ones(len(y)) if problem == "alone" else 1 - gain + noise
            found.append(answers(y, squared))
        return found

    monkeypatch.setattr(guard, "train_best", train_best)
    monkeypatch.setattr(guard, "repetitions", lambda one, count: [one])
    monkeypatch.setattr(guard, "predictions", predictions)
    both = [SimpleNamespace(name=name, problem=name) for name in ("together", "alone")]
    found = guard.decide(*both, rows, 3, torch.device("cpu"), None)
    assert found is not None
    lucky = found.decisions[0]
    assert lucky.gain > lucky.error  # by itself it would share
    assert not any(one.shares for one in found.decisions)
    assert (found.network, found.name) == (0, "together")
    assert [name for name, _ in trained] == ["together", "alone"] * guard.FOLDS
    for _, parts in trained:
        for task in range(TASKS):
            assert len(parts["test"][task]) == ROWS // guard.FOLDS
            every = np.concatenate([parts["train"][task], parts["test"][task]])
            assert sorted(every) == list(range(ROWS))
            assert parts["val"][task].tolist() == list(range(ROWS, ROWS + 10))


def test_every_network_is_trained_from_two_seeds_and_their_mean_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shared networks of one seed err to one side, of the other to the other: only their mean is
    better than what is alone."""
    rows, seeds = divided(), []
    sides = {("together", 0): 1.5, ("together", guard_seed(1)): -1.0}

    def train_best(candidate: Candidate, *rest: object) -> tuple:
        seeds.append((candidate.name, candidate.recipe.seed))
        return (candidate.name, candidate.recipe.seed), 0

    def predictions(problem: object, made: tuple, inner: MultiTaskRows, split: str) -> list:
        off = sides.get(made, 1.0)
        noise = 0.05 * np.sin(np.arange(len(inner.numbers("test")[1][0])))
        return [y + off + noise * (off != 1.0) for y in inner.numbers("test")[1]]

    monkeypatch.setattr(guard, "train_best", train_best)
    monkeypatch.setattr(guard, "predictions", predictions)
    found = guard.decide(*candidates(Hard()), rows, 3, torch.device("cpu"), None)
    assert found is not None
    assert all(one.shares for one in found.decisions)
    y = rows.table.y[0]
    assert found.decisions[0].gain == pytest.approx((1 - 0.25**2) / y[:ROWS].var(), rel=0.2)
    once = [(name, seed) for name in ("together", "alone") for seed in (0, guard_seed(1))]
    assert seeds == once * guard.FOLDS


def guard_seed(number: int) -> int:
    """Of a training, where the recipe's is 0: no seed of a study of some thousands."""
    return number << 20


def candidates(sharing: Sharing) -> list[Candidate]:
    problem = TaskProblem(sharing, (1, 4), (False,) * TASKS)
    recipe = load("task-families-hard").recipe
    assert isinstance(recipe, MultiTaskRecipe)
    method = alone_method(problem)
    return [Candidate(name, problem, method, recipe) for name in ("together", "alone")]


def test_what_is_solved_is_trained_once() -> None:
    again = repetitions(candidates(MeanRidge())[0], 2)
    assert [one.recipe.seed for one in again] == [0]
    assert [one.recipe.seed for one in repetitions(candidates(Hard())[0], 3)] == [
        guard_seed(number) for number in range(3)
    ]


def test_folds_of_a_trajectory_are_stretches_and_others_are_dealt() -> None:
    stretches = guard.inner_folds(divided(split="blocks"))
    assert all(one.tolist() == sorted(one) for one in stretches)
    dealt = guard.inner_folds(divided())
    for one in (*stretches, *dealt):
        assert np.bincount(one).tolist() == [ROWS // guard.FOLDS] * guard.FOLDS
    assert all(one.tolist() != sorted(one) for one in dealt)
    assert dealt[0].tolist() != dealt[1].tolist()
    y = divided().table.y
    shared = guard.inner_folds(divided(rows="shared", y=y))
    assert shared[0].tolist() == shared[1].tolist()  # the same rows for every task


def test_folds_of_a_classification_hold_every_class() -> None:
    few = np.zeros(ROWS + 20)
    few[::20] = 1.0  # five of the training rows
    rows = divided(kinds=all_of("classification", TASKS), y=(few,) * TASKS, metric="accuracy")
    for one in guard.inner_folds(rows):
        assert sorted(one[few[:ROWS] == 1]) == list(range(guard.FOLDS))


def test_a_fold_of_two_rows_counts() -> None:
    y, near, far = (np.arange(2) + off for off in (0.0, 0.1, 1.0))
    found = guard.judge("nmse", [y, y], [near, near], [far, far])
    assert found.shares
    assert found.gain == pytest.approx((1.0 - 0.01) / y.var())


def test_a_gain_without_any_error_is_no_luck_and_the_others_are_judged_without_it() -> None:
    certain = guard.Decision(True, 0.1, 0.0)
    lucky = guard.Decision(True, 0.10, 0.06)
    losers = [guard.Decision(False, -0.06 - 0.01 * k, 0.06) for k in range(9)]
    found = guard.compared_with_others([certain, lucky, *losers])
    assert [one.shares for one in found[:2]] == [True, False]


def test_of_several_networks_the_one_that_brings_most_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`groups` gains in half of the tasks, `weights` in all of them but by less, the own in none;
    what else there is was made of the rows of each fold alone."""
    rows, seen = divided(), []
    gains = {
        "together": [-0.2] * TASKS,
        "groups": [0.3, -0.3] * (TASKS // 2),
        "weights": [0.2] * TASKS,
    }

    def train_best(candidate: SimpleNamespace, *rest: object) -> tuple:
        return {}, 0

    def predictions(problem: str, params: object, inner: MultiTaskRows, split: str) -> list:
        found = []
        for task, y in enumerate(inner.numbers("test")[1]):
            gain = 0.0 if problem == "alone" else gains[problem][task]
            found.append(answers(y, np.full(len(y), 1 - gain) + 0.01 * np.resize([1, -1], len(y))))
        return found

    def others(inner: MultiTaskRows) -> list[SimpleNamespace]:
        seen.append([len(one) for one in inner.parts["train"]])
        return [SimpleNamespace(name=name, problem=name) for name in ("groups", "weights")]

    monkeypatch.setattr(guard, "train_best", train_best)
    monkeypatch.setattr(guard, "repetitions", lambda one, count: [one])
    monkeypatch.setattr(guard, "predictions", predictions)
    both = [SimpleNamespace(name=name, problem=name) for name in ("together", "alone")]
    found = guard.decide(*both, rows, 3, torch.device("cpu"), None, others)
    assert found is not None
    assert (found.network, found.name) == (2, "weights")
    assert all(one.shares for one in found.decisions)
    assert seen == [[ROWS - ROWS // guard.FOLDS] * TASKS] * guard.FOLDS
    gains["weights"] = [0.1] * TASKS
    found = guard.decide(*both, rows, 3, torch.device("cpu"), None, others)
    assert found is not None
    assert (found.network, found.name) == (1, "groups")
    assert [one.shares for one in found.decisions] == [True, False] * (TASKS // 2)
    gains["groups"] = gains["weights"] = [-0.1] * TASKS
    found = guard.decide(*both, rows, 3, torch.device("cpu"), None, others)
    assert found is not None
    assert (found.network, found.name) == (0, "together")
    assert not any(one.shares for one in found.decisions)


RECIPE = """
version: 1
kind: multitask
seed: 0
data: {source: task-families, groups: 0, unrelated: 3, size: 80, test_rows: 20}
backbone: {name: mlp, hidden: [4]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 3, lr: 0.03}
evaluate: {every: 3}
guard: true
"""


def built_from(folder: Path, *overrides: str) -> MultiTaskBuilt:
    (folder / "small.yaml").write_text(RECIPE)
    return build_multi_task(load(str(folder / "small.yaml"), overrides))


def test_the_other_networks_are_of_the_same_tasks_and_have_the_same_single_network(
    tmp_path: Path, cache: Path, one_thread: None
) -> None:
    built = built_from(tmp_path)
    groups, learned = others(built, built.rows)
    assert (groups.name, learned.name) == ("groups", "learned-weights")
    named = groups.recipe.groups
    assert isinstance(named, tuple)
    assert sorted(task for group in named for task in group) == sorted(built.table.tasks)
    assert learned.recipe.sharing.name == "auxiliary"
    assert learned.recipe.weighting.name == "auto-lambda"
    for one in (groups, learned):
        assert one.problem.num_tasks == 3
        assert single_recipe(one.recipe) == single_recipe(built.recipe)
        control = Control(lambda: None, lambda event: None)
        made = train_best(one, built.rows, 2, torch.device("cpu"), control, one.name)
        assert made is not None
        found = predictions(one.problem, made[0], built.rows, "val")
        assert all(np.isfinite(answers).all() for answers in found)


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("groups=auto", ["learned-weights"]),
        ("sharing.name=soft-l2", ["groups"]),
        ("weighting.name=auto-lambda", []),
        ("weighting.name=gradnorm", ["learned-weights"]),
        ("train.steps=1000000", ["groups", "learned-weights"]),
        ("train.steps=10000000", ["groups"]),  # the learned weights of so many take hours
    ],
)
def test_only_what_the_recipe_allows_is_tried(
    override: str, names: list[str], tmp_path: Path, cache: Path, one_thread: None
) -> None:
    built = built_from(tmp_path, override)
    assert [one.name for one in others(built, built.rows)] == names


def test_a_run_says_before_how_often_its_guard_trains(
    tmp_path: Path, cache: Path, one_thread: None
) -> None:
    def said(*overrides: str) -> list[str]:
        notes: list[str] = []
        run = make_multi_task_run(load(str(tmp_path / "small.yaml"), overrides))
        run.foretell(lambda event: notes.append(event.message) if isinstance(event, Note) else None)
        return notes

    (tmp_path / "small.yaml").write_text(RECIPE)
    assert said() == [
        "guard=true trains together, groups, learned weights and alone twice in each of 5 folds: "
        "40 more trainings"
    ]
    solved = ("sharing.name=mean-ridge", "backbone.name=linear", "train.steps=1")
    assert said(*solved) == [
        "guard=true trains together, groups and alone once in each of 5 folds: 15 more trainings"
    ]
    assert said("guard=false") == []


def test_the_work_of_learned_weights_is_that_of_every_network_on_every_task(
    tmp_path: Path, cache: Path, one_thread: None
) -> None:
    built = built_from(tmp_path, "backbone.hidden=[4, 2]")
    columns = built.table.num_columns
    rows = max(map(len, built.rows.parts["train"]))
    assert work(built) == 12 * 3 * 3 * rows * (columns * 4 + 4 * 2) * 3


@pytest.mark.parametrize(
    ("network", "name"), [(0, "together"), (1, "groups"), (2, "learned-weights")]
)
def test_a_run_ships_the_network_that_the_guard_took(
    network: int,
    name: str,
    tmp_path: Path,
    cache: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(task_baselines, "suited", lambda table: ())
    shares = (True, False, True)
    decided = guard.Guarded(
        [guard.Decision(one, 0.1 if one else -0.1, 0.05) for one in shares], network, name
    )
    monkeypatch.setattr(multi_task_compare, "decide", lambda *rest, others: decided)
    (tmp_path / "small.yaml").write_text(RECIPE)
    multitask("small.yaml", out="run")
    built = built_from(tmp_path)
    taken = (multi_task_compare.together_candidate(built), *others(built, built.rows))[network]
    control = Control(lambda: None, lambda event: None)
    alone, shared = (
        [
            predictions(one.problem, made[0], built.rows, "test")
            for one in repetitions(candidate, 2)
            if (made := train_best(one, built.rows, 3, torch.device("cpu"), control, name))
        ]
        for candidate in (multi_task_compare.alone_candidate(built), taken)
    )
    alone, shared = guard.mean_of(alone), guard.mean_of(shared)
    by_itself = models.load(Path("run/baselines/single-task"))
    assert isinstance(by_itself.problem(), AveragedProblem)
    found = predictions(by_itself.problem(), by_itself.params, built.rows, "test")
    for task, one in enumerate(found):
        assert one == pytest.approx(alone[task], rel=1e-5, abs=1e-6)
    model = models.load(Path("run/model"))
    assert model.recipe.sharing.name == taken.recipe.sharing.name
    found = predictions(model.problem(), model.params, built.rows, "test")
    for task, one in enumerate(shares):
        assert found[task] == pytest.approx((shared if one else alone)[task], rel=1e-5, abs=1e-6)
    rows = json.loads(Path("run/tasks.json").read_text())["tasks"]
    assert [row["guard"]["network"] for row in rows] == [name] * 3
    assert [row["guard"]["answer"] for row in rows] == ["together", "alone", "together"]
    assert evaluate("run")["tasks"][1]["delta"] == 0.0
    assert export("run", format="onnx")["parity"]["max_abs"] < 1e-5
    if network == 0:  # whose trunk tasks share: a new task begins with it
        source = trunk_source(Opened(model, Path("run/model"), None), model, "linear-probe")
        assert torch.equal(
            source.params["head.bias"], model.params["together.0.heads.bias"].mean().reshape(1)
        )


@pytest.mark.parametrize("sharing", ["hard", "mean-ridge"])
def test_a_guarded_model_knows_the_size_of_its_errors(
    sharing: str,
    tmp_path: Path,
    cache: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a solution is exact, the shipped one has seen the validation rows: errors are those of
    the one before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(task_baselines, "suited", lambda table: ())
    text = RECIPE if sharing == "hard" else RECIPE.replace("mlp, hidden: [4]", "linear")
    (tmp_path / "small.yaml").write_text(text.replace("name: hard", f"name: {sharing}"))
    multitask("small.yaml", ["train.steps=1"], out="run")
    model = models.load(Path("run/model"))
    assert set(model.heads.spread) == {"0", "1", "2"}
    single = validated(models.load(Path("run/baselines/single-task")), make_rows(model.recipe))
    if set(model.heads.guard) == {"alone"}:
        rows = make_rows(single.recipe)
        assert model.heads.spread == residual_spread(single.problem(), single.params, rows)
    multitask("small.yaml", ["train.steps=1", "guard=false"], out="plain")
    plain = models.load(Path("plain/model")).heads.spread
    assert all(0.2 < model.heads.spread[task] / plain[task] < 5 for task in plain)


def test_folds_of_shared_rows_are_the_same_and_others_hold_every_class() -> None:
    rng = np.random.default_rng(3)
    y = tuple(rng.permutation(np.arange(ROWS + 20) % 2).astype(float) for _ in range(TASKS))
    kinds = all_of("classification", TASKS)
    shared = guard.inner_folds(divided(rows="shared", y=y, kinds=kinds))
    assert all(np.array_equal(shared[0], one) for one in shared)
    for own, fold in zip(y, guard.inner_folds(divided(y=y, kinds=kinds)), strict=True):
        ones = np.bincount(fold, weights=own[:ROWS])
        assert np.ptp(ones) <= 1
