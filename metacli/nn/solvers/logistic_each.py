"""`fit_logistics` of several small sets of examples at once, as folds of one task are.

Shape letters: P sets, A those of them that are looked at, M examples of the largest, R numbers of
an example, N classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from metacli.nn.solvers.lbfgs_each import Functions, minimised_each
from metacli.nn.solvers.logistic import MOST, fit_logistics

SMALL = 2**15  # products of a step, up to which the interpreter takes longer than the arithmetic
Fitted = dict[float, tuple[Tensor, Tensor]]


def fit_logistics_each(
    sets: Sequence[tuple[Tensor, Tensor]], classes: int, precisions: Mapping[float, float]
) -> list[Fitted]:
    """Weights [N, D] and intercepts [N] of each set for each C, as `fit_logistics` gives them.

    Args:
        sets: features [M, D], D being that of all, and labels of 0..N-1, each at least once.
        precisions: of each C, at least `logistic.ROUGH`: the steps are those of L-BFGS.
    """
    rows = max(len(y) for _, y in sets)
    if len(sets) == 1 or classes * rows * (rows + 1) > SMALL:
        return [fit_logistics(x, y, classes, precisions) for x, y in sets]
    bases, inputs, target = [], [], []
    for x, y in sets:
        basis, upper = torch.linalg.qr(x.to(torch.float64).T)
        z = upper.T.cpu().numpy()  # [M, min(M, D)]
        # Rows and columns of zeros, whose weights stay at 0, make all sets one size.
        padded = np.zeros((rows, min(rows, x.shape[1]) + 1))
        padded[: len(z), : z.shape[1]], padded[: len(z), -1] = z, 1.0
        bases.append(basis)
        inputs.append(padded)
        target.append(np.eye(classes)[y.cpu().numpy()])
    wide = [np.pad(one, ((0, rows - len(one)), (0, 0))) for one in target]
    found = by_steps(np.stack(inputs), np.stack(wide), precisions)
    return [
        {c: placed(solved[number], bases[number]) for c, solved in found.items()}
        for number in range(len(sets))
    ]


def placed(solved: np.ndarray, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Weights on the features themselves, and intercepts."""
    weight, bias = torch.from_numpy(solved[:, :-1]), torch.from_numpy(solved[:, -1].copy())
    weight = weight[:, : basis.shape[1]].to(basis.device)
    return weight @ basis.T, bias.to(basis.device)


def by_steps(
    inputs: np.ndarray, target: np.ndarray, precisions: Mapping[float, float]
) -> dict[float, np.ndarray]:
    """Of each C the solutions [P, N, R + 1], each from that of a tenth of C."""
    sets, classes = len(inputs), target.shape[2]
    known: dict[tuple[float, float], np.ndarray] = {}

    def solved(c: float, precision: float) -> np.ndarray:
        if (c, precision) not in known:
            numbers = classes * inputs.shape[2]
            begin = solved(c / 10, precision / 10) if c > 1 else np.zeros((sets, numbers))
            functions = objectives(inputs, target, c)
            known[c, precision] = minimised_each(functions, begin, np.full(sets, precision), MOST)
        return known[c, precision]

    return {
        c: solved(c, precision).reshape(sets, classes, -1) for c, precision in precisions.items()
    }


def objectives(inputs: np.ndarray, target: np.ndarray, c: float) -> Functions:
    """The loss and gradient of `logistic.objective_of` of each set.

    Args:
        inputs: [P, M, R + 1], the last column ones; rows beyond a set's own are 0.
        target: one-hot, [P, M, N]; of such rows 0.
    """
    classes = target.shape[2]
    penalised = np.ones(inputs.shape[2])
    penalised[-1] = 0.0  # not the intercept
    penalised *= 1.0 if classes == 2 else 0.5
    there = target.sum(2, keepdims=True)  # [P, M, 1]

    def at(flat: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        every = len(which) == len(inputs)
        x, y, real = (one if every else one[which] for one in (inputs, target, there))
        weight = flat.reshape(len(flat), classes, -1)
        scores = x @ weight.transpose(0, 2, 1)  # [A, M, N]
        scores -= scores.max(2, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(2, keepdims=True))
        loss = -c * (logs * y).sum((1, 2)) + (weight**2 * penalised).sum((1, 2))
        away = np.exp(logs) * real - y
        slope = c * (away.transpose(0, 2, 1) @ x) + 2 * penalised * weight
        return loss, slope.reshape(len(flat), -1)

    return at
