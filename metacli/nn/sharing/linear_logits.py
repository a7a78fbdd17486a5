"""Logistic regressions of many tasks whose weights are a common part and a part of their own:

    w_t = u_c(t) + v_t,   min Σ_t loss_t(X_t w_t) + ½ Σ_c |u_c|²_mean + ½ Σ_t |v_t|²_own

by L-BFGS over z = √penalty w, in which each penalty is ½ |z|². Rows may be sparse: a product with
all of them is one with a block-diagonal matrix. Letters: T tasks, C clusters, D columns, R rows of
all tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.special import expit
from scipy.stats import rankdata

from metacli.types import Batch

INTERCEPT = 0.1  # penalty of a task's own intercept; that of a mean has none
TOLERANCE = 1e-5  # of the largest slope of the objective, for each row
MEMORY = 10  # of L-BFGS
BEGINNINGS, ROUNDS, NEWTON = 6, 10, 8  # of the search for clusters
TOGETHER = 1e6  # penalty of v while it goes on


@dataclass(frozen=True)
class Rows:
    """The rows of all tasks, those that are not there left out.

    Args:
        x: sparse [R, T (D + 1)]: a row's numbers and a one stand in its task's columns.
        y: labels [R]. task: of each row, [R].
    """

    x: Any
    y: np.ndarray
    task: np.ndarray
    tasks: int

    @classmethod
    def of(cls, batch: Batch) -> Rows:
        """Standardised rows [T, M, D], dense or sparse, or [M, D] that the tasks share."""
        tasks, most = batch.y.shape
        x = batch.x
        if x.is_sparse:
            place, values = x.coalesce().indices().numpy(), x.coalesce().values().numpy()
            row, column = place[0] * most + place[1], place[2]
        else:
            dense = x.expand(tasks, most, x.shape[-1]).reshape(tasks * most, -1).numpy()
            row, column = (one.ravel() for one in np.indices(dense.shape))
            values = dense.ravel()
        width = x.shape[-1] + 1
        every = np.arange(tasks * most)
        row, column = np.append(row, every), np.append(column, np.full(len(every), width - 1))
        values = np.append(values.astype(np.float64), np.ones(len(every)))
        at = (row, row // most * width + column)
        whole = sparse.csr_matrix((values, at), shape=(len(every), tasks * width))
        present = every if batch.mask is None else np.flatnonzero(batch.mask.numpy())
        y = batch.y.numpy().ravel().astype(np.float64)
        return cls(whole[present], y[present], present // most, tasks)

    def where(self, chosen: np.ndarray) -> Rows:
        return Rows(self.x[chosen], self.y[chosen], self.task[chosen], self.tasks)

    def losses(self, w: np.ndarray) -> np.ndarray:
        """The sum of each task's cross-entropies, [T]; w [T, D + 1]."""
        each = cross_entropies(self, self.x @ w.ravel())
        return np.bincount(self.task, each, self.tasks)


def cross_entropies(rows: Rows, logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.logaddexp(0, logits) - rows.y * logits
    return found


def mean_loss(rows: Rows, logits: np.ndarray) -> float:
    return float(cross_entropies(rows, logits).mean())


def disorder(rows: Rows, logits: np.ndarray) -> float:
    """1 - the area under the ROC curve, mean over the tasks with both classes."""
    found = []
    for task in range(rows.tasks):
        own = rows.task == task
        y, rank = rows.y[own] == 1, rankdata(logits[own])
        good, bad = int(y.sum()), int((~y).sum())
        if good and bad:
            found.append(1 - (rank[y].sum() - good * (good + 1) / 2) / (good * bad))
    return float(np.mean(found)) if found else 0.5


def fit(
    rows: Rows, cluster: np.ndarray, slope: float, mean: float, *, share: bool = True
) -> np.ndarray:
    """w [T, D + 1], intercepts last.

    Args:
        cluster: of each task, [T], from 0 on.
        slope: penalty of v. mean: penalty of u.
        share: False leaves u at 0.
    """
    from scipy.optimize import minimize

    tasks, width = rows.tasks, rows.x.shape[1] // rows.tasks
    # A number that no row of a task has keeps v = 0, and one that no row has at all u = 0.
    used = np.flatnonzero(np.diff(rows.x.tocsc().indptr))
    place, common = np.unique(cluster[used // width] * width + used % width, return_inverse=True)
    intercept, middle = used % width == width - 1, place % width == width - 1
    own = np.where(intercept, INTERCEPT, slope) ** -0.5
    scale = np.where(middle, 1.0, mean**-0.5) * share
    x = rows.x[:, used]
    columns = x.T.tocsr()

    def weights(flat: np.ndarray) -> np.ndarray:
        result: np.ndarray = (scale * flat[: len(place)])[common] + own * flat[len(place) :]
        return result

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        penalised = np.append(np.where(middle, 0.0, flat[: len(place)]), flat[len(place) :])
        margin = x @ weights(flat)
        value = cross_entropies(rows, margin).sum() + 0.5 * penalised @ penalised
        slopes = columns @ (expit(margin) - rows.y)
        summed = scale * np.bincount(common, slopes, len(place))
        return float(value), np.append(summed, own * slopes) + penalised

    options = {"maxiter": 2000, "maxcor": MEMORY, "ftol": 0.0, "gtol": TOLERANCE * len(rows.y)}
    begin = np.zeros(len(place) + len(used))
    found = np.asarray(minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x)
    means = np.zeros((int(cluster.max()) + 1, width))
    means.ravel()[place] = scale * found[: len(place)]
    w: np.ndarray = means[cluster]
    w.reshape(tasks * width)[used] += own * found[len(place) :]
    return w


def clustered(rows: Rows, clusters: int, rng: torch.Generator) -> np.ndarray:
    """The cluster of each task, [T]: as by k-means, each task goes where the cluster's own logistic
    regression, with an intercept of the task's, loses least on its rows. The best of several random
    beginnings."""
    best, lowest = np.zeros(rows.tasks, int), np.inf
    if clusters == 1:
        return best
    for _ in range(BEGINNINGS):
        own = torch.randperm(rows.tasks, generator=rng).numpy() % clusters
        for _ in range(ROUNDS):
            losses = np.stack([of_cluster(rows, own == one) for one in range(clusters)], 1)
            before, own = own, losses.argmin(1)  # [T, C] -> [T]
            if (own == before).all() or len(np.unique(own)) < clusters:
                break
        if losses.min(1).sum() < lowest:
            best, lowest = np.unique(own, return_inverse=True)[1], losses.min(1).sum()
    return best


def of_cluster(rows: Rows, members: np.ndarray) -> np.ndarray:
    """What every task would lose in a cluster, [T].

    Args:
        members: whether each task is in it so far, [T].
    """
    alike = np.zeros(rows.tasks, int)
    w = fit(rows.where(members[rows.task]), alike, TOGETHER, 1.0)
    w[:] = w[members].mean(0)
    for _ in range(NEWTON):  # on the intercepts alone
        p = expit(rows.x @ w.ravel())
        slope = np.bincount(rows.task, p - rows.y, rows.tasks)
        curve = np.bincount(rows.task, p * (1 - p), rows.tasks)
        w[:, -1] -= np.clip(slope / curve.clip(1e-3), -1, 1)
    return rows.losses(w)
