"""Small problems and episodes for numerical tests: random numbers of a seed, float64.

B meta-batch, N way, K shot, Q query, D features, M any number of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metacli.nn.backbones.table import make_backbone
from metacli.nn.layers.inputs import PixelInput
from metacli.nn.problem import Problem, Statistics, make_module
from metacli.types import Batch, Episode, Params

SIDE = 16  # four halvings leave one position


def pictures(
    tasks: int, way: int = 3, shot: int = 2, query: int = 2, *, side: int = SIDE, seed: int = 0
) -> Episode:
    """Random pictures whose classes differ in brightness: x uint8 [B, N*K, 1, H, W]."""
    rng = torch.Generator().manual_seed(seed)

    def half(each: int) -> Batch:
        y = torch.arange(way).repeat_interleave(each).expand(tasks, -1).contiguous()
        noise = torch.randint(0, 180, (tasks, way * each, 1, side, side), generator=rng)
        light = 70 * y / max(1, way - 1)
        return Batch((noise + light[..., None, None, None]).to(torch.uint8), y)

    return Episode(half(shot), half(query))


def waves(tasks: int, shot: int = 5, query: int = 6, *, seed: int = 0) -> Episode:
    """A meta-batch of sine waves: x and y [B, K, 1]."""
    rng = torch.Generator().manual_seed(seed)
    amplitude, phase = (torch.rand(tasks, 1, 1, generator=rng, dtype=torch.float64) for _ in "ap")

    def half(points: int) -> Batch:
        x = 10 * torch.rand(tasks, points, 1, generator=rng, dtype=torch.float64) - 5
        return Batch(x, (0.5 + amplitude) * torch.sin(x - 3 * phase))

    return Episode(half(shot), half(query))


def conv_problem(
    head: int | None,
    *,
    norm: str = "group",
    chunk: int = 1,
    width: int = 16,
    side: int = SIDE,
    **options: Any,
) -> Problem:
    """Conv4 on [1, H, W] pictures."""
    backbone = make_backbone("conv4", {"width": width, "norm": norm, **options})
    module, features = backbone.build((1, side, side))
    found: dict[str, Statistics] = {"batch": "support", "task": "support", "running": "running"}
    return Problem(
        module=make_module(PixelInput(1, invert=True), module),
        features=features,
        kind="classification",
        head=head,
        statistics=found.get(norm, "none"),
        chunk=chunk,
    )


def wave_problem(hidden: Sequence[int] = (8, 7), *, chunk: int = 1) -> Problem:
    """An MLP from one number to one number."""
    module, features = make_backbone("mlp", {"hidden": list(hidden)}).build((1,))
    return Problem(
        module=make_module(nn.Identity(), module),
        features=features,
        kind="regression",
        head=1,
        chunk=chunk,
    )


def bare_problem(kind: Any, features: int, head: int | None, *, chunk: int = 1) -> Problem:
    """No network at all: the features are the inputs."""
    module = make_module(nn.Identity(), nn.Identity())
    return Problem(module=module, features=features, kind=kind, head=head, chunk=chunk)


def shaken(problem: Problem, seed: int = 0, dtype: torch.dtype = torch.float64) -> Params:
    """θ with every trained number off its round start, so that a forgotten gain or bias shows."""
    rng = torch.Generator().manual_seed(seed + 1)
    params = problem.init(seed, torch.float64)
    moved = {
        name: value + 0.1 * torch.randn(value.shape, generator=rng, dtype=torch.float64)
        if name in problem.trainable
        else value
        for name, value in params.items()
    }
    return {name: value.to(dtype) for name, value in moved.items()}


def task(episodes: Episode, index: int = 0) -> Episode:
    """One task of a meta-batch."""
    return each_tensor(lambda value: value[index], episodes)


def each_tensor(fn: Callable[[Tensor], Tensor], episodes: Episode) -> Episode:
    return Episode(*(Batch(*(None if v is None else fn(v) for v in half)) for half in episodes))


def padded(batch: Batch, extra: int) -> Batch:
    """The same examples with `extra` rows of junk behind them, masked out."""
    mask = torch.arange(len(batch.y) + extra) < len(batch.y)
    junk = torch.full((extra, *batch.x.shape[1:]), 200).to(batch.x.dtype)
    zeros = torch.zeros(extra, *batch.y.shape[1:], dtype=batch.y.dtype)
    return Batch(torch.cat([batch.x, junk]), torch.cat([batch.y, zeros]), mask)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_same(found: Params, wanted: Params, *, atol: float = 1e-10, rtol: float = 0.0) -> None:
    """The same names, shapes and numbers."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(
            found[name], value, atol=atol, rtol=rtol, msg=lambda text, name=name: f"{name}: {text}"
        )


def assert_bits(found: Params, wanted: Params) -> None:
    """The same names and the same bits."""
    assert set(found) == set(wanted)
    assert [name for name, value in wanted.items() if not torch.equal(found[name], value)] == []


def copied(value: Any) -> Any:
    """A deep copy of tensors in dicts and tuples."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return (
            type(value)(*map(copied, value))
            if hasattr(value, "_fields")
            else tuple(map(copied, value))
        )
    return value
