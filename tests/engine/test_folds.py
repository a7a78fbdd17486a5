"""Held-out scores: folds that hold every class, and scores by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import toys

from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.engine.adapting import held_out as held
from metacli.engine.adapting import simple
from metacli.engine.adapting import splits as folds
from metacli.engine.models.inputs import InputSpec
from metacli.engine.scoring import intervals
from metacli.types import Batch


def labels(*counts: int) -> np.ndarray:
    """Labels of classes of these sizes, in a mixed order."""
    y = np.repeat(np.arange(len(counts)), counts)
    return y[torch.randperm(len(y), generator=toys.rng(len(y))).numpy()]


SHAPES = [(2, 2), (5, 5, 5), (3, 9, 4), (20, 6), (7, 7, 7, 8, 9), (2, 100)]


@pytest.mark.parametrize("counts", SHAPES, ids=str)
def test_folds_are_disjoint_cover_everything_and_hold_every_class(counts: tuple[int, ...]) -> None:
    y = labels(*counts)
    found = folds.stratified_folds(y, seed=0)
    assert len(found) == min(5, *counts)
    held = np.concatenate([split.query for split in found])
    assert sorted(held.tolist()) == list(range(len(y)))
    for split in found:
        assert not set(split.support) & set(split.query)
        assert len(split.support) + len(split.query) == len(y)
        assert set(y[split.query]) == set(y[split.support]) == set(range(len(counts)))


@pytest.mark.parametrize("counts", SHAPES, ids=str)
def test_folds_are_stratified_and_of_nearly_equal_size(counts: tuple[int, ...]) -> None:
    y = labels(*counts)
    found = folds.stratified_folds(y, seed=3)
    for label in range(len(counts)):
        each = [int((y[split.query] == label).sum()) for split in found]
        assert max(each) - min(each) <= 1
    sizes = [len(split.query) for split in found]
    assert max(sizes) - min(sizes) <= 1


def test_folds_are_a_function_of_labels_and_seed() -> None:
    y = labels(8, 9, 10)
    first, second, other = (folds.stratified_folds(y, seed) for seed in (0, 0, 1))
    assert [s.query.tolist() for s in first] == [s.query.tolist() for s in second]
    assert [s.query.tolist() for s in first] != [s.query.tolist() for s in other]


def test_a_class_with_one_example_is_in_every_support_and_in_no_query() -> None:
    y = labels(5, 1, 3)
    found = folds.stratified_folds(y, seed=0)
    assert len(found) == 3
    for split in found:
        assert np.flatnonzero(y == 1) in split.support
        assert set(y[split.query]) == {0, 2}
    assert folds.stratified_folds(labels(1, 1), seed=0) == []


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.25, [1, 2, 5]), (0.01, [1, 1, 1]), (0.99, [3, 7, 19])]
)
def test_holdout_takes_the_share_of_each_class_at_least_one_and_never_all(
    share: float, wanted: list[int]
) -> None:
    y = labels(4, 8, 20)
    [split] = folds.holdout(y, share, seed=0)
    assert [int((y[split.query] == label).sum()) for label in range(3)] == wanted
    assert sorted([*split.support, *split.query]) == list(range(32))
    [again] = folds.holdout(y, share, seed=0)
    assert again.query.tolist() == split.query.tolist()


def test_holdout_of_single_examples_holds_nothing_out() -> None:
    assert folds.holdout(np.array([0, 1, 2]), 0.5, seed=0) == []
    [split] = folds.holdout(np.array([0, 1, 1]), 0.5, seed=0)
    assert 0 in split.support


def test_held_out_adapts_again_to_each_support_and_keeps_the_order_of_the_splits() -> None:
    x, y = torch.arange(4.0)[:, None], torch.tensor([0, 1, 0, 1])
    splits = [folds.Split(np.array(s), np.array(q)) for s, q in (([0, 1], [3, 2]), ([2, 3], [0]))]

    def predict(support: Batch, asked: torch.Tensor) -> torch.Tensor:
        return torch.cat([asked, support.x.sum().expand(len(asked), 1)], 1)

    found = held.held_out(predict, x, y, splits)
    assert found.probabilities.tolist() == [[3.0, 1.0], [2.0, 1.0], [0.0, 5.0]]
    assert (found.y.tolist(), found.sizes) == ([1, 0, 0], (2, 1))
    assert found.hits.tolist() == [0.0, 1.0, 0.0]


def outcome(right: list[int], y: list[int], sizes: tuple[int, ...]) -> held.HeldOut:
    """Predictions of two classes that are right where `right` is 1."""
    guess = np.where(np.array(right) == 1, y, 1 - np.array(y))
    return held.HeldOut(np.eye(2)[guess] * 0.8 + 0.1, np.array(y), sizes)


def test_a_score_is_the_share_of_hits_with_wilsons_interval_and_its_balanced_form() -> None:
    found = outcome([1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 1], (3, 3))
    score = held.score_of(found, "kfold", 2).as_dict()
    assert (score["value"], score["n"], score["chance"]) == (4 / 6, 6, 0.5)
    assert (score["low"], score["high"]) == intervals.wilson(4, 6)
    assert score["balanced"] == pytest.approx((0.75 + 0.5) / 2)


def test_a_comparison_of_folds_uses_the_corrected_interval_and_one_holdout_the_paired_one() -> None:
    y = [0, 1] * 6
    ours, other = outcome([1] * 12, y, (4, 4, 4)), outcome([0] + [1] * 11, y, (4, 4, 4))
    found = held.compare(ours, other, "logistic", "kfold").as_dict()
    wanted = intervals.nadeau_bengio(np.array([0.25, 0.0, 0.0]), 0.5)
    assert (found["delta"], *found["delta_ci95"]) == pytest.approx(wanted)
    assert found["baseline"] == {"name": "logistic", "value": 11 / 12}
    assert found["verdict"] == "too_few_to_say"  # three splits see next to nothing
    y, sizes = [0, 1] * 6, (4,) * 9
    rows, often = np.tile(np.arange(12), 3), outcome([1] * 36, y * 3, sizes)
    worse = outcome(([0] + [1] * 11) * 3, y * 3, sizes)
    thrice = [replace(one, times=3, rows=rows) for one in (often, worse)]
    assert held.compare(*thrice, "logistic", "kfold").as_dict()["verdict"] == "no_difference"
    single = held.compare(ours, other, "logistic", "holdout").as_dict()
    wanted = intervals.paired(np.array([1.0] + [0.0] * 11))
    assert (single["delta"], *single["delta_ci95"]) == pytest.approx(wanted)


def test_two_folds_give_no_verdict() -> None:
    y, sizes = [0, 1] * 10, (10, 10)
    ours, other = outcome([1] * 20, y, sizes), outcome([0] * 20, y, sizes)
    assert held.compare(ours, other, "logistic", "kfold").as_dict()["delta_ci95"] == [1.0, 1.0]
    assert held.compare(ours, other, "logistic", "kfold").as_dict()["verdict"] == "too_few_to_say"
    y, sizes = [0, 1] * 6, (4, 4, 4)
    ours, other = outcome([1] * 12, y, sizes), outcome([0] * 12, y, sizes)
    assert held.compare(ours, other, "logistic", "kfold").as_dict()["verdict"] == "helped"


@pytest.mark.parametrize(
    ("counts", "splits"),
    [
        ((2, 9), 10),
        ((3, 3, 3), 9),
        ((4, 4), 12),
        ((5,) * 5, 10),
        ((6, 95), 5),
        ((3, 99), 9),
        ((1, 4), 4),
        ((1, 1), 0),
    ],
)
def test_few_folds_are_dealt_again(counts: tuple[int, ...], splits: int) -> None:
    y = labels(*counts)
    found = folds.repeated_folds(y, seed=0)
    assert len(found) == splits
    k = len(folds.stratified_folds(y, 0))
    deals = [found[start : start + k] for start in range(0, splits, k or 1)]
    for deal in deals:  # every one is a whole partition, and no two are the same
        often = [row for row, label in enumerate(y) if (y == label).sum() > 1]
        assert sorted(np.concatenate([one.query for one in deal])) == often
    assert len({str([one.query.tolist() for one in deal]) for deal in deals}) == len(deals)


def test_leaving_one_out_is_not_repeated() -> None:
    assert len(folds.repeated_folds(np.zeros(4, int), seed=0)) == 4


def test_an_example_that_is_held_out_often_counts_once() -> None:
    x, y = torch.arange(12.0)[:, None], torch.arange(12) % 3
    splits = folds.repeated_folds(y.numpy(), 0)
    assert len(splits) == 12

    def predict(support: Batch, asked: torch.Tensor) -> torch.Tensor:
        """Right but for two examples, one of them every time, one where 5 is not in the support."""
        wrong = (asked[:, 0] == 7) | ((asked[:, 0] == 4) & ~(support.x == 5).any())
        return torch.eye(3)[(asked[:, 0].long() + wrong) % 3]

    found = held.held_out(predict, x, y, splits)
    alone = sum(4 in one.query and 5 in one.query for one in splits)
    assert (found.times, found.examples, len(found.y)) == (3, 12, 36)
    right = 12 - 1 - alone / 3
    score = held.score_of(found, "kfold:4", 3).as_dict()
    assert (score["value"], score["n"], score["times"]) == (pytest.approx(right / 12), 12, 3)
    assert (score["low"], score["high"]) == pytest.approx(intervals.wilson(right, 12))
    wanted = [1.0] * 12
    wanted[7], wanted[4] = 0.0, 1 - alone / 3
    assert found.by_example(found.hits).tolist() == pytest.approx(wanted)
    assert np.sum(held.confusion(found, 3)) == 36


def test_numbers_that_are_held_out_often_count_once() -> None:
    answers = np.array([[1.0], [3.0], [2.0], [6.0]])
    found = held.HeldOut(answers, np.zeros(4), (1, 1, 1, 1), 10.0, 2, np.array([0, 1, 0, 1]))
    score = held.score_of_numbers(found, "kfold:2", "EUR").as_dict()
    mean, _, high = intervals.paired(np.array([15.0, 45.0]))
    assert (score["value"], score["n"], score["high"]) == (mean, 2, high)
    assert score["rmse"] == pytest.approx(10 * np.sqrt((1 + 9 + 4 + 36) / 4))


def test_majority_answers_the_shares_of_the_support() -> None:
    support = Batch(torch.zeros(4, 1), torch.tensor([1, 1, 0, 1]))
    found = simple.majority(3)(support, torch.zeros(2, 1))
    assert found.tolist() == [[0.25, 0.75, 0.0]] * 2


def test_logistic_on_raw_inputs_separates_light_from_dark() -> None:
    x = torch.tensor([0, 10, 240, 250], dtype=torch.uint8)[:, None, None, None].expand(4, 1, 3, 3)
    found = simple.logistic_on_raw(2)(Batch(x, torch.tensor([1, 1, 0, 0])), x)
    assert found.argmax(1).tolist() == [1, 1, 0, 0]
    torch.testing.assert_close(found.sum(1), torch.ones(4, dtype=torch.float64))


def test_tokens_are_counted_by_their_names_not_by_their_numbers() -> None:
    support = Batch(torch.tensor([[7.0, 3, 7, 0], [9, 3, 0, 0]]), torch.tensor([0, 1]))
    asked = torch.tensor([[9.0, 9, 9, 7], [4, 12, 1, 3]])  # 4, 12 and 1 are not in the support
    seen: list[torch.Tensor] = []

    def predict(support: Batch, x: torch.Tensor) -> torch.Tensor:
        seen.extend([support.x, x])
        return x

    simple.on_counts(predict)(support, asked)
    known, counts = (one.tolist() for one in seen)  # of the tokens 3, 7 and 9
    assert known == [[1, 2, 0], [1, 0, 1]]
    assert counts == [[0, 1, 3], [1, 0, 0]]
    seen.clear()
    simple.on_counts(predict)(Batch(torch.zeros(2, 3), support.y), torch.zeros(1, 3))
    assert [one.tolist() for one in seen] == [[[0], [0]], [[0]]]  # texts without a token


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        (InputSpec("image", (1, 28, 28)), "raw pixels"),
        (InputSpec("text", (8192,), reader=HashedText().as_dict()), "the same n-grams"),
        (InputSpec("text", (256,), reader=StaticText().as_dict()), "the same embeddings"),
        (InputSpec("text", (64,), reader=TokenNumbers().as_dict()), "counts of the same tokens"),
        (InputSpec("numbers", (4,)), "the same columns"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_simple_model_is_called_by_what_it_reads(inputs: InputSpec, wanted: str) -> None:
    source: Any = SimpleNamespace(inputs=inputs, kind="classification")
    first, _ = simple.simple_models(source, 2)
    assert first == f"logistic regression on {wanted}"
    source.kind = "regression"
    assert next(iter(simple.simple_models(source, 1))) == f"ridge regression on {wanted}"


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_count_classes_the_same_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

    rng = np.random.default_rng(seed)
    y = rng.choice(4, 60, p=[0.7, 0.2, 0.1, 0.0])
    found = held.HeldOut(rng.random((60, 4)), y, (60,))
    said = found.probabilities.argmax(1)
    score = held.score_of(found, "query", 4).as_dict()
    assert score["balanced"] == pytest.approx(
        float(np.mean([(said[y == c] == c).mean() for c in range(3)]))
    )
    assert score["macro_f1"] == pytest.approx(f1_score(y, said, average="macro", zero_division=0))
    matrix = confusion_matrix(y, said, labels=range(4)).tolist()
    assert held.confusion(found, 4) == matrix
    known = held.HeldOut(np.eye(4)[np.minimum(said, 2)], y, (60,))
    expected = balanced_accuracy_score(y, known.probabilities.argmax(1))
    assert held.balanced_accuracy(known) == pytest.approx(expected)


def test_the_last_rows_are_held_out_in_blocks_each_after_the_rows_before_it() -> None:
    found = folds.last_rows(20)
    assert [one.query.tolist() for one in found] == [[12, 13], [14, 15], [16, 17], [18, 19]]
    assert [len(one.support) for one in found] == [12, 14, 16, 18]
    (one,) = folds.last_rows(20, 0.25)
    assert one.query.tolist() == [15, 16, 17, 18, 19]
    (least,) = folds.last_rows(10, 0.01)
    assert least.query.tolist() == [9]  # at least one row
    assert len(folds.last_rows(5)) == 2  # as many blocks as there are rows for
    assert len(folds.last_rows(3)) == 1
    assert folds.last_rows(2) == []  # one row is too few to learn from


def test_rows_are_named_only_where_they_are_held_out_more_than_once() -> None:
    y = np.repeat([0, 1], 6)
    once = folds.stratified_folds(y, 0)
    assert folds.times_and_rows(once) == (1, None)
    times, rows = folds.times_and_rows(folds.repeated_folds(y, 0))
    assert times == 2
    assert rows is not None
    assert np.bincount(rows).tolist() == [2] * 12


@pytest.mark.parametrize(("each", "splits"), [(50, 10), (51, 5)])
def test_five_folds_are_dealt_twice_up_to_a_hundred_rows(each: int, splits: int) -> None:
    assert len(folds.repeated_folds(np.repeat([0, 1], each), 0)) == splits
