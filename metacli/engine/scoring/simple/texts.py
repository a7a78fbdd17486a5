"""What a user would do with a few texts of each class without metacli: TF-IDF and a linear
classifier, fitted to the support of an episode alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.tables.reader import Table

Answer = Callable[[list[str]], np.ndarray]
Fit = Callable[[list[str], np.ndarray], Answer]
"""Texts and labels of the support to labels of other texts."""
Matrix = Any  # scikit-learn and SciPy say no types
Kind = Literal["linear SVM", "logistic regression"]

FOLDS = 5  # at most; every one has an example of each class
CHOICES: tuple[tuple[Kind, float], ...] = (  # the first of equals is taken: scikit-learn's default
    *(("linear SVM", 1.0), ("linear SVM", 0.1), ("linear SVM", 10.0)),
    *(("logistic regression", 10.0), ("logistic regression", 1.0), ("logistic regression", 100.0)),
)
SMALL = 1e-10  # of the largest eigenvalue: what is below is rounding


def text_score(source: ClassEpisodes, fit: Fit) -> Callable[[int], float]:
    """Accuracy of a classifier that is fitted to the support's texts alone, by the episode's
    number."""
    texts = source.pool.coded.rows
    assert not isinstance(texts, Table)  # of a pool of texts

    def half(rows: tuple[tuple[int, ...], ...]) -> tuple[list[str], np.ndarray]:
        flat = [texts[row] for of_class in rows for row in of_class]
        return flat, np.repeat(np.arange(len(rows)), [len(one) for one in rows])

    def score(index: int) -> float:
        drawn = source.members(index)
        answer = fit(*half(drawn.support))
        x, y = half(drawn.query)
        return float((answer(x) == y).mean())

    return score


def words_logistic(texts: list[str], y: np.ndarray) -> Answer:
    """TF-IDF of words and logistic regression, scikit-learn's with their defaults."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts, y)
    return lambda asked: np.asarray(made.predict(asked))


def tuned_words_and_characters(texts: list[str], y: np.ndarray) -> Answer:
    """TF-IDF of words and pairs of words, and of 2 to 5 characters within words, with a linear
    support vector machine or logistic regression: which of the two, and its C, has the best
    accuracy on stratified folds of these texts. From one example of a class there are no folds, and
    it is the support vector machine with C = 1."""
    vectorizer = words_and_characters().fit(texts)
    rows = rotated(vectorizer.transform(texts))
    folds = folds_of(y)
    kind, c = CHOICES[0] if folds is None else chosen(rows, y, folds)
    answer = fitted(kind, c, rows, y)
    return lambda asked: answer(rows.others(vectorizer.transform(asked)))


def words_and_characters() -> Any:
    """The features, not fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )


@dataclass(frozen=True)
class Rows:
    """Rows of TF-IDF, and the same rows in few coordinates.

    Args:
        sparse: [M, D].
        few: [M, R], their coordinates in the span of the support: all that a linear classifier with
            a penalty on |w| can use of them, since its w lies in that span.
        support: [N, D]; basis: [N, R], which makes coordinates of products with it.
    """

    sparse: Matrix
    few: np.ndarray
    support: Matrix
    basis: np.ndarray

    def others(self, sparse: Matrix) -> Rows:
        """Further rows, in the same coordinates."""
        few = (sparse @ self.support.T).toarray() @ self.basis
        return Rows(sparse, few, self.support, self.basis)

    def __getitem__(self, which: np.ndarray) -> Rows:
        return Rows(self.sparse[which], self.few[which], self.support, self.basis)


def rotated(support: Matrix) -> Rows:
    """The support with its coordinates: of G = X Xᵀ = U S Uᵀ they are X Xᵀ U S^(-1/2)."""
    support = support.tocsr()
    gram = (support @ support.T).toarray()
    values, vectors = np.linalg.eigh(gram)
    kept = values > SMALL * values.max()
    basis = vectors[:, kept] / np.sqrt(values[kept])
    return Rows(support, gram @ basis, support, basis)


def folds_of(y: np.ndarray) -> np.ndarray | None:
    """The fold of each row: those of a class take turns. None where a class has one row."""
    labels, place = np.unique(y, return_inverse=True)
    counts = np.bincount(place)
    if counts.min() < 2:
        return None
    found = np.empty(len(y), np.int64)
    for label in range(len(labels)):
        found[place == label] = np.arange(counts[label])
    return found % min(FOLDS, int(counts.min()))


def chosen(
    rows: Rows,
    y: np.ndarray,
    folds: np.ndarray,
    choices: Sequence[tuple[Kind, float]] = CHOICES,
) -> tuple[Kind, float]:
    """The classifier and C that are right on most held-out rows; the first of equals."""

    def right(choice: tuple[Kind, float]) -> int:
        total = 0
        for fold in range(folds.max() + 1):
            held = folds == fold
            answer = fitted(*choice, rows[~held], y[~held])
            total += int((answer(rows[held]) == y[held]).sum())
        return total

    return max(choices, key=right)


def fitted(kind: Kind, c: float, rows: Rows, y: np.ndarray) -> Callable[[Rows], np.ndarray]:
    """A classifier of rows. The one with a solver for sparse rows has those, the other one the few
    coordinates, in which its minimum is the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if kind == "linear SVM":
        machine = LinearSVC(C=c, random_state=0).fit(rows.sparse, y)
        return lambda asked: np.asarray(machine.predict(asked.sparse))
    model = LogisticRegression(C=c, max_iter=1000).fit(rows.few, y)
    return lambda asked: np.asarray(model.predict(asked.few))
