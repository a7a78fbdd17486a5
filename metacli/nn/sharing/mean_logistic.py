"""Mean-regularised logistic regressions, of rows of numbers or of sparse n-grams, solved exactly.

T. Evgeniou, M. Pontil, "Regularized multi-task learning", KDD 2004, here with logistic loss:

    w_t = u + v_t,   min Σ_t loss_t(X_t w_t) + slope/2 Σ_t |v_t|² + mean/2 |u|²

The pooled model (slope → ∞) and one model for each task (mean → ∞) are among its solutions. Tasks
may be of several kinds that have little in common; then u is that of the task's cluster, and who is
in which is found as by k-means (the hard form of L. Jacob, F. Bach, J.-P. Vert, "Clustered
multi-task learning", NeurIPS 2008). The number of clusters and both penalties are chosen on inner
folds of the training rows, by the loss, or by how well each task's rows are put in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from metacli.nn.sharing.linear_logits import Rows, clustered, disorder, fit, mean_loss
from metacli.nn.sharing.mean_ridge import Positive
from metacli.nn.sharing.scheme import Sharing, heads
from metacli.types import Batch, Params

Choice = tuple[int, float, float]
"""Clusters, and the penalties slope and mean."""


@dataclass(frozen=True, kw_only=True)
class MeanLogistic(Sharing):
    """Options.

    Args:
        slope: to choose from, of a task's deviation from its mean, in units of rows.
        mean: of the mean weights themselves.
        clusters: numbers of clusters to choose from.
        share: False leaves every mean at 0: each task by itself.
        folds: inner folds of the training rows.
        judge: what is compared on them: the mean `loss` of all rows, or the mean over tasks of 1 -
            the area under the ROC curve (`auc`).
    """

    slope: tuple[Positive, ...] = (3.0, 10.0, 30.0, 100.0)
    mean: tuple[Positive, ...] = (0.1, 1.0)
    clusters: tuple[Annotated[int, Ge(1)], ...] = (1,)
    share: bool = True
    folds: Annotated[int, Ge(2)] = 3
    judge: Literal["loss", "auc"] = "loss"

    needs_trunk = False
    sparse = True  # packed rows come as sparse tensors
    kinds = ("classification",)

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        return as_params(np.zeros((tasks, sizes[0] + 1)), np.zeros(tasks), (0.0, 0.0))

    def forward(self, params: Params, x: Tensor) -> Tensor:
        return sparse_heads(params, x.coalesce()) if x.is_sparse else heads(params, x)

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def choices(self) -> Iterator[Choice]:
        """What to try. Without sharing there are no means, and no clusters."""
        if self.share:
            return product(self.clusters, self.slope, self.mean)
        return product((1,), self.slope, (1.0,))

    def solve(
        self, batch: Batch, rng: torch.Generator, binary: Tensor | None = None
    ) -> tuple[Params, Tensor]:
        """Weights for standardised rows [T, M, D] and labels [T, M], and what `judge` says of every
        choice on inner folds, [C]."""
        w, own, penalties, scores = self.chosen(Rows.of(batch), rng)
        return as_params(w, own, penalties), scores

    def chosen(
        self, rows: Rows, rng: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, float], Tensor]:
        """w [T, D + 1], clusters [T], penalties, and the scores of all choices."""
        choices = list(self.choices())
        fold = np.empty(len(rows.y), int)
        for task in range(rows.tasks):
            own = np.flatnonzero(rows.task == task)
            fold[own] = torch.randperm(len(own), generator=rng).numpy() % self.folds
        logits = np.zeros((len(choices), len(rows.y)))  # of held-out rows
        for k in range(self.folds):
            inner, held = rows.where(fold != k), rows.where(fold == k)
            found = {count: clustered(inner, count, rng) for count, *_ in choices}
            for number, (count, slope, mean) in enumerate(choices):
                w = fit(inner, found[count], slope, mean, share=self.share)
                logits[number, fold == k] = held.x @ w.ravel()
        judge = mean_loss if self.judge == "loss" else disorder
        scores = torch.tensor([judge(rows, one) for one in logits], dtype=torch.float64)
        count, slope, mean = choices[int(scores.argmin())]
        own = clustered(rows, count, rng)
        w = fit(rows, own, slope, mean, share=self.share)
        return w, own, (slope, mean), scores

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params:
        """Weights for other rows, with the clusters and penalties that were chosen before."""
        slope, mean = params["mean.penalties"].tolist()
        own = params["mean.clusters"].numpy().astype(int)
        w = fit(Rows.of(batch), own, slope, mean, share=self.share)
        return as_params(w, own, (slope, mean))


def as_params(w: np.ndarray, clusters: np.ndarray, penalties: tuple[float, float]) -> Params:
    return {
        "heads.weight": torch.from_numpy(w[:, :-1].copy()),
        "heads.bias": torch.from_numpy(w[:, -1].copy()),
        "mean.clusters": torch.from_numpy(clusters.astype(np.float64)),
        "mean.penalties": torch.tensor(penalties, dtype=torch.float64),
    }


def sparse_heads(params: Params, x: Tensor) -> Tensor:
    """`heads` of sparse rows [T, M, D] or [M, D]: [T, M]."""
    weight, bias = params["heads.weight"], params["heads.bias"]
    if x.dim() == 2:
        result: Tensor = torch.sparse.mm(x, weight.T).T + bias[:, None]
        return result
    task, row, place = x.indices()
    out = bias[:, None].repeat(1, x.shape[1])
    at = task * x.shape[1] + row
    return out.view(-1).index_add(0, at, x.values() * weight[task, place]).view_as(out)
