"""Newton's steps for a small logistic regression under several C at once.

The same steps as `logistic.by_newton` takes for each of them alone, and the same bits: for a few
numbers the interpreter takes longer than the arithmetic, and for several C at once it takes that
once.

Shape letters: M examples, D numbers of each, N classes, P values of C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FEW = 2000  # numbers to find times examples, up to which that is so
STEPS = 100


def newton_each(
    z: np.ndarray, y: np.ndarray, classes: int, several: Sequence[float], penalty: float
) -> np.ndarray:
    """Weights and, in the last column, intercepts for each C: [P, N, D + 1]."""
    losses_at, inputs, penalised = objectives_of(z, y, classes, penalty)
    # All intercepts may move together without effect: the gradient has no part there, and this
    # keeps the matrix regular without moving the optimum.
    flat_direction = np.kron(np.ones((classes, classes)), np.diag(1.0 - penalised))
    curvature_of_penalty = 2 * penalty * np.diag(np.tile(penalised, classes)) + flat_direction
    whole = np.zeros((len(several), classes * inputs.shape[1]))
    at, c, flat = np.arange(len(several)), np.array(several), whole
    loss, slope, share = losses_at(flat, c)
    for _ in range(STEPS):
        curved = c[:, None, None] * curvatures(share, inputs)
        step = solved_each(curved + curvature_of_penalty, slope)
        decrease = np.array([one @ other for one, other in zip(slope, step, strict=True)])
        going = ~(decrease <= 1e-16 * np.fmax(1.0, loss))
        size, there = np.ones(len(c)), flat - step
        found = losses_at(there, c)
        while (far := going & (found[0] > loss - 0.25 * size * decrease)).any():
            size[far] /= 2
            going &= size >= 1e-8  # below, the loss is at its last digit
            there = flat - size[:, None] * step
            found = losses_at(there, c)
        if not going.all():
            whole[at[~going]] = flat[~going]
            at, c, there = at[going], c[going], there[going]
            found = found[0][going], found[1][going], found[2][going]
        flat, (loss, slope, share) = there, found
        if not len(at):
            break
    whole[at] = flat
    return whole.reshape(len(several), classes, -1)


def curvatures(share: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Second derivatives of each loss by the weights of one class and another: of probabilities
    [P, M, N] and inputs [M, D + 1], [P, N (D + 1), N (D + 1)]."""
    (count, rows, classes), width = share.shape, inputs.shape[1]
    by_class = share.transpose(0, 2, 1)[:, :, :, None]  # [P, N, M, 1]
    spread = by_class * (np.eye(classes)[:, None] - share[:, None])  # [P, N, M, N]
    wide = (inputs[:, :, None] * spread[:, :, :, None]).reshape(count, classes, rows, -1)
    found = (inputs.T @ wide).reshape(count, classes, width, width, classes)
    result: np.ndarray = found.transpose(0, 1, 2, 4, 3).reshape(count, classes * width, -1)
    return result


def solved_each(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The solutions of some systems [P, n, n] and [P, n]."""
    try:
        result: np.ndarray = np.linalg.solve(matrices, vectors[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        result = np.stack(list(map(system_solved, matrices, vectors)))
    return result


def system_solved(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The solution of a system, the shortest where columns of very different size leave the matrix
    singular in float64."""
    try:
        return np.linalg.solve(matrix, vector)
    except np.linalg.LinAlgError:
        result: np.ndarray = np.linalg.lstsq(matrix, vector, rcond=None)[0]
        return result


LossesAt = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def objectives_of(
    z: np.ndarray, y: np.ndarray, classes: int, penalty: float
) -> tuple[LossesAt, np.ndarray, np.ndarray]:
    """The losses [P], their gradients and the probabilities [P, M, N] at flat parameters
    [P, N (D + 1)], each for its C; the inputs with a column of ones; and which columns are
    penalised, [D + 1]."""
    inputs = np.concatenate([z, np.ones((len(z), 1))], 1)  # [M, D + 1]
    target = np.eye(classes)[y]
    penalised = np.ones(inputs.shape[1])
    penalised[-1] = 0.0  # not the intercept

    def losses_at(flat: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weight = flat.reshape(len(c), classes, -1)
        scores = inputs @ weight.transpose(0, 2, 1)
        scores -= scores.max(2, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(2, keepdims=True))
        share = np.exp(logs)
        fit, size = logs * target, weight**2 * penalised
        loss = -c * fit.reshape(len(c), -1).sum(1) + penalty * size.reshape(len(c), -1).sum(1)
        slope = (c[:, None, None] * (share - target).transpose(0, 2, 1)) @ inputs
        slope += 2 * penalty * weight * penalised
        return loss, slope.reshape(len(c), -1), share

    return losses_at, inputs, penalised
