"""`fit_logistics` of several small sets of examples at once, as folds of one task are.

Shape letters: P sets, A those of them that are looked at, M examples of the largest, R numbers of
an example, N classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metacli.nn.solvers.lbfgs_each import Functions, minimised_each
from metacli.nn.solvers.logistic import MOST, curvature_along, fit_logistics
from metacli.nn.solvers.span import NOTHING

SMALL = 2**15  # products of a step, up to which the interpreter takes longer than the arithmetic
Logits = dict[float, Tensor]
"""Of each C, [Q, N] float64."""


class Asked(NamedTuple):
    """Features of length 1 [M, D] with labels of 0..N-1, each at least once, and others to answer
    for [Q, D], all float64."""

    x: Tensor
    y: Tensor
    query: Tensor


class Products(NamedTuple):
    """What is kept of small sets: x xᵀ [M, M], labels [M] and query xᵀ [Q, M]."""

    own: np.ndarray
    y: np.ndarray
    query: np.ndarray


def answers_each(sets: Iterable[Asked], precisions: Mapping[float, float]) -> list[Logits]:
    """What regressions that are fitted as by `fit_logistics` answer. Of the sets one is looked at
    at a time.

    Args:
        precisions: of each C, at least `logistic.ROUGH`: the steps are those of L-BFGS.
    """
    answers: list[Logits] = []
    small: defaultdict[int, list[tuple[int, Products]]] = defaultdict(list)  # by classes
    for number, (x, y, query) in enumerate(sets):
        classes, rows = int(y.max()) + 1, len(y)
        if classes * rows * (rows + 1) <= SMALL and bool(x.isfinite().all()):
            own, asked = ((one @ x.T).cpu().numpy() for one in (x, query))
            small[classes].append((number, Products(own, y.cpu().numpy(), asked)))
            answers.append({})
        else:
            fitted = fit_logistics(x, y, classes, precisions)
            answers.append({c: query @ weight.T + bias for c, (weight, bias) in fitted.items()})
    for classes, some in small.items():
        found = at_once([one for _, one in some], classes, precisions)
        for (number, _), logits in zip(some, found, strict=True):
            answers[number] = logits
    return answers


def at_once(
    sets: Sequence[Products], classes: int, precisions: Mapping[float, float]
) -> list[Logits]:
    """`answers_each` of small sets of as many classes."""
    rows = max(len(one.y) for one in sets)
    products, target = np.zeros((len(sets), rows, rows)), np.zeros((len(sets), rows, classes))
    for number, (own, y, _) in enumerate(sets):
        # Rows of zeros, whose weights stay at 0, make all sets one size.
        products[number, : len(y), : len(y)] = own
        target[number, np.arange(len(y)), y] = 1.0
    squares, left = np.linalg.eigh(products)  # x xᵀ = U S² Uᵀ, as in `span.by_axes`
    there = squares > NOTHING * rows * squares[:, -1:]
    lengths = np.sqrt(np.where(there, squares, 0.0))
    ones = (target.sum(2) > 0)[:, :, None]
    found = by_steps(np.concatenate([left * lengths[:, None], ones], 2), target, precisions)
    shares = left / np.where(there, lengths, np.inf)[:, None]  # U S⁻¹, [P, M, R]
    answers: list[Logits] = []
    for number, (_, y, query) in enumerate(sets):
        seen = query @ shares[number, : len(y)]  # [Q, R]
        solved = {c: weight[number] for c, weight in found.items()}
        logits = {c: seen @ one[:, :-1].T + one[:, -1] for c, one in solved.items()}
        answers.append({c: torch.from_numpy(one) for c, one in logits.items()})
    return answers


def by_steps(
    inputs: np.ndarray, target: np.ndarray, precisions: Mapping[float, float]
) -> dict[float, np.ndarray]:
    """Of each C the solutions [P, N, R + 1], each from that of a tenth of C; arguments are those of
    `objectives`."""
    sets, classes = len(inputs), target.shape[2]
    penalised = penalty_on(inputs.shape[2], classes)
    known: dict[tuple[float, float], np.ndarray] = {}

    def solved(c: float, precision: float) -> np.ndarray:
        if (c, precision) not in known:
            zeros = np.zeros((sets, classes * inputs.shape[2]))
            begin = solved(c / 10, precision / 10) if c > 1 else zeros
            doubt = doubt_of_each(inputs, target, begin.reshape(sets, classes, -1))
            curved = curvature_along(inputs, doubt, c, 2 * penalised).reshape(sets, -1)
            least, functions = np.full(sets, precision), objectives(inputs, target, c)
            known[c, precision] = minimised_each(functions, begin, least, MOST, curved)
        return known[c, precision]

    return {
        c: solved(c, precision).reshape(sets, classes, -1) for c, precision in precisions.items()
    }


def penalty_on(width: int, classes: int) -> np.ndarray:
    """Of each weight of a class, [R + 1]: none on the intercept."""
    penalised = np.full(width, 1.0 if classes == 2 else 0.5)
    penalised[-1] = 0.0
    return penalised


def doubt_of_each(inputs: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`logistic.doubt_of` each set [P, N], for weights [P, N, R + 1]."""
    scores = inputs @ weight.transpose(0, 2, 1)  # [P, M, N]
    share = np.exp(scores - scores.max(2, keepdims=True))
    share /= share.sum(2, keepdims=True)
    there = target.sum(2, keepdims=True)
    result: np.ndarray = ((share - share**2) * there).sum(1) / there.sum(1)
    return result


def objectives(inputs: np.ndarray, target: np.ndarray, c: float) -> Functions:
    """The loss and gradient of `logistic.objective_of` of each set.

    Args:
        inputs: [P, M, R + 1], the last column ones; rows beyond a set's own are 0.
        target: one-hot, [P, M, N]; of such rows 0.
    """
    classes = target.shape[2]
    penalised = penalty_on(inputs.shape[2], classes)
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
