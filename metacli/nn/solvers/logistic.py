"""Multinomial logistic regression in closed arithmetic: the simple model that everything learned
is compared with.

The same objective as scikit-learn's default, so that a user can check it there; here because
importing scikit-learn would cost `adapt` more time than its whole work on a small folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from metacli.nn.solvers.lbfgs import Function, minimised
from metacli.nn.solvers.newton_each import FEW, newton_each, system_solved
from metacli.nn.solvers.span import in_span

ROUGH = 1e-6  # precision from which a few steps of L-BFGS are the faster way whatever the size
MOST = 10_000  # steps
BLOCK = 2**18  # scores that are computed at a time where there are more: 2 MB
NEWTON = 600  # numbers to find, up to which a system of equations is the faster way
FLAT = 1e-12  # of the largest curvature, the smallest that counts


def fit_logistic(
    x: Tensor, y: Tensor, classes: int, c: float = 1.0, precision: float = 1e-9
) -> tuple[Tensor, Tensor]:
    """Weights [N, D] and intercepts [N] minimising C Σ cross-entropy + ½ ‖W‖², in float64.

    For two classes scikit-learn penalises the one vector w₁ − w₀, which is ‖W‖² here.

    Args:
        x: features [M, D].
        y: labels [M], each of 0..N-1 at least once.
        precision: the largest part of the gradient that is left, where there are many parameters.
    """
    return fit_logistics(x, y, classes, {c: precision})[c]


def fit_logistics(
    x: Tensor, y: Tensor, classes: int, precisions: Mapping[float, float]
) -> dict[float, tuple[Tensor, Tensor]]:
    """`fit_logistic` for several C, each with its precision; what they share is computed once."""
    # In an orthonormal basis of the examples' span, where the optimum lies: D may be far larger
    # than M, and the penalty keeps its form.
    placed, back = in_span(x.to(torch.float64))
    z, labels = placed.cpu().numpy(), y.cpu().numpy()  # [M, at most min(M, D)]
    penalty = 1.0 if classes == 2 else 0.5
    small = classes * (z.shape[1] + 1) <= NEWTON
    exact = [c for c, precision in precisions.items() if small and precision < ROUGH]
    if len(exact) > 1 and classes * (z.shape[1] + 1) * len(z) <= FEW:
        by_c = dict(zip(exact, newton_each(z, labels, classes, exact, penalty), strict=True))
    else:
        by_c = {c: by_newton(z, labels, classes, c, penalty) for c in exact}
    others = {c: precision for c, precision in precisions.items() if c not in by_c}
    by_c |= by_steps(z, labels, classes, penalty, others)
    found: dict[float, tuple[Tensor, Tensor]] = {}
    for c in precisions:
        solved = by_c[c]
        weight, bias = torch.from_numpy(solved[:, :-1]), torch.from_numpy(solved[:, -1])
        found[c] = (back(weight.to(x.device)), bias.to(x.device))
    return found


def by_newton(z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float) -> np.ndarray:
    """Weights and, in the last column, intercepts: [N, D + 1].

    Newton's steps, halved until the loss falls (S. Boyd, L. Vandenberghe, "Convex Optimization",
    2004, section 9.5): about ten where L-BFGS needs hundreds of raw pixels.
    """
    loss_at, inputs, penalised = objective_of(z, y, classes, c, penalty)
    flat = np.zeros(classes * inputs.shape[1])
    # All intercepts may move together without effect: the gradient has no part there, and this
    # keeps the matrix regular without moving the optimum.
    flat_direction = np.kron(np.ones((classes, classes)), np.diag(1.0 - penalised))
    curvature_of_penalty = 2 * penalty * np.diag(np.tile(penalised, classes)) + flat_direction
    loss, slope, share = loss_at(flat)
    for _ in range(100):
        step = system_solved(c * curvature(share, inputs) + curvature_of_penalty, slope)
        decrease, size = float(slope @ step), 1.0
        if decrease <= 1e-16 * max(1.0, loss):
            break
        while (found := loss_at(flat - size * step))[0] > loss - 0.25 * size * decrease:
            size /= 2
            if size < 1e-8:  # at the last digit of the loss
                return flat.reshape(classes, -1)
        flat, (loss, slope, share) = flat - size * step, found
    return flat.reshape(classes, -1)


def curvature(share: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Second derivatives of the loss by the weights of one class and another: of probabilities
    [M, N] and inputs [M, D + 1], [N (D + 1), N (D + 1)]."""
    classes, width = share.shape[1], inputs.shape[1]
    found, own = np.empty((classes, width, classes, width)), np.eye(classes)
    for i in range(classes):
        spread = share[:, i, None] * (own[i] - share)  # [M, N]
        wide = (inputs[:, :, None] * spread[:, None]).reshape(len(inputs), -1)
        found[i] = (inputs.T @ wide).reshape(width, width, classes).transpose(0, 2, 1)
    return found.reshape(classes * width, -1)


def by_steps(
    z: np.ndarray,
    y: np.ndarray,
    classes: int,
    penalty: float,
    precisions: Mapping[float, float],
) -> dict[float, np.ndarray]:
    """Weights and, in the last column, intercepts of each C: [N, R + 1].

    Each is found from that of a tenth of C, which is near; so whoever asks for one C alone gets the
    bits of whoever asks for several.
    """
    known: dict[tuple[float, float], np.ndarray] = {}

    def solved(c: float, precision: float) -> np.ndarray:
        if (c, precision) not in known:
            begin = solved(c / 10, precision / 10) if c > 1 else None
            known[c, precision] = by_lbfgs(z, y, classes, c, penalty, precision, begin)
        return known[c, precision]

    return {c: solved(c, precision) for c, precision in precisions.items()}


