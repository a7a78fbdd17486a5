"""The arms that joint adaptation of sets is compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.algorithms.meta_multitask.mmaml import MMAML
from metacli.data.sets.functions import Functions
from metacli.engine.sets.arms.adam import adam, at_rest
from metacli.engine.sets.arms.pretraining import gathered, pretrained, ridge_answers
from metacli.engine.sets.arms.scratch import fresh_network, trained
from metacli.engine.sets.arms.tuned import load_tuned, save_tuned
from metacli.engine.sets.arms.tuning import Tuning, best
from metacli.engine.sets.coupling import (
    PairScores,
    joined_pairs,
    one_kind,
    pair_score,
    pairs_of,
)
from metacli.errors import BundleError
from metacli.nn.set_problem import SetProblem
from metacli.types import Batch, Params, SetEpisode

pytestmark = pytest.mark.usefixtures("one_thread")


def sets(count: int = 2, points: int = 6, variant: str = "shared") -> SetEpisode:
    made = Functions(variant, points, 5, seed=("val", 3), meta_batch=count)  # type: ignore[arg-type]
    return made.meta_batch_at(0)


def test_adam_is_that_of_torch() -> None:
    theta = {"w": torch.tensor([1.0, -2.0], dtype=torch.float64)}
    moments, other = at_rest(theta), theta["w"].clone().requires_grad_()
    optimizer = torch.optim.Adam([other], lr=0.03)
    for step in range(5):
        slope = torch.tensor([0.3 * step - 0.5, 0.01], dtype=torch.float64)
        theta, moments = adam(theta, {"w": slope}, moments, 0.03)
        other.grad = slope.clone()
        optimizer.step()
    torch.testing.assert_close(theta["w"], other.detach())


def by_torch(support: Batch, query: torch.Tensor, tasks: list[int], rate: float) -> torch.Tensor:
    """A trunk with heads for these tasks of one set, trained by torch's own Adam."""
    network = fresh_network(1, len(tasks))
    theta = {name: value.clone().requires_grad_() for name, value in network.init(0).items()}
    optimizer = torch.optim.Adam(theta.values(), lr=rate)

    def outputs(x: torch.Tensor, place: int) -> torch.Tensor:
        h = network.waves(x)
        for layer in range(2):
            h = torch.nn.functional.silu(
                h @ theta[f"trunk.{layer}.weight"].T + theta[f"trunk.{layer}.bias"]
            )
        return h @ theta["head.weight"][place] + theta["head.bias"][place]

    assert support.mask is not None
    for _ in range(3):
        optimizer.zero_grad()
        losses = []
        for place, task in enumerate(tasks):
            known = support.mask[task]
            off = outputs(support.x[task][known], place) - support.y[task][known]
            losses.append(off.square().mean())
        torch.stack(losses).mean().backward()
        optimizer.step()
    with torch.no_grad():
        return torch.stack([outputs(query[task], place) for place, task in enumerate(tasks)])


