"""Choosing on folds: the choice is repeated inside each of them, and its score is not the best of
many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
import pytest

from metacli.engine.adapting.choosing.core import (
    Candidate,
    Choice,
    Targets,
    choose,
    simplest,
)
from metacli.engine.adapting.choosing.log_loss import TEMPERATURES
from metacli.engine.adapting.splits import Split, repeated_folds

WAY, SHOT = 3, 6
Y = np.repeat(np.arange(WAY), SHOT)
SPLITS = repeated_folds(Y, 0)


class Guess:
    """Logits that are right for a row with a probability of their own, and a record of what was
    asked."""

    def __init__(self, right: float, seed: int, settings: int = 1) -> None:
        draw = np.random.default_rng(seed)
        hit = draw.random((settings, len(Y))) < right
        other = (Y + draw.integers(1, WAY, (settings, len(Y)))) % WAY
        self.said = np.where(hit, Y, other)
        self.asked: list[tuple[frozenset[int], frozenset[int]]] = []

    def explore(self, support: np.ndarray, query: np.ndarray) -> Mapping[int, np.ndarray]:
        self.asked.append((frozenset(support.tolist()), frozenset(query.tolist())))
        return {n: 2.0 * np.eye(WAY)[row[query]] for n, row in enumerate(self.said)}


def chosen(*guesses: Guess, budget: float = 1e9, default: int = 0) -> Choice[int]:
    named = [Candidate(str(number), one.explore, 0) for number, one in enumerate(guesses)]
    clock = count().__next__
    return choose(
        *(named, Targets(Y), SPLITS),
        default=default,
        seed=0,
        budget=budget,
        clock=lambda: float(clock()),
    )


def test_the_better_candidate_wins_and_its_answers_are_those_of_rows_held_out() -> None:
    found = chosen(Guess(0.3, 1), Guess(0.95, 2))
    assert found.chosen == 1
    assert set(found.per_split) == {1}
    assert found.answers is not None
    assert len(found.answers) == sum(len(one.query) for one in SPLITS)


@pytest.mark.parametrize("budget", [1e9, 4.0])
def test_candidates_that_answer_for_many_folds_at_once_are_chosen_among_alike(
    budget: float,
) -> None:
    guesses = [Guess(0.5, 1, 3), Guess(0.8, 2, 3)]
    asked: list[int] = []

    def named(number: int, *, together: bool) -> Candidate[int]:
        guess = guesses[number]

        def each(splits: Sequence[Split]) -> list[Mapping[int, np.ndarray]]:
            asked.append(len(splits))
            return [guess.explore(one.support, one.query) for one in splits]

        return Candidate(str(number), guess.explore, 0, each if together else None)

    def found(*, together: bool) -> Choice[int]:
        clock = count().__next__
        candidates = [named(number, together=together) for number in range(2)]
        return choose(
            *(candidates, Targets(Y), SPLITS),
            default=0,
            seed=0,
            budget=budget,
            clock=lambda: float(clock()),
        )

    one, many = found(together=False), found(together=True)
    # What there may be no time for is asked for fold by fold.
    assert asked == [4 * len(SPLITS) - 1] * (2 if budget > 100 else 1)
    assert (one.chosen, one.per_split, one.left_out) == (many.chosen, many.per_split, many.left_out)
    assert one.answers is not None
    assert many.answers is not None
    assert np.array_equal(one.answers, many.answers)
    for alone, other in zip(one.tried, many.tried, strict=True):
        assert np.array_equal(alone.losses, other.losses)
        assert alone.setting == other.setting


def test_the_loss_is_that_at_the_temperature_which_suits_all_rows_best() -> None:
    draw = np.random.default_rng(0)
    logits, rows = 3 * draw.normal(size=(9, WAY)), np.arange(9)
    slow = []
    for temperature in TEMPERATURES:
        scaled = logits / temperature
        slow.append(
            [
                -np.log(np.exp(one)[y] / np.exp(one).sum())
                for one, y in zip(scaled, Y[rows], strict=True)
            ]
        )
    best = min(slow, key=lambda one: float(np.mean(one)))
    assert Targets(Y).losses(logits, rows) == pytest.approx(np.minimum(best, -np.log(1e-12)))


def test_no_fold_of_a_choice_sees_what_its_score_is_made_of() -> None:
    guess = Guess(0.6, 3)
    chosen(guess)
    outer = [frozenset(one.query.tolist()) for one in SPLITS]
    assert len(guess.asked) == 4 * len(SPLITS)  # three inner folds, then the outer one
    for number, held in enumerate(outer):
        *inner, (support, query) = guess.asked[4 * number : 4 * number + 4]
        assert query == held
        assert not support & held
        for small, rest in inner:
            assert small | rest == support
            assert not small & rest


def test_the_score_of_many_lucky_guesses_is_chance_though_the_best_of_them_looks_good() -> None:
    means, bests = [], []
    for seed in range(15):
        many = [Guess(1 / WAY, 100 * seed + number) for number in range(8)]
        found = chosen(*many)
        truth = np.concatenate([Y[one.query] for one in SPLITS])
        assert found.answers is not None
        means.append(np.mean(found.answers.argmax(1) == truth))
        bests.append(max(np.mean(one.said[0] == Y) for one in many))
    assert np.mean(bests) > 0.48  # what the best of eight seems to reach
    assert abs(np.mean(means) - 1 / WAY) < 0.08


def test_a_setting_is_chosen_inside_as_well() -> None:
    guess = Guess(0.5, 4, settings=3)
    guess.said[2] = Y
    found = chosen(guess)
    assert found.best.setting == 2


def test_ties_go_to_the_simpler() -> None:
    same = np.array([0.1, 0.9, 0.4, 0.3])
    half = [0.5] * 3
    assert simplest([same, same.copy(), same], 2, half) == 0
    assert simplest([same + 1, same, same], 0, half) == 1
    noisy = same + np.array(
        [-0.05, 0.08, 0.0, 0.0]
    )  # larger in the mean, by less than half its error
    assert simplest([noisy, same], 1, half) == 0


def test_a_margin_of_its_own_keeps_the_first_candidate_until_another_is_better_by_it() -> None:
    best = np.array([0.1, 0.9, 0.4, 0.3])
    difference = np.array([0.1, 0.3, 0.2, 0.4])  # mean 0.25, standard error 0.0645: 3.87 of them
    assert simplest([best + difference, best], 1, [3.8, 0.5]) == 1
    assert simplest([best + difference, best], 1, [3.9, 0.5]) == 0
    assert simplest([best + difference, best], 1, [0.5, 9.0]) == 1  # that of the later one is idle


def test_the_default_stands_where_a_class_is_too_small_to_choose_on() -> None:
    y = np.array([0, 0, 1, 1])

    def explore(support: np.ndarray, query: np.ndarray) -> Mapping[int, np.ndarray]:
        return {0: 9.0 * np.eye(2)[1 - y[query]], 1: 9.0 * np.eye(2)[y[query]]}

    both = [Candidate(name, explore, 0) for name in "ab"]
    clock = lambda: 0.0  # noqa: E731
    common = {"default": 1, "seed": 0, "budget": 1.0, "clock": clock}
    found = choose(both, Targets(y), repeated_folds(y, 0), **common)
    assert (found.chosen, found.best.setting, set(found.per_split)) == (1, 0, {1})
    assert found.answers is not None  # the default can still be scored
    one_each = choose(both, Targets(np.array([0, 1])), [], **common)
    assert (one_each.chosen, one_each.best.setting, one_each.answers) == (1, 0, None)


@pytest.mark.parametrize("budget", [0.0, 5.0])
def test_what_there_is_no_time_for_is_left_out_and_named_but_never_the_default(
    budget: float,
) -> None:
    found = chosen(Guess(0.9, 5), Guess(0.9, 6), Guess(0.2, 7), budget=budget, default=2)
    assert [one.candidate.name for one in found.tried] == ["2"]
    assert found.left_out == ("0", "1")
    assert found.best.candidate.name == "2"


def test_values_are_judged_by_their_squared_error() -> None:
    y = np.linspace(0, 1, 12)

    def near(support: np.ndarray, query: np.ndarray) -> Mapping[int, np.ndarray]:
        return {0: (y[query] + 0.01)[:, None]}

    def mean(support: np.ndarray, query: np.ndarray) -> Mapping[int, np.ndarray]:
        return {0: np.full((len(query), 1), y[support].mean())}

    splits = repeated_folds(np.zeros(12, int), 0)
    both = [Candidate("mean", mean, 0), Candidate("near", near, 0)]
    found = choose(
        *(both, Targets(y, regression=True), splits),
        default=0,
        seed=0,
        budget=1.0,
        clock=lambda: 0.0,
    )
    assert found.best.candidate.name == "near"
    np.testing.assert_allclose(found.best.losses, 1e-4)
