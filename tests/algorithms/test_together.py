"""Transductive heads: BD-CSPN and TIM, beside slow code that follows the papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toys

from metacli.algorithms.transfer.bd_cspn import BDCSPN
from metacli.algorithms.transfer.tim import TIM
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH, WAY = 5, 3


def task(shots: int = 2, queries: int = 7) -> tuple[Batch, torch.Tensor]:
    """Support and queries: noisy class directions, queries moved by a constant."""
    draw = torch.Generator().manual_seed(1)
    means = torch.randn(WAY, WIDTH, generator=draw, dtype=torch.float64) * 2

    def rows(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(WAY).repeat_interleave(count)
        noise = torch.randn(len(y), WIDTH, generator=draw, dtype=torch.float64)
        return means[y] + noise, y

    (x, y), (query, _) = rows(shots), rows(queries)
    return Batch(x, y), query + 0.3


def unit(rows: np.ndarray) -> np.ndarray:
    return np.array([row / np.sqrt(sum(v * v for v in row)) for row in rows])


def softmax(values: np.ndarray) -> np.ndarray:
    found = np.exp(values - values.max())
    return found / found.sum()


def bd_cspn(support: Batch, x: torch.Tensor, scale: float, most: int) -> np.ndarray:
    """Equations 2 to 6, one number after the other."""
    s, y, q = unit(support.x.numpy()), support.y.numpy(), unit(x.numpy())
    prototypes = [s[y == n].mean(0) for n in range(WAY)]
    q = q + (s.mean(0) - q.mean(0))

    def cos(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    chances = np.array([softmax(np.array([scale * cos(z, p) for p in prototypes])) for z in q])
    better = []
    for n in range(WAY):
        theirs = [i for i in range(len(q)) if chances[i].argmax() == n]
        theirs = sorted(theirs, key=lambda i: -chances[i, n])[:most]
        rows = [*s[y == n], *(q[i] for i in theirs)]
        weights = softmax(np.array([scale * cos(z, prototypes[n]) for z in rows]))
        better.append(sum(w * z for w, z in zip(weights, rows, strict=True)))
    return np.array([[scale * cos(z, p) for p in better] for z in q])


def tim(support: Batch, x: torch.Tensor, scale: float, steps: int) -> np.ndarray:
    """Propositions 1 and 2, with λ = α = 0.1."""
    s, y, q = unit(support.x.numpy()), support.y.numpy(), unit(x.numpy())
    w = np.array([s[y == n].mean(0) for n in range(WAY)])

    def chances(z: np.ndarray) -> np.ndarray:
        return softmax(np.array([-scale / 2 * ((z - one) ** 2).sum() for one in w]))

    for _ in range(steps):
        p_s, p_q = np.array([chances(z) for z in s]), np.array([chances(z) for z in q])
        sure = np.array(
            [
                [p_q[i, n] ** 1.1 / np.sqrt((p_q[:, n] ** 1.1).sum()) for n in range(WAY)]
                for i in range(len(q))
            ]
        )
        sure /= sure.sum(1, keepdims=True)
        new = np.zeros_like(w)
        for n in range(WAY):
            above, below, share = np.zeros(WIDTH), 0.0, len(s) / len(q)
            for i, z in enumerate(s):
                above += 0.1 / 1.1 * ((y[i] == n) * z + p_s[i, n] * (w[n] - z))
                below += 0.1 / 1.1 * (y[i] == n)
            for i, z in enumerate(q):
                above += share * (sure[i, n] * z + p_q[i, n] * (w[n] - z))
                below += share * sure[i, n]
            new[n] = above / below
        w = new
    return np.array([np.log(chances(z)) for z in q])


@pytest.mark.parametrize("most", [1, 3, 50])
def test_bd_cspn_is_the_papers(most: int) -> None:
    support, x = task()
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = BDCSPN(scale=10.0, most=most)
    found = learner.predict_together(problem, learner.adapt(problem, {}, support), x)
    np.testing.assert_allclose(found.numpy(), bd_cspn(support, x, 10.0, most), atol=1e-10)


@pytest.mark.parametrize("steps", [1, 12])
def test_tim_is_the_papers(steps: int) -> None:
    support, x = task()
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = TIM(scale=15.0, steps=steps)
    found = learner.predict_together(problem, learner.adapt(problem, {}, support), x)
    wanted = tim(support, x, 15.0, steps)
    np.testing.assert_allclose(torch.log_softmax(found, 1).numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize("learner", [BDCSPN(scale=10.0), TIM(scale=15.0)])
def test_queries_answered_together_do_not_depend_on_their_order(
    learner: BDCSPN | TIM,
) -> None:
    support, x = task(1, 30)
    problem = toys.bare_problem("classification", WIDTH, None)
    adapted = learner.adapt(problem, {}, support)
    found = learner.predict_together(problem, adapted, x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    again = learner.predict_together(problem, adapted, x[order])
    torch.testing.assert_close(again, found[order])


def test_tim_without_steps_answers_as_for_one_query_at_a_time() -> None:
    support, x = task()
    problem = toys.bare_problem("classification", WIDTH, None)
    learner = TIM(scale=15.0, steps=0)
    adapted = learner.adapt(problem, {}, support)
    together, alone = (f(problem, adapted, x) for f in (learner.predict_together, learner.predict))
    torch.testing.assert_close(together, alone)
