"""The verdict by log loss: its formula, what does not change it, and when there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from metacli.cli.adapt import log_loss
from metacli.cli.views.block import Block
from metacli.engine.adapting import held_out as held
from metacli.engine.adapting.choosing.log_loss import log_losses, suited
from metacli.engine.adapting.splits import repeated_folds, times_and_rows
from metacli.engine.results.adapt import Against, SimpleScore, Transfer
from metacli.engine.scoring.intervals import Comparison, t_quantile

Y = np.repeat([0, 1, 2], 4)
SPLITS = repeated_folds(Y, seed=0)


def answers(seed: int, right: float) -> np.ndarray:
    """Logits [M, 3] of every row of every split."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([one.query for one in SPLITS])
    return rng.normal(size=(len(rows), 3)) + right * np.eye(3)[Y[rows]]


def outcome(logits: np.ndarray) -> held.HeldOut:
    p = np.exp(log_softmax(logits, 1))
    rows = np.concatenate([one.query for one in SPLITS])
    sizes = tuple(len(one.query) for one in SPLITS)
    return held.HeldOut(p, Y[rows], sizes, None, *times_and_rows(SPLITS))


def test_log_losses_are_those_of_the_softmax_and_have_a_bound() -> None:
    z, y = np.array([[1.0, -2.0], [0.0, 3.0], [-900.0, 900.0]]), np.array([0, 0, 0])
    wanted = -log_softmax(z, 1)[:, 0]
    assert log_losses(z, y)[:2] == pytest.approx(wanted[:2])
    assert log_losses(z, y)[2] == pytest.approx(-np.log(1e-12))


def test_one_temperature_suits_all_rows_best() -> None:
    z, y = 40 * answers(1, 1.0), Y[np.concatenate([one.query for one in SPLITS])]
    tried = [log_losses(z / 2.0**power, y).mean() for power in range(-6, 4)]
    assert suited(z, y).mean() == min(tried)
    assert tried.index(min(tried)) == 9  # far too sure
    assert suited(z, y).shape == (len(y),)


def test_the_difference_is_of_fold_means_and_its_variance_a_sum() -> None:
    ours, other = outcome(answers(1, 2.0)), outcome(answers(2, 0.5))
    found = held.lower_loss(ours, other)
    assert found is not None
    loss = [suited(np.log(one.probabilities), one.y) for one in (ours, other)]
    folds = np.split(loss[1] - loss[0], np.cumsum(ours.sizes)[:-1])
    assert len(folds) == 12
    means = [fold.mean() for fold in folds]
    each = [
        np.mean([d for d, row in zip(np.concatenate(folds), ours.rows, strict=True) if row == one])
        for one in range(len(Y))
    ]
    by_folds = (1 / 12 + 1 / 3) * np.var(means, ddof=1)
    by_rows = np.var(each, ddof=1) / len(Y)
    half = t_quantile(11) * np.sqrt(by_folds + by_rows)
    assert found.delta == pytest.approx(np.mean(means))
    assert (found.low, found.high) == pytest.approx((found.delta - half, found.delta + half))
    assert (found.delta > 0, found.verdict) == (True, "helped")
    swapped = held.lower_loss(other, ours)
    assert swapped is not None
    assert (swapped.delta, swapped.verdict) == (pytest.approx(-found.delta), "hurt")


def test_how_sure_a_model_is_in_general_changes_nothing() -> None:
    ours, other = answers(1, 2.0), outcome(answers(2, 0.5))
    found = [held.lower_loss(outcome(one), other) for one in (ours, 4 * ours)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].delta == pytest.approx(found[1].delta)


def test_numbers_single_holdouts_and_two_folds_have_no_verdict_by_log_loss() -> None:
    ours, other = outcome(answers(1, 2.0)), outcome(answers(2, 0.5))
    assert held.compare(ours, other, "x", "kfold:4").by_log_loss is not None
    assert "log_loss" in held.compare(ours, other, "x", "kfold:4").as_dict()
    assert held.compare(ours, other, "x", "query").by_log_loss is None
    assert "log_loss" not in held.compare(ours, other, "x", "query").as_dict()
    values = [
        replace(one, probabilities=one.probabilities[:, :1], unit=2.0) for one in (ours, other)
    ]
    assert held.lower_loss(*values) is None
    half = len(ours.y) // 2
    two = [
        held.HeldOut(one.probabilities, one.y, (half, half), None, 1, None) for one in (ours, other)
    ]
    assert held.compare(*two, "x", "kfold:2").by_log_loss is None


def test_examples_that_are_never_held_out_do_not_count() -> None:
    found = replace(outcome(answers(1, 1.0)), rows=None, times=1)
    often = replace(found, rows=np.arange(len(found.y)) // 3 * 2, times=3)
    values = np.arange(len(found.y), dtype=float)
    assert often.by_example(values).tolist() == values.reshape(-1, 3).mean(1).tolist()


def test_a_source_that_lowers_log_loss_helps_where_accuracy_says_nothing() -> None:
    alike = Comparison(-0.01, -0.1, 0.08, "no_difference", 0.2)
    surer = Comparison(0.3, 0.1, 0.5, "helped", 0.3)
    assert Transfer(Against(SimpleScore("x", 0.5), alike)).none_helps
    assert not Transfer(Against(SimpleScore("x", 0.5), alike, surer)).none_helps
    worse = replace(alike, verdict="hurt")
    assert Transfer(Against(SimpleScore("x", 0.5), worse, surer)).none_helps


@pytest.mark.parametrize(
    ("delta", "ends", "verdict", "said"),
    [
        (
            0.2104,
            [0.05, 0.371],
            "helped",
            "log loss 0.21 lower (95 % interval 0.05 to 0.371): helps",
        ),
        (-0.5, [-0.75, -0.25], "hurt", "log loss 0.5 higher (95 % interval 0.25 to 0.75): hurts"),
    ],
)
def test_a_verdict_by_log_loss_is_said_in_words(delta, ends, verdict, said) -> None:
    found = Block({"delta": delta, "delta_ci95": ends, "verdict": verdict})
    assert log_loss(found) == said
