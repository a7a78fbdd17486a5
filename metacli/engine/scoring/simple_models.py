"""Simple models of rows, by scikit-learn where it has them; penalties are chosen on folds of the
rows that are given.

`outputs`: 0 asks for values, 1 for the probability of class 1, C for [M, C] probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from metacli.nn.sharing.mean_ridge import MeanRidge, moments

ALPHAS = tuple(float(value) for value in np.logspace(-1, 4, 16))
CS = tuple(float(value) for value in np.logspace(-3, 2, 6))
MANY = 5000  # rows from which on the strength hardly matters, and a fit takes its time
CS_OF_MANY = (0.01, 0.1, 1.0)
TEXT_CS = (3.0, 10.0)  # of TF-IDF weights, whose rows have length 1
FOLDS = 3
LEAVES = (31, 4)  # of a tree, to choose from; of boosted trees so many:
TREES = tuple(range(25, 301, 25))
FEW, USUAL = 100, 150  # rows below which so many trees are grown

Matrix = Any  # scikit-learn and SciPy say no types
"""A dense array, or a sparse matrix in rows."""


def linear(outputs: int, x: Matrix, y: np.ndarray, inputs: Matrix) -> np.ndarray:
    """Ridge regression by leave-one-out, or logistic regression by 3 stratified folds."""
    from sklearn.linear_model import RidgeCV

    if outputs == 0:
        found: np.ndarray = RidgeCV(alphas=ALPHAS).fit(x, y).predict(inputs)
        return found
    return logistic(outputs, x, y, inputs)


def logistic(
    outputs: int, x: Matrix, y: np.ndarray, inputs: Matrix, strengths: Sequence[float] = ()
) -> np.ndarray:
    """Logistic regression whose strength has the best log-likelihood on 3 stratified folds.

    Args:
        strengths: to choose from; () takes those for columns of standard deviation 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2:
        return spread(np.ones((inputs.shape[0], 1)), labels, outputs)
    make = partial(LogisticRegression, max_iter=300)
    best = 1.0
    if counts.min() >= FOLDS:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        column = np.searchsorted(labels, y)

        def held_out(c: float) -> float:
            p = cross_val_predict(make(C=c), x, y, cv=folds, method="predict_proba")
            right = p[np.arange(len(y)), column]
            return float(np.log(right.clip(1e-12)).mean())  # a probability may round to 0

        best = max(strengths or (CS if len(y) < MANY else CS_OF_MANY), key=held_out)
    return spread(make(C=best).fit(x, y).predict_proba(inputs), labels, outputs)


def boosted(outputs: int, x: np.ndarray, y: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Gradient-boosted trees. Their leaves and their number have the best squared error or
    log-likelihood on 3 folds, of many rows on the first of these."""
    if outputs and len(np.unique(y)) < 2:
        return spread(np.ones((len(inputs), 1)), np.unique(y), outputs)
    leaves, trees = tree_size(outputs, x, y)
    model = boosting(outputs, leaves, trees).fit(x, y)
    if outputs == 0:
        found: np.ndarray = model.predict(inputs)
        return found
    return spread(model.predict_proba(inputs), model.classes_, outputs)


def boosting(outputs: int, leaves: int, trees: int) -> Any:
    """The estimator, not fitted."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingRegressor if outputs == 0 else HistGradientBoostingClassifier
    sizes = {"max_leaf_nodes": leaves, "max_iter": trees}
    return made(learning_rate=0.05, early_stopping=False, random_state=0, **sizes)


def tree_size(outputs: int, x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """Leaves of a tree and number of trees. Of few rows, or of classes with less than a row for
    each fold, there is nothing to choose by."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if len(y) < FEW or (outputs and np.unique(y, return_counts=True)[1].min() < FOLDS):
        return LEAVES[0], USUAL
    kind = StratifiedKFold if outputs else KFold
    folds = list(kind(FOLDS, shuffle=True, random_state=0).split(x, y))
    lost = np.zeros((len(LEAVES), len(TREES)))
    for inner, held in folds[:1] if len(y) >= MANY else folds:
        for row, leaves in enumerate(LEAVES):
            model = boosting(outputs, leaves, TREES[-1]).fit(x[inner], y[inner])
            lost[row] += staged_losses(outputs, model, x[held], y[held])
    row, column = divmod(int(lost.argmin()), len(TREES))
    return LEAVES[row], TREES[column]


def staged_losses(outputs: int, model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The loss on held-out rows after each of `TREES`: the sum of squares or of -log p."""
    if outputs == 0:
        errors = [float(((p - y) ** 2).sum()) for p in model.staged_predict(x)]
    else:
        place = np.arange(len(y)), np.searchsorted(model.classes_, y)
        staged = model.staged_predict_proba(x)
        errors = [-float(np.log(p[place].clip(1e-12)).sum()) for p in staged]
    return np.array([errors[count - 1] for count in TREES])


def spread(chances: np.ndarray, labels: np.ndarray, outputs: int) -> np.ndarray:
    """Probabilities of the labels that were seen as those of all labels."""
    found = np.zeros((len(chances), max(2, outputs)))
    found[:, labels.astype(int)] = chances
    return found[:, 1] if outputs == 1 else found


def with_task(x: Sequence[Matrix]) -> Matrix:
    """Every column twice, [M, D (1 + T)]: for all tasks, and for the row's own."""
    rows = [sparse.csr_matrix(one) for one in x]
    return sparse.hstack([sparse.vstack(rows), sparse.block_diag(rows)], format="csr")


def stacked(rows: Sequence[Matrix]) -> Matrix:
    """Sparse rows of all tasks, one behind the other."""
    return sparse.vstack(list(rows), format="csr")


def vocabulary(texts: Sequence[str]) -> Any:
    """TF-IDF weights of the words and pairs of words that are in two texts or more."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    fewest = 2 if len(texts) >= MANY else 1
    return TfidfVectorizer(ngram_range=(1, 2), min_df=fewest, sublinear_tf=True).fit(texts)


def augmented_ridge(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Ridge regression of `with_task`'s columns, intercepts included but for the common one.

    The same as w_0 + v_t with α (|w_0|² + Σ_t |v_t|²): a small solve for each task. α has the best
    squared error on folds of each task's rows.
    """
    rows = [np.column_stack([one, np.ones(len(one))]) for one in x]
    parts = []
    for k in range(FOLDS):
        held = [slice(k, None, FOLDS) for _ in rows]
        each = [
            moments(torch.from_numpy(a[h])[None], torch.from_numpy(b[h])[None])
            for a, b, h in zip(rows, y, held, strict=True)
        ]
        parts.append(tuple(torch.cat([one[i] for one in each]) for i in range(2)))
    gram, cross = (torch.stack([part[i] for part in parts]).sum(0) for i in range(2))

    def fit(gram: Tensor, cross: Tensor, alpha: float) -> np.ndarray:
        return MeanRidge().fit(gram, cross, alpha, alpha, alpha).numpy()

    def held_out(alpha: float) -> float:
        total = 0.0
        for k, (g, c) in enumerate(parts):
            w = fit(gram - g, cross - c, alpha)
            for task, (a, b) in enumerate(zip(rows, y, strict=True)):
                total += float(((b[k::FOLDS] - a[k::FOLDS] @ w[task]) ** 2).sum())
        return total

    w = fit(gram, cross, min(ALPHAS, key=held_out))
    return [one @ w[task, :-1] + w[task, -1] for task, one in enumerate(inputs)]
