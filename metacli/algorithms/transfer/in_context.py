"""In-context learning of a table, as a prior-data fitted network: N. Hollmann, S. Müller, K.
Eggensperger, F. Hutter, "TabPFN: A Transformer That Solves Small Tabular Classification Problems in
a Second", ICLR 2023, https://arxiv.org/abs/2207.01848; attention over the rows and the columns of
cells as in N. Hollmann et al., "Accurate predictions on small data with a tabular foundation
model", Nature 637, 2025, https://doi.org/10.1038/s41586-024-08328-6.

Idea: meta-train a network on generated tables to say what a row's label is, given the rows whose
labels are known. The whole support goes in with every row that is asked; nothing is fitted.

    p(y | x, support) = q_θ(y | x, (x_1, y_1), ..., (x_M, y_M))
    θ = arg min E over generated tables of −log q_θ(y | x, support)

Where we differ: the network (`nn/tables`) is small, and its answers do not depend on the order of
rows, columns or classes by construction and not by averaging; each class is asked for by itself,
with the same weights. Inside is a Gaussian process whose kernel is meta-learned and whose columns
count as much as the attention says (M. Patacchiola et al., "Bayesian Meta-Learning for the Few-Shot
Setting via Deep Kernels", NeurIPS 2020, https://arxiv.org/abs/1910.05199); the attention corrects
it. Of a regression the answer is a mixture of Gaussians, whose mean is the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.transfer import Transfer, network_of, outputs_of
from metacli.errors import UsageProblem
from metacli.nn.backbones.cells import CellsNet
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.nn.tables.answers import Mixture
from metacli.nn.tables.attention import TableAttention
from metacli.nn.tables.cells import NUMBER
from metacli.nn.tables.labels import Known, moments, of_classes, of_values
from metacli.nn.tables.regression import Solved
from metacli.trees import select
from metacli.types import NO_STATE, Batch, Params, State

MOST_ROWS = 3_000  # 4 GB with 6 columns
PRIOR = "prior."  # the network's weights in θ
NETWORK = TableAttention()
CELLS, ANSWERS = "support.cells", "support.answers"
SOLVED = ("process.inverse", "process.weights", "process.noise")


@dataclass(frozen=True, kw_only=True)
class InContext(Transfer):
    frozen = True
    traceable = False

    def usual(self) -> Self:
        return self

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        return [(self, self.predict(problem, self.adapt(problem, params, support), x))]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        """Raises UsageProblem: θ lacks the network's weights."""
        weights = select(params, (PRIOR,))
        if not weights:
            raise UsageProblem(
                "in-context wants the weights of its network",
                hint="metacli adapt tables-prior DATA has those that come with metacli",
            )
        require_readable(support)
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        keep = slice(None) if support.mask is None else support.mask
        cells, y = as_cells(problem, features[keep]), support.y[keep]
        if problem.kind == "classification":
            y = membership(y, outputs_of(problem, support), None, cells.dtype)
        kept = {CELLS: cells, ANSWERS: y.to(cells.dtype)}
        solved = NETWORK.solved(weights_of(weights), cells[None], known_of(problem, kept))
        return {**frozen, **weights, **kept, **dict(zip(SOLVED, solved, strict=True))}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        if problem.kind == "classification":
            return NETWORK.logits(*asked(problem, adapted, x))[0]
        mean, scale = moments(adapted[ANSWERS].T)
        return (self.mixture(problem, adapted, x).mean * scale + mean).T

    def mixture(self, problem: Problem, adapted: Params, x: Tensor) -> Mixture:
        """The distribution of each value, in standard deviations of the support's values from
        their mean, with a leading axis of 1."""
        return NETWORK.mixture(*asked(problem, adapted, x))


def weights_of(params: Params) -> Params:
    """The network's weights in θ, under its own names; what is learned beside them is there, too,
    and nothing that the network asks for."""
    return {name.removeprefix(PRIOR): one for name, one in select(params, (PRIOR,)).items()}


def require_readable(support: Batch) -> None:
    """Raises UsageProblem: more rows than a pair of each with each has room for."""
    if len(support.y) > MOST_ROWS:
        raise UsageProblem(
            f"the network of tables-prior looks at every pair of {len(support.y):,} rows; it reads "
            f"at most {MOST_ROWS:,}",
            hint="metacli adapt columns DATA fits a model to all of them",
        )


def asked(problem: Problem, adapted: Params, x: Tensor) -> tuple[Params, Tensor, Known, Solved]:
    """What the network takes: its weights, the cells of the support and of the rows that are
    asked, the labels, and the process."""
    cells = torch.cat([adapted[CELLS], as_cells(problem, problem.embed(adapted, x))])[None]
    solved = Solved(*(adapted[name] for name in SOLVED))
    return weights_of(adapted), cells, known_of(problem, adapted), solved


def known_of(problem: Problem, kept: Params) -> Known:
    """The labels of a support, one-hot [M, N] or values [M, 1]."""
    answers = kept[ANSWERS]
    return of_classes(answers[None]) if problem.kind == "classification" else of_values(answers.T)


def as_cells(problem: Problem, features: Tensor) -> Tensor:
    """Cells [M, C, 2] of the backbone `cells`; other features [M, D] are numbers that are all
    there."""
    if isinstance(dict(problem.module.named_children()).get("backbone"), CellsNet):
        found: Tensor = features.unflatten(-1, (-1, 2))
        return found
    return torch.stack([features, torch.full_like(features, NUMBER)], -1)