def test_training_from_scratch_is_that_of_one_set_after_the_other() -> None:
    episodes = sets()
    joint = trained(episodes, shared=True, rate=0.01, steps=(1, 3), seed=0)[1]
    apart = trained(episodes, shared=False, rate=0.01, steps=(3,), seed=0)[0]
    for at in range(2):
        support = Batch(*(None if part is None else part[at] for part in episodes.support))
        query = episodes.query.x[at]
        expected = by_torch(support, query, [0, 1, 2, 3], 0.01)
        torch.testing.assert_close(joint[at], expected, rtol=1e-3, atol=1e-4)
        single = torch.cat([by_torch(support, query, [task], 0.01) for task in range(4)])
        torch.testing.assert_close(apart[at], single, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(joint, apart, rtol=1e-2)


def test_a_new_head_is_ridge_regression_with_a_free_intercept() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    episodes = sets()
    network = fresh_network(1, 1)
    trunk = {
        name: value[None, None]
        for name, value in network.init(4).items()
        if name.startswith("trunk.")
    }
    found = ridge_answers(trunk, episodes, (0.1, 1.0))
    assert episodes.support.mask is not None
    features, asked = (network.features(trunk, one.x).numpy() for one in episodes[:2])
    for penalty, said in zip((0.1, 1.0), found, strict=True):
        for at in range(2):
            for task in range(4):
                known = episodes.support.mask[at, task].numpy()
                y = episodes.support.y[at, task].numpy()[known]
                head = sklearn.Ridge(alpha=penalty).fit(features[at, task][known], y)
                expected = head.predict(asked[at, task])
                np.testing.assert_allclose(said[at, task], expected, rtol=2e-3, atol=2e-3)


def test_pretraining_fits_the_tasks_that_it_was_given() -> None:
    source = Functions("shared", (3, 6), 8, seed=("train", 0), meta_batch=4)
    groups = gathered(source.meta_batch_at, 10)
    assert [len(one.roles) for one in groups] == [4, 4, 4]
    assert groups[0].support.y.shape[2] == source.shape_at(0)[0] + 8
    early, late = pretrained(source.meta_batch_at, rate=0.01, steps=(3, 60), seed=0, sets=10)
    errors = [
        float((ridge_answers(trunk, one, (1.0,))[0] - one.query.y).square().mean())
        for trunk in (early, late)
        for one in groups[:1]
    ]
    assert errors[1] < errors[0]


def test_the_best_candidate_is_that_with_the_least_error_and_never_nan() -> None:
    episodes = sets()
    y = episodes.query.y
    tried = [({"rate": 1.0}, y + 1), ({"rate": 2.0}, y + 0.1), ({"rate": 3.0}, y * torch.nan)]
    chosen = best(6, iter(tried), episodes)
    assert chosen.settings == {"rate": 2.0}
    assert chosen.mse == pytest.approx(0.01, rel=1e-4)
    assert chosen.candidates == 3


def tuning(arms: tuple[str, ...] = ("multi_task", "pretrained")) -> Tuning:
    learner = MMAML(hidden=(6, 5), frequencies=1, inner_steps=2)
    problem = SetProblem(learner.network(1, 4))
    params: Params = problem.init(0)
    params |= learner.init(problem, params)[0]
    source = Functions("shared", (3, 6), 4, seed=("train", 0), meta_batch=4)
    validation = lambda points: sets(points=points)  # noqa: E731
    return Tuning(
        learner=learner,
        problem=problem,
        params=params,
        points=(3, 6),
        validation=validation,
        training=source.meta_batch_at,
        arms=arms,
        steps=(1, 2, 3, 4),
        trunk_steps=(2, 4),
        trunk_sets=8,
    )


def test_every_trained_arm_has_as_many_candidates_and_its_own_settings(tmp_path: Path) -> None:
    found = tuning().tuned()
    assert list(found.choices.arms) == ["joint", "separate", "multi_task", "pretrained"]
    counts = {name: {one.candidates for one in arm} for name, arm in found.choices.arms.items()}
    assert counts["multi_task"] == counts["pretrained"] == {16}
    assert found.settings("multi_task", 4) == found.choices.arms["multi_task"][0].settings
    assert found.settings("multi_task", 30) == found.choices.arms["multi_task"][1].settings
    assert found.settings("single_task", 3) == {}
    save_tuned(found, tmp_path / "arms")
    again = load_tuned(tmp_path / "arms")
    assert again is not None
    assert again.choices == found.choices
    torch.testing.assert_close(again.trunk, found.trunk, rtol=0, atol=0)
    assert load_tuned(tmp_path / "none") is None
    with (tmp_path / "arms" / "arms.json").open("a") as file:
        file.write(" ")
    with pytest.raises(BundleError):
        load_tuned(tmp_path / "arms")


def test_tuning_ends_after_the_arm_at_which_it_was_stopped() -> None:
    seen: list[str] = []
    wanted = replace(tuning(), tick=seen.append, stopped=lambda: len(seen) == 2)
    assert list(wanted.tuned().choices.arms) == seen == ["joint", "separate"]


def test_pairs_keep_the_number_of_their_set_and_both_directions() -> None:
    coupling = np.arange(18.0).reshape(2, 3, 3)
    related = np.zeros((2, 3, 3), bool)
    related[:, 0, 1] = True
    pairs = pairs_of(coupling, related, 7)
    assert pairs.strength.tolist() == [4, 8, 12, 22, 26, 30]
    assert pairs.related.tolist() == 2 * [True, False, False]
    assert pairs.set.tolist() == 3 * [7] + 3 * [8]
    assert one_kind(np.ones((2, 3, 3), bool))
    assert not one_kind(related)


def test_areas_are_over_all_pairs_and_within_sets() -> None:
    first = PairScores(np.array([3.0, 1, 2]), np.array([True, False, False]), np.zeros(3, int))
    second = PairScores(np.array([0.5, 0.1]), np.array([True, False]), np.ones(2, int))
    all_alike = PairScores(np.array([9.0]), np.array([True]), np.full(1, 2))
    found = pair_score(joined_pairs([first, second, all_alike]), "strength")
    assert found.within.mean == 1
    assert found.within.n == 2
    assert (found.pairs, found.related, found.sets) == (6, 3, 3)
    assert found.auc == pytest.approx((3 + 1 + 3) / 9)  # 3 beats 1, 2, 0.1; 0.5 beats 0.1; 9 all
