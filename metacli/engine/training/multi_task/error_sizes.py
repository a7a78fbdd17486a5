"""How large a task's errors are, where many tasks have few held-out rows each.

G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression in
microarray experiments", Statistical Applications in Genetics and Molecular Biology 3, 2004: the
variances of the tasks are scaled inverse chi-squares about a common one, how far apart they lie is
estimated from all of them (section 6.2), and each is a mean of its own and the common one. A task
whose errors are small keeps a narrow interval, one with three rows does not believe three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.scoring.multi_task_params import predictions
from metacli.nn.selected import ChosenProblem, Trained
from metacli.types import Params

COVERED = 0.95
FEW = 40  # errors of a task below which their own quantile is too rough
SMALLEST = 1e-5  # of the median mean square, in whose place errors of zero stand
ALIKE = 1e6  # degrees of freedom of the common variance that are as good as endless


class Common(NamedTuple):
    """The variance that tasks have in common, and how many rows it counts as."""

    variance: float
    rows: float


def residual_spread(
    problem: Trained | ChosenProblem, params: Params, rows: MultiTaskRows
) -> dict[str, float]:
    """Of each regression, by its number, the `widths` of its errors on validation rows."""
    y, found = rows.numbers("val")[1], predictions(problem, params, rows, "val")
    errors = {
        task: np.abs(one - found[task])
        for task, one in enumerate(y)
        if not problem.binary[task] and len(one)
    }
    sizes = widths(errors, params["target.scale"].tolist()) if errors else {}
    return {str(task): size for task, size in sizes.items()}


def widths(errors: Mapping[int, np.ndarray], scales: Sequence[float]) -> dict[int, float]:
    """For each task the size that 95 % of its absolute errors stay below.

    Its own quantile from `FEW` errors on. Below, the quantile over all tasks of errors in units of
    what the other rows say of their task's size, times the size of this task.

    Args:
        errors: of each task at least one, absolute.
        scales: of each task's targets, in which the common variance is counted.
    """
    parts = {task: one / scales[task] for task, one in errors.items()}
    common = common_variance(list(parts.values()))
    relative = [  # each error by the rows that it is not among
        one / np.sqrt(moderated((one**2).sum() - one**2, len(one) - 1, common))
        for one in parts.values()
    ]
    quantile = np.quantile(np.concatenate(relative), COVERED)
    sizes = {
        task: scales[task] * np.sqrt(moderated((one**2).sum(), len(one), common))
        for task, one in parts.items()
    }
    return {
        task: float(np.quantile(one, COVERED) if len(one) >= FEW else quantile * sizes[task])
        for task, one in errors.items()
    }


def moderated(squares: np.ndarray | float, rows: int, common: Common) -> np.ndarray:
    """The variance of a task with this sum of squares, together with the common one."""
    return np.asarray((common.rows * common.variance + squares) / (common.rows + rows))


def common_variance(errors: Sequence[np.ndarray]) -> Common:
    """By the moments of the logarithms of the tasks' mean squares."""
    rows = np.array([len(one) for one in errors], float)
    mean_squares = np.array([np.mean(one**2) for one in errors])
    floor = SMALLEST * (np.median(mean_squares) or mean_squares.max() or 1.0)
    logs = np.log(np.maximum(mean_squares, floor)) - digamma(rows / 2) + np.log(rows / 2)
    mean = logs.mean()
    beyond = (logs.var(ddof=1) if len(logs) > 1 else 0.0) - polygamma(1, rows / 2).mean()
    half = ALIKE / 2
    if beyond > polygamma(1, half):
        half = brentq(lambda at: polygamma(1, at) - beyond, 1e-3, half)
    return Common(float(np.exp(mean + digamma(half) - np.log(half))), 2 * half)
