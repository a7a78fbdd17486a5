"""Arithmetic on `Params`: what the equations of the algorithms are written in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from metacli.types import Params


def map_params(fn: Callable[..., Tensor], *trees: Params) -> Params:
    """fn applied key by key; all trees have the keys of the first."""
    first, *rest = trees
    return {key: fn(value, *(tree[key] for tree in rest)) for key, value in first.items()}


def add_scaled(params: Params, direction: Params, scale: float | Tensor) -> Params:
    """θ + scale · d, for the keys of `direction`; the other parameters stay as they are."""
    return {**params, **{key: params[key] + scale * step for key, step in direction.items()}}


def subtract(left: Params, right: Params) -> Params:
    """left - right, for the keys of `left`."""
    return map_params(torch.sub, left, {key: right[key] for key in left})


def select(params: Params, prefixes: Iterable[str]) -> Params:
    """The parameters whose name starts with one of the prefixes ("" is every parameter)."""
    starts = tuple(prefixes)
    return {key: value for key, value in params.items() if key.startswith(starts)}


def pick(params: Params, keys: Iterable[str]) -> Params:
    """The parameters of these exact names, in the order of `params`."""
    wanted = frozenset(keys)
    return {key: value for key, value in params.items() if key in wanted}


def without(params: Params, prefix: str) -> Params:
    """The parameters whose name does not start with the prefix."""
    return {key: value for key, value in params.items() if not key.startswith(prefix)}


def dot(left: Params, right: Params) -> Tensor:
    """⟨left, right⟩ over all parameters, a scalar."""
    return torch.stack([(value * right[key]).sum() for key, value in left.items()]).sum()


def detach(params: Params) -> Params:
    return {key: value.detach() for key, value in params.items()}


def clone(params: Params) -> Params:
    """Copies that share no memory with `params`."""
    return {key: value.detach().clone() for key, value in params.items()}


def flatten(params: Params) -> Tensor:
    """All parameters as one vector, [P], in the order of the keys."""
    return torch.cat([value.reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Params) -> Params:
    """The inverse of `flatten`: the vector [P] cut into the shapes of `like`."""
    pieces = vector.split([value.numel() for value in like.values()])
    return {
        key: piece.view_as(value) for (key, value), piece in zip(like.items(), pieces, strict=True)
    }


def all_finite(params: Params) -> bool:
    """One reduction over everything, so that the check costs little beside a step."""
    if not params:
        return True
    return bool(torch.isfinite(torch.stack([value.sum() for value in params.values()])).all())
