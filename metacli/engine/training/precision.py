"""How a GPU multiplies numbers of 32 bits while a run trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from metacli.errors import EnvironmentProblem


@contextmanager
def products_of(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, products keep ten bits of each factor where `train.precision` is tf32, and all of
    them otherwise: torch takes ten for convolutions unless it is told.

    Raises:
        EnvironmentProblem: tf32 on another device than a GPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise EnvironmentProblem(
            f"train.precision=tf32 is of GPUs, and the device is {device}",
            code="environment.device",
            hint="--device cuda, or train.precision=float32",
        )
    if device.type != "cuda":
        yield
        return
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
