"""What can be known of *shared* sets of functions without meta-learning: `python
benchmarks/functions_bounds.py [SETS]` writes `results/meta_multitask/bounds.json`.

Three bounds on the query error: a Gaussian process for each task, its length scale and amplitude by
the marginal likelihood; least squares that knows which activation each task is, each task alone;
least squares that also knows that the tasks share (a, w, b, c). Least squares is bounded to the
ranges of the generator and started from points drawn from them; the best start counts. A point fit
is no Bayes bound: with few labels a posterior mean does better.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from metacli.data.draws import stream, uniforms
from metacli.data.sets.functions import ACTIVATIONS, LOG_SCALE, NAMES, SHIFT, Functions, theta_of
from metacli.engine.scoring.intervals import over_episodes

OUT = Path(__file__).parent / "results" / "meta_multitask" / "bounds.json"
POINTS = (5, 10, 20)
STARTS = 8
LENGTHS, AMPLITUDES = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0), (0.3, 1.0, 3.0)
JITTER = 1e-6


def main() -> None:
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rows = []
    for points in POINTS:
        source = Functions("shared", points, 200, grid=True, seed=("test", 0), meta_batch=1)
        errors = np.array([bounds(source, index) for index in range(sets)])
        row: dict[str, object] = {"points": points, "sets": sets}
        for name, values in zip(("gp", "family", "family_and_sharing"), errors.T, strict=True):
            row[name] = over_episodes(values).as_dict()
        rows.append(row)
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(json.dumps({"variant": "shared", "rows": rows}, indent=1) + "\n")


def bounds(source: Functions, index: int) -> tuple[float, float, float]:
    """The error of one set under the three bounds."""
    support, query, roles, _ = source.episode(index)
    assert support.mask is not None
    names = [NAMES[role] for role in roles.tolist()]
    x, y = support.x[..., 0].double().numpy(), support.y.double().numpy()
    at, wanted = query.x[..., 0].double().numpy(), query.y.double().numpy()
    known = [np.flatnonzero(row) for row in support.mask.numpy()]
    tasks = [(name, x[t, known[t]], y[t, known[t]]) for t, name in enumerate(names)]
    starts = theta_of(uniforms(stream("bounds", index).random_raw(4 * STARTS)).reshape(STARTS, 4))
    together = fitted(tasks, starts)
    errors = []
    for t, task in enumerate(tasks):
        alone = fitted([task], starts)
        errors.append(
            (
                np.square(gaussian_process(*task[1:], at[t]) - wanted[t]).mean(),
                np.square(value(task[0], at[t], alone) - wanted[t]).mean(),
                np.square(value(task[0], at[t], together) - wanted[t]).mean(),
            )
        )
    first, second, third = np.mean(errors, axis=0)
    return float(first), float(second), float(third)


def value(name: str, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    log_a, log_w, b, c = theta
    return np.exp(log_a) * ACTIVATIONS[name](np.exp(log_w) * x + b) + c


def fitted(tasks: list[tuple[str, np.ndarray, np.ndarray]], starts: np.ndarray) -> np.ndarray:
    """θ of least squares over the labels of these tasks, the best of several starts."""
    limit = np.array([LOG_SCALE, LOG_SCALE, SHIFT, SHIFT])
    residuals = lambda theta: np.concatenate([value(n, x, theta) - y for n, x, y in tasks])  # noqa: E731
    found = [least_squares(residuals, 0.99 * one, bounds=(-limit, limit)) for one in starts]
    return min(found, key=lambda one: one.cost).x


def gaussian_process(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The posterior mean under a squared exponential kernel and a constant mean."""
    best, chosen = -np.inf, np.full(len(at), y.mean())
    rest = y - y.mean()
    for length in LENGTHS:
        kernel = np.exp(-0.5 * np.square((x[:, None] - x) / length))
        for amplitude in AMPLITUDES:
            factor = np.linalg.cholesky(amplitude * kernel + JITTER * np.eye(len(x)))
            weights = np.linalg.solve(factor.T, np.linalg.solve(factor, rest))
            evidence = -0.5 * rest @ weights - np.log(np.diag(factor)).sum()
            if evidence > best:
                cross = amplitude * np.exp(-0.5 * np.square((at[:, None] - x) / length))
                best, chosen = evidence, y.mean() + cross @ weights
    return chosen


if __name__ == "__main__":
    main()
