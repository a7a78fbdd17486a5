"""The arms that joint adaptation of sets of classifications is compared with."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metacli.cli.app import main
from metacli.data.sets.classes import ClassGroups, ClassSets, ClassTask, Relation, digest_of
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.results.sets import SetEvaluation
from metacli.engine.sets.arms.class_pretraining import (
    class_pretrained,
    class_ridge,
    examples_at,
    joint_classes,
    unit_features,
)
from metacli.engine.sets.arms.class_scratch import class_trained
from metacli.engine.sets.arms.class_tuning import ClassTuning, best_of_classes
from metacli.engine.sets.arms.tuned import load_tuned
from metacli.engine.sets.class_scoring import class_scored
from metacli.engine.sets.class_sources import facts_of
from metacli.engine.sets.document import ClassesPart
from metacli.errors import RecipeError, UsageProblem
from metacli.nn.problem import Problem, make_module
from metacli.nn.set_answers import SetAnswers
from metacli.nn.trunk_classes import TrunkClasses
from metacli.types import Batch, SetEpisode

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = """
version: 1
kind: meta-multitask
data: {source: glyphs, variant: styles}
sets: {tasks: 2, way: 3, shot: 1, query: 2}
backbone: {name: mlp, hidden: [8]}
algorithm: {name: mtnp, width: 8, heads: 2, blocks: 1, reads: 1}
train: {steps: 2, meta_batch: 2, lr: 0.003}
evaluate: {every: 2, episodes: 10}
baselines: [multi-task, pretrained]
"""
QUICK = partial(ClassTuning, steps=(1, 2, 3, 4), trunk_steps=(1, 2))


def encoder() -> Problem:
    backbone = nn.Sequential(nn.Linear(3, 6), nn.Tanh())
    return Problem(make_module(nn.Identity(), backbone), 6, "classification", None)


def episodes(count: int = 2, tasks: int = 2, ways: int = 3) -> SetEpisode:
    """Tasks with two examples of each class and three queries."""
    rng = torch.Generator().manual_seed(1)
    y = torch.arange(ways).repeat_interleave(2).float().expand(count, tasks, -1).clone()
    asked = torch.arange(3).remainder(ways).float().expand(count, tasks, -1).clone()
    support = Batch(torch.randn(count, tasks, 2 * ways, 3, generator=rng), y)
    query = Batch(torch.randn(count, tasks, 3, 3, generator=rng), asked)
    roles = torch.full((count, tasks), -1)
    return SetEpisode(support, query, roles, torch.full((count, tasks), ways))


def by_torch(sets: SetEpisode, at: int, tasks: list[int], *, one_head: bool) -> torch.Tensor:
    """A trunk with heads for these tasks of one set, trained by torch's own Adam: logits [T, Q,
    N]."""
    net = encoder()
    start = TrunkClasses(net, 3, one_head).init(0)
    trunk = {
        name: value.clone().requires_grad_()
        for name, value in start.items()
        if name in net.trainable
    }
    heads = [
        (start["head.weight"].clone().requires_grad_(), start["head.bias"].clone().requires_grad_())
        for _ in range(1 if one_head else len(tasks))
    ]
    optimizer = torch.optim.Adam([*trunk.values(), *(one for pair in heads for one in pair)], 0.05)

    def logits(x: torch.Tensor, place: int) -> torch.Tensor:
        weight, bias = heads[0 if one_head else place]
        return F.linear(net.embed(trunk, x), weight, bias)

    for _ in range(4):
        optimizer.zero_grad()
        losses = [
            F.cross_entropy(logits(sets.support.x[at, t], place), sets.support.y[at, t].long())
            for place, t in enumerate(tasks)
        ]
        torch.stack(losses).mean().backward()
        optimizer.step()
    with torch.no_grad():
        return torch.stack([logits(sets.query.x[at, t], place) for place, t in enumerate(tasks)])


@pytest.mark.parametrize("shared_labels", [False, True], ids=["own-labels", "shared-labels"])
def test_training_from_scratch_is_that_of_one_set_after_the_other(*, shared_labels: bool) -> None:
    sets = episodes()
    for shared in (True, False):
        _, found = class_trained(
            encoder(),
            sets,
            shared=shared,
            shared_labels=shared_labels,
            rate=0.05,
            steps=(2, 4),
            seed=0,
        )
        for at in range(2):
            if shared:
                wanted = by_torch(sets, at, [0, 1], one_head=shared_labels)
            else:
                wanted = torch.cat([by_torch(sets, at, [t], one_head=True) for t in range(2)])
            torch.testing.assert_close(found.logits[at], wanted, rtol=1e-3, atol=1e-4)


def test_a_new_head_is_ridge_regression_on_features_of_unit_length() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    sets, net = episodes(), encoder()
    trunk = net.init(3)
    small, large = class_ridge(net, trunk, sets, (0.1, 1.0))
    features, asked = (unit_features(net, trunk, one.x).numpy() for one in sets[:2])
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1, rtol=1e-5)
    for penalty, said in ((0.1, small), (1.0, large)):
        for at, t in ((0, 0), (1, 1)):
            target = np.eye(3)[sets.support.y[at, t].long().numpy()]
            head = linear.Ridge(alpha=penalty).fit(features[at, t], target)
            np.testing.assert_allclose(
                said.logits[at, t], head.predict(asked[at, t]), rtol=2e-3, atol=2e-4
            )


def source(relation: Relation, *, shared: bool) -> ClassSets:
    """Two groups of tasks, with three numbers that say of which class an example is."""
    tasks, row, rows = [], 0, []
    for group in range(2):
        own = []
        for task in range(2 if relation == "tasks" else 1):
            names = tuple(f"c{c}" if relation == "tasks" else f"g{group}c{c}" for c in range(4))
            places = tuple(np.arange(row + 5 * c, row + 5 * c + 5) for c in range(4))
            own.append(ClassTask(f"g{group}t{task}", names, places))
            rows += [[c, group, 1.0] for c in range(4) for _ in range(5)]
            row += 20
        tasks.append(tuple(own))
    store = np.array(rows, np.float32)
    groups = ClassGroups(
        "toy", "train", store, tuple(tasks), relation, shared, digest_of([], tasks)
    )
    return ClassSets(groups, 2 if relation == "tasks" else 1, 3, 2, 1, meta_batch=2)


@pytest.mark.parametrize(
    ("relation", "shared", "count", "told"),
    [("tasks", True, 4, 4), ("tasks", False, 16, 4), ("divided", False, 8, 8)],
)
def test_joint_training_tells_a_class_from_those_that_may_be_meant(
    relation: Relation, shared: bool, count: int, told: int
) -> None:
    made = source(relation, shared=shared)
    every = joint_classes(made)
    assert every.count == count
    x, parts = examples_at(made, every, 1)
    assert len(parts) == 2 * (2 if relation == "tasks" else 1)
    for rows, (first, last), y in parts:
        assert last - first == told
        numbers = y % 4 if relation == "divided" else y
        assert torch.equal(x[rows, 0].long(), numbers)  # the class that the example says
    early, late = class_pretrained(made, encoder(), rate=0.05, steps=(1, 60), seed=0)
    assert set(early) == set(encoder().trainable)
    batch = made.meta_batch_at(200)
    hits = [
        class_scored(class_ridge(encoder(), trunk, batch, (0.1,))[0], batch).log_likelihood.mean()
        for trunk in (early, late)
    ]
    assert hits[1] > hits[0]


def test_the_area_of_a_set_is_the_mean_over_its_tasks_whichever_class_is_number_one() -> None:
    sets = episodes(count=1, ways=2)
    query = Batch(sets.query.x, torch.tensor([[[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]]))
    sets = sets._replace(query=query)
    logits = torch.tensor([[[[0, -1.0], [0, 2.0], [0, 0.5]], [[0, 0.3], [0, 0.4], [0, 0.5]]]])
    blank = torch.zeros(1, 2, 3)
    found = class_scored(SetAnswers(logits, blank, blank + 1), sets)
    assert found.auc.tolist() == [pytest.approx((1 + 0.5) / 2)]
    other = sets._replace(query=query._replace(y=1 - query.y))
    swapped = class_scored(SetAnswers(logits.flip(-1), blank, blank + 1), other)
    assert swapped.auc.tolist() == found.auc.tolist()
    more = episodes(count=1, ways=3)
    three = SetAnswers(torch.zeros(1, 2, 3, 3), blank, blank + 1)
    assert np.isnan(class_scored(three, more).auc).all()


def test_a_source_that_looks_for_one_of_two_classes_is_judged_by_the_area() -> None:
    made = source("tasks", shared=False)
    assert facts_of(made).metric == "accuracy"
    assays = replace(made, pool=replace(made.pool, positive=True))
    facts = facts_of(assays)
    assert facts.metric == "auc"
    assert ClassesPart.model_validate(facts.as_dict()).positive


def test_the_best_candidate_is_right_most_often_and_the_first_of_equals() -> None:
    sets = episodes(count=1)
    right = F.one_hot(sets.query.y.long(), 3).float()
    blank = torch.zeros_like(sets.query.y)
    tried = [
        ({"rate": float(n)}, SetAnswers(logits, blank, blank + 1))
        for n, logits in enumerate((-right, right, 2 * right))
    ]
    chosen = best_of_classes(1, iter(tried), sets)
    assert (chosen.settings, chosen.accuracy, chosen.candidates) == ({"rate": 1.0}, 1.0, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _cache_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("arms")
    (folder / "sets.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METACLI_CACHE", str(_cache_folder))
        patch.setattr("metacli.engine.sets.class_run.ClassTuning", QUICK)
        meta_train(str(folder / "sets.yaml"), [], out=str(folder / "run"))
    return folder / "run"


def measured(run: Path, *words: str) -> SetEvaluation:
    found = evaluate(str(run), None, words, episodes=20)
    assert isinstance(found, SetEvaluation)
    return found


@pytest.mark.usefixtures("cache")
def test_evaluate_compares_joint_adaptation_with_every_arm_of_the_run(run: Path) -> None:
    tuned = load_tuned(run / "baselines" / "arms")
    assert tuned is not None
    assert [one.points for one in tuned.choices.arms["multi_task"]] == [1]
    assert tuned.choices.arms["pretrained"][0].candidates == 16
    (cell,) = measured(run).class_cells or ()
    assert cell.arms is not None
    assert list(cell.arms) == ["multi_task", "pretrained"]
    scratch = cell.arms["multi_task"]
    assert scratch.delta == pytest.approx(scratch.joint - scratch.score.mean)
    assert scratch.delta_ci95[0] < scratch.delta < scratch.delta_ci95[1]
    assert set(scratch.settings) == {"rate", "steps"}
    assert cell.arms["pretrained"].log_likelihood is None


@pytest.mark.usefixtures("cache")
def test_arms_can_be_left_out(run: Path) -> None:
    (cell,) = measured(run, "arms=pretrained").class_cells or ()
    assert list(cell.arms or ()) == ["pretrained"]
    with pytest.raises(UsageProblem, match="no arm oracle"):
        measured(run, "arms=oracle")
    with pytest.raises(RecipeError, match="no arm 'protonet' of sets"):
        meta_train(str(run.parent / "sets.yaml"), ["baselines=[protonet]"], dry_run=True)


@pytest.mark.usefixtures("cache")
def test_people_see_the_arms(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--episodes", "10", "arms=multi_task"]) == 0
    shown = capsys.readouterr().out
    assert "joint - arm" in shown
    assert "multi-task" in shown
