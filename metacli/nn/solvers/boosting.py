"""Gradient boosting whose trees are tensors: grown by scikit-learn, kept and evaluated without it.

Shape letters: M examples, D features, N outputs, T rounds, P = 2^depth - 1 inner nodes, L = P + 1
leaves. A tree is stored complete: below a leaf that was reached early both ways lead to its value.
Node i has the children 2i + 1 and 2i + 2.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

LEAF = -1
ALWAYS = 3e38  # a threshold that every number of float32 in use is below
FEWEST = 3  # examples in a leaf
SEED = 0  # of the order in which features of equal gain are looked at


class Tree(Protocol):
    """A tree as scikit-learn has it: nodes in any order."""

    feature: np.ndarray
    threshold: np.ndarray
    children_left: np.ndarray
    children_right: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Boosted:
    """F(x) = base + rate · Σ_t value of the leaf that x reaches.

    Args:
        feature: [T, N, P], whole numbers in float32, as every parameter is.
        threshold: [T, N, P]; x[feature] <= threshold goes left.
        value: [T, N, L], with the rate in it.
        base: [N].
    """

    feature: Tensor
    threshold: Tensor
    value: Tensor
    base: Tensor

    def first(self, rounds: int) -> Boosted:
        """Without the later rounds: boosting never changes an earlier tree."""
        feature, threshold, value = self.feature, self.threshold, self.value
        return Boosted(feature[:rounds], threshold[:rounds], value[:rounds], self.base)

    def __call__(self, x: Tensor) -> Tensor:
        """[M, D] -> [M, N]; for two classes N is 1, the logarithm of the odds."""
        rounds, outputs, inner = self.feature.shape
        depth = (inner + 1).bit_length() - 1
        features, thresholds = self.feature.flatten().long(), self.threshold.flatten()
        values = self.value.flatten()
        tree = torch.arange(rounds * outputs, device=x.device)
        # Made of x, not of its length, so that an export takes any number of rows.
        node = torch.zeros_like(x[:, :1]).long() + 0 * tree  # [M, T N]
        for _ in range(depth):
            at = node + inner * tree
            found = x.gather(1, features[at])
            node = 2 * node + 1 + (found > thresholds[at]).long()
        leaves = values[node - inner + (inner + 1) * tree]
        result: Tensor = self.base + leaves.unflatten(1, (rounds, outputs)).sum(1)
        return result


def fit_boosted(
    x: Tensor,
    y: Tensor,
    kind: Literal["classification", "regression"],
    *,
    depth: int,
    rounds: int,
    rate: float,
) -> Boosted:
    """J. Friedman's gradient boosting: log loss of labels [M], squared error of values [M, 1].

    Args:
        x: [M, D], read as float32. y: labels of 0..N-1, each at least once.
    """
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    settings = {
        "n_estimators": rounds,
        "learning_rate": rate,
        "max_depth": depth,
        "min_samples_leaf": FEWEST,
        "random_state": SEED,
    }
    rows = x.float().cpu().numpy()
    if kind == "regression":
        values = y[:, 0].double().cpu().numpy()
        fitted = GradientBoostingRegressor(**settings).fit(rows, values)
        base = np.array([values.mean()])
    else:
        labels = y.cpu().numpy()
        with warnings.catch_warnings():  # that labels of few examples look like numbers
            warnings.simplefilter("ignore", UserWarning)
            fitted = GradientBoostingClassifier(**settings).fit(rows, labels)
        share = np.bincount(labels) / len(labels)
        base = np.log(share[1:] / share[:1]) if len(share) == 2 else np.log(share)
    trees = [[complete(one.tree_, depth) for one in row] for row in fitted.estimators_]
    feature, threshold, value = (
        torch.from_numpy(np.array([[one[part] for one in row] for row in trees], np.float32))
        for part in range(3)
    )
    parts = (feature, threshold, rate * value, torch.from_numpy(base.astype(np.float32)))
    return Boosted(*(one.to(x.device) for one in parts))


def complete(tree: Tree, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [P], thresholds [P] and values of the leaves [L], in the order of a complete tree.

    Thresholds are the largest number of float32 that is not above scikit-learn's, which lie between
    two numbers of float32: every example goes the same way.
    """
    features, thresholds, leaves = placed(tree, depth)
    return features, thresholds, tree.value[leaves, 0, 0]


def placed(tree: Tree, depth: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The same with scikit-learn's node for each leaf, [L], in the place of its value."""
    inner = 2**depth - 1
    at = [0] * (2 * inner + 1)  # of each place the node of scikit-learn
    features, thresholds = np.zeros(inner), np.full(inner, ALWAYS, np.float32)
    left, right = tree.children_left.tolist(), tree.children_right.tolist()
    rounded = tree.threshold.astype(np.float32)
    above = rounded > tree.threshold
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    for place in range(inner):
        node = at[place]
        if left[node] == LEAF:
            at[2 * place + 1] = at[2 * place + 2] = node
            continue
        features[place], thresholds[place] = tree.feature[node], rounded[node]
        at[2 * place + 1], at[2 * place + 2] = left[node], right[node]
    return features, thresholds, at[inner:]