def curvature_along(
    inputs: np.ndarray, doubt: np.ndarray, c: float, penalised: np.ndarray
) -> np.ndarray:
    """About the second derivative of the loss by each weight, [..., N, R + 1].

    D. Böhning, "Multinomial logistic regression algorithm", Annals of the Institute of Statistical
    Mathematics 44, 1992, bounds all of them by one matrix for the most doubtful answers; here for
    answers as doubtful as those at the beginning are on average.

    Args:
        inputs: [..., M, R + 1]. doubt: of each class, the mean of p (1 - p), [..., N].
        penalised: twice the penalty on each weight, [R + 1].
    """
    length = np.square(inputs).sum(-2)  # [..., R + 1]
    curved = c * doubt[..., None] * length[..., None, :] + penalised
    # Of a column of zeros, or where there is no doubt left.
    smallest = FLAT * curved.max((-1, -2), keepdims=True)
    result: np.ndarray = np.maximum(curved, np.where(smallest > 0, smallest, 1.0))
    return result


def doubt_of(inputs: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The mean of p (1 - p) of each class [N], for inputs [M, R + 1] and weights [N, R + 1]; a
    block of examples at a time."""
    rows, total = max(1, BLOCK // len(weight)), np.zeros(len(weight))
    for first in range(0, len(inputs), rows):
        scores = inputs[first : first + rows] @ weight.T
        scores -= scores.max(1, keepdims=True)
        share = np.exp(scores)
        share /= share.sum(1, keepdims=True)
        total += (share - share**2).sum(0)
    return total / len(inputs)


def by_lbfgs(
    z: np.ndarray,
    y: np.ndarray,
    classes: int,
    c: float,
    penalty: float,
    precision: float = 1e-9,
    begin: np.ndarray | None = None,
) -> np.ndarray:
    """The same where the matrix of second derivatives would be large.

    Args:
        begin: where the descent begins, [N, D + 1]; None: at 0.
    """
    start = np.zeros((classes, z.shape[1] + 1)) if begin is None else begin
    inputs = with_ones(z)
    penalised = np.append(np.full(z.shape[1], 2 * penalty), 0.0)  # not the intercept
    curved = curvature_along(inputs, doubt_of(inputs, start), c, penalised).ravel()
    if len(z) * classes > BLOCK:
        function = objective_in_blocks(z, y, classes, c, penalty)
    else:
        loss_at, _, _ = objective_of(z, y, classes, c, penalty)
        function = lambda flat: loss_at(flat)[:2]  # noqa: E731
    found = minimised(function, start.ravel(), precision, MOST, curved)
    return found.reshape(classes, -1)


def with_ones(z: np.ndarray) -> np.ndarray:
    """[M, D + 1], for the intercepts."""
    return np.concatenate([z, np.ones((len(z), 1))], 1)


def objective_in_blocks(
    z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float
) -> Function:
    """The loss and gradient of `objective_of` for many classes and examples: a block of examples at
    a time, in memory that stays in the processor's cache and is used again, one exponential for
    each number. All at once, thousands of classes wrote a dozen matrices [M, N] a step."""
    inputs = with_ones(z)
    penalised = np.ones(inputs.shape[1])
    penalised[-1] = 0.0  # not the intercept
    rows = max(1, BLOCK // classes)
    memory = np.empty((min(rows, len(z)), classes))

    def loss_at(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = flat.reshape(classes, -1)
        loss = penalty * float((weight**2 * penalised).sum())
        slope = 2 * penalty * weight * penalised
        for first in range(0, len(inputs), rows):
            part, labels = inputs[first : first + rows], y[first : first + rows]
            at = np.arange(len(part)), labels
            scores = np.matmul(part, weight.T, out=memory[: len(part)])
            scores -= scores.max(1, keepdims=True)
            own = scores[at]
            np.exp(scores, out=scores)
            total = scores.sum(1)
            loss += c * float((np.log(total) - own).sum())
            scores /= total[:, None]
            scores[at] -= 1.0
            slope += c * (scores.T @ part)
        return loss, slope.ravel()

    return loss_at


LossAt = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


def objective_of(
    z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float
) -> tuple[LossAt, np.ndarray, np.ndarray]:
    """The loss, its gradient and the probabilities [M, N] at flat parameters [N (D + 1)]; the
    inputs with a column of ones; and which columns are penalised, [D + 1]."""
    inputs = with_ones(z)
    target = np.eye(classes)[y]
    penalised = np.ones(inputs.shape[1])
    penalised[-1] = 0.0  # not the intercept

    def loss_at(flat: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        weight = flat.reshape(classes, -1)
        scores = inputs @ weight.T
        scores -= scores.max(1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        share = np.exp(logs)
        loss = -c * (logs * target).sum() + penalty * (weight**2 * penalised).sum()
        slope = c * (share - target).T @ inputs + 2 * penalty * weight * penalised
        return float(loss), slope.ravel(), share

    return loss_at, inputs, penalised
