"""Adam on a dict of tensors, whatever their leading axes: many small models train at once.

D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, with β1 =
0.9, β2 = 0.999, ε = 1e-8.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from metacli.types import Params

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Moments(NamedTuple):
    """m and v, and how many steps were taken."""

    first: Params
    second: Params
    steps: int


def at_rest(params: Params) -> Moments:
    """Before the first step."""
    zeros = {name: torch.zeros_like(value) for name, value in params.items()}
    return Moments(zeros, {name: value.clone() for name, value in zeros.items()}, 0)


def adam(params: Params, slopes: Params, moments: Moments, rate: float) -> tuple[Params, Moments]:
    """θ after one step."""
    steps = moments.steps + 1
    first = {n: torch.lerp(slopes[n], moments.first[n], BETA1) for n in params}
    second = {n: torch.lerp(slopes[n] * slopes[n], moments.second[n], BETA2) for n in params}
    size, scale = rate / (1 - BETA1**steps), (1 - BETA2**steps) ** 0.5
    moved = {
        n: torch.addcdiv(value, first[n], second[n].sqrt() / scale + EPS, value=-size)
        for n, value in params.items()
    }
    return moved, Moments(first, second, steps)
