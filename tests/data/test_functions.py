"""The generator of sets of functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metacli.data.sets.functions import ACTIVATIONS, MOST, NAMES, Functions
from metacli.errors import DataError

VARIANTS = ("shared", "noisy", "independent", "mixed", "pooled")


def source(variant: str, **changes: object) -> Functions:
    return Functions(
        **{"variant": variant, "points": 6, "seed": ("test", 0), "meta_batch": 50} | changes
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", VARIANTS)
def test_labels_are_the_formula_of_the_paper(variant: str) -> None:
    made = source(variant)
    for step in range(3):
        episodes, relations = made.meta_batch_at(step), made.relations_at(step)
        for half in episodes[:2]:
            for at, task in ((0, 0), (7, 3), (49, 2)):
                log_a, log_w, b, c = relations.theta[at, task]
                act = ACTIVATIONS[NAMES[int(episodes.roles[at, task])]]
                x = half.x[at, task, :, 0].double().numpy()
                y = np.exp(log_a) * act(np.exp(log_w) * x + b) + c
                np.testing.assert_allclose(half.y[at, task].numpy(), y, atol=1e-5)


def test_parameters_and_inputs_have_the_ranges_of_the_paper() -> None:
    made = source("independent", meta_batch=2000)
    theta = made.relations_at(0).theta.reshape(-1, 4)
    np.testing.assert_allclose(np.abs(theta).max(0), [0.5, 0.5, 2, 2], rtol=0.01)
    np.testing.assert_allclose(theta.mean(0), 0, atol=0.06)
    x = made.meta_batch_at(0).support.x
    assert x.abs().max() <= 5
    assert x.std().item() == pytest.approx(10 / 12**0.5, rel=0.02)


@pytest.mark.parametrize(("variant", "spread"), [("shared", 0), ("noisy", 0.2), ("independent", 1)])
def test_the_parameters_of_a_set_are_as_far_apart_as_its_variant_says(
    variant: str, spread: float
) -> None:
    theta = source(variant, meta_batch=2000).relations_at(0).theta
    found = theta.std(1, ddof=1).mean(0)  # [4], over the tasks of a set
    if variant == "shared":
        assert found.max() == 0
    elif variant == "noisy":
        np.testing.assert_allclose(found, 0.2 * 0.9213, rtol=0.05)  # c4(4): s is over 4 tasks
    else:
        assert found[0] == pytest.approx(0.28, abs=0.03)
        assert found[2] == pytest.approx(1.13, abs=0.08)


def test_half_of_a_mixed_set_shares_and_no_activation_comes_twice() -> None:
    made = source("mixed")
    sizes = set()
    for step in range(12):
        roles, (theta, related) = made.meta_batch_at(step).roles, made.relations_at(step)
        tasks = roles.shape[1]
        sizes.add(tasks)
        assert all(len(set(row)) == tasks for row in roles.tolist())
        assert (related.sum((1, 2)) == (tasks // 2) ** 2 + tasks - tasks // 2).all()
        same = (theta[:, :, None] == theta[:, None]).all(-1)
        assert (same == related).all()
    assert sizes == {6, 7, 8}


def test_half_of_the_labels_are_missing_but_every_task_has_one() -> None:
    mask = source("shared", points=20, meta_batch=400).meta_batch_at(0).support.mask
    assert mask is not None
    assert mask[:, range(4), range(4)].all()
    assert mask[:, :, 4:].float().mean().item() == pytest.approx(0.5, abs=0.01)
    few = source("mixed", points=3).meta_batch_at(0).support.mask
    assert few is not None
    assert few.any(2).all()


def test_a_set_is_the_same_however_sets_are_grouped_and_however_many_points_are_shown() -> None:
    many = source("noisy").meta_batch_at(1)
    one = source("noisy", meta_batch=1, points=4).episode(53)
    assert torch.equal(many.support.y[3, :, :4], one.support.y)
    assert torch.equal(many.query.y[3], one.query.y)
    assert torch.equal(source("noisy").episode(53).support.y, many.support.y[3])


def test_pooled_holds_every_variant() -> None:
    made, tasks, kinds = source("pooled", points=(3, 20)), [], []
    for step in range(40):
        theta = made.relations_at(step).theta
        tasks.append(theta.shape[1])
        if theta.shape[1] == 4:
            kinds.append(theta.std(1).max(1))
    assert {6, 7, 8} <= set(tasks)
    assert tasks.count(4) == pytest.approx(30, abs=8)
    found = np.concatenate(kinds)
    shares = [(found == 0).mean(), ((found > 0) & (found < 0.45)).mean(), (found >= 0.45).mean()]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.06)


def test_the_first_numbers_never_change() -> None:
    episodes = source("mixed", points=3).meta_batch_at(0)
    assert episodes.roles[0].tolist() == ROLES
    np.testing.assert_allclose(episodes.support.y[0, 0].numpy(), FIRST, rtol=1e-5)


ROLES = [3, 5, 0, 7, 4, 6]
FIRST = [1.7547917366027832, 1.2821797132492065, 2.275261878967285]


@pytest.mark.parametrize(
    "changes", [{"variant": "alike"}, {"points": 0}, {"points": (5, MOST + 1)}, {"query": 0}]
)
def test_what_cannot_be_generated_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DataError, match="functions"):
        source(**{"variant": "shared", **changes})  # type: ignore[arg-type]
