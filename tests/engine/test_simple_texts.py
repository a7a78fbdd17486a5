"""Simple methods on texts: fitted to the support alone, and tuned on it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import make_pool
from metacli.data.tables.coded import CodedRows
from metacli.data.tables.text import HashedText
from metacli.engine.scoring.simple.texts import (
    CHOICES,
    chosen,
    fitted,
    folds_of,
    rotated,
    text_score,
    tuned_words_and_characters,
    words_and_characters,
    words_logistic,
)
from metacli.engine.scoring.simple_scores import against

TEXTS = [
    *("pay my card bill", "pay the card now", "card bill please", "bill of the card"),
    *("play some jazz music", "music please play", "jazz music now", "play jazz"),
    *("weather in rome", "is it raining today", "rain and weather", "weather today please"),
]


Y = np.repeat(np.arange(3), 4)


def texts() -> ClassEpisodes:
    pool = make_pool(
        name="requests",
        split="test",
        scheme=None,
        classes=["bill", "music", "weather"],
        rows=[np.arange(4 * c, 4 * c + 4) for c in range(3)],
        store=CodedRows(TEXTS, HashedText(64).fit(TEXTS)),
        contents="0",
    )
    return ClassEpisodes(pool=pool, way=3, shot=2, query=2)


@pytest.mark.parametrize("fit", [words_logistic, tuned_words_and_characters])
def test_texts_are_classified_by_what_the_support_taught(fit) -> None:
    source = texts()
    seen: list[tuple[list[str], list[int]]] = []
    asked: list[list[str]] = []

    def spy(given, y):
        seen.append((given, y.tolist()))
        answer = fit(given, y)
        return lambda x: (asked.append(x), answer(x))[1]

    scores = [text_score(source, spy)(index) for index in range(6)]
    drawn = source.members(0)
    assert seen[0][0] == [TEXTS[row] for own in drawn.support for row in own]
    assert seen[0][1] == [0, 0, 1, 1, 2, 2]
    assert asked[0] == [TEXTS[row] for own in drawn.query for row in own]
    assert np.mean(scores) > 0.6  # a third by chance


def test_an_accuracy_is_better_where_it_is_larger() -> None:
    source = replace(texts(), seed=("x", 1))
    rng = np.random.default_rng(2)
    values = 0.5 + 0.1 * rng.random(30)
    found = against(values, source, np.full(30, 0.9))
    assert found.against is not None
    assert (found.against.verdict, found.units) == ("helped", 30)
    assert found.against.delta == pytest.approx(0.9 - values.mean())


def test_the_few_coordinates_have_the_minimum_of_all_columns() -> None:
    x = words_and_characters().fit_transform(TEXTS).tocsr()
    rows = rotated(x)
    assert rows.few.shape[1] <= len(TEXTS) < x.shape[1]
    some, rest = np.arange(0, 12, 2), np.arange(1, 12, 2)
    full = LogisticRegression(C=10.0, tol=1e-9, max_iter=5000).fit(x[some], Y[some])
    few = LogisticRegression(C=10.0, tol=1e-9, max_iter=5000).fit(rows.few[some], Y[some])
    wanted = full.decision_function(x[rest])
    assert few.decision_function(rows.few[rest]) == pytest.approx(wanted, abs=1e-5)
    assert np.abs(wanted).max() > 0.1


def test_other_texts_get_the_coordinates_of_the_support() -> None:
    vectorizer = words_and_characters().fit(TEXTS[:8])
    rows = rotated(vectorizer.transform(TEXTS[:8]))
    new = rows.others(vectorizer.transform(TEXTS))
    assert new.few[:8] == pytest.approx(rows.few, abs=1e-9)
    products = (rows.sparse @ new.sparse.T).toarray()
    assert rows.few @ new.few.T == pytest.approx(products, abs=1e-9)


def test_every_fold_has_an_example_of_each_class_and_one_example_has_no_folds() -> None:
    y = np.array([2, 0, 0, 1, 0, 1, 2, 1, 0])
    assert folds_of(y) is not None
    assert folds_of(y).tolist() == [0, 0, 1, 0, 0, 1, 1, 0, 1]  # type: ignore[union-attr]
    seven = folds_of(np.repeat([0, 1], 7))
    assert seven is not None
    assert seven.tolist() == [0, 1, 2, 3, 4, 0, 1] * 2
    assert folds_of(np.array([0, 0, 1])) is None


def test_the_choice_is_right_on_most_held_out_rows_and_the_first_of_equals() -> None:
    x = words_and_characters().fit_transform(TEXTS).tocsr()
    y = np.array([0, 0, 0, 1, 1, 1, 0, 1, 2, 2, 1, 0])  # some of them wrong
    folds = folds_of(y)
    assert folds is not None

    def slow(kind: str, c: float) -> int:
        total = 0
        for fold in range(folds.max() + 1):
            made = LinearSVC if kind == "linear SVM" else LogisticRegression
            model = made(C=c, random_state=0, max_iter=5000).fit(x[folds != fold], y[folds != fold])
            total += int((model.predict(x[folds == fold]) == y[folds == fold]).sum())
        return total

    choices = (*CHOICES, ("logistic regression", 1e-6))
    right = [slow(*one) for one in choices]
    assert len(set(right)) > 1
    wanted = choices[right.index(max(right))]
    assert chosen(rotated(x), y, folds, choices) == wanted
    assert chosen(rotated(x), y, folds, choices[::-1]) == max(
        choices[::-1], key=lambda one: slow(*one)
    )


def test_what_is_fitted_is_the_choice() -> None:
    answer = tuned_words_and_characters(TEXTS, Y)
    vectorizer = words_and_characters().fit(TEXTS)
    rows, folds = rotated(vectorizer.transform(TEXTS)), folds_of(Y)
    assert folds is not None
    new = ["pay jazz", "rain music bill", "today card", "some weather please"]
    kind, c = chosen(rows, Y, folds)
    wanted = fitted(kind, c, rows, Y)(rows.others(vectorizer.transform(new)))
    assert answer(new).tolist() == wanted.tolist()


def test_one_example_of_a_class_is_enough() -> None:
    answer = tuned_words_and_characters(TEXTS[::4], np.arange(3))
    assert answer(TEXTS[::4]).tolist() == [0, 1, 2]
