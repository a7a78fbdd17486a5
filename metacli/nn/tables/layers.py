"""Layers of `TableAttention`, as functions of parameters by name."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from metacli.types import Params


def attention_shapes(name: str, width: int, keys: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.norm.weight": (width,),
        f"{name}.norm.bias": (width,),
        f"{name}.q.weight": (width, width),
        f"{name}.kv.weight": (2 * width, keys),
        f"{name}.o.weight": (width, width),
    }


def feed_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.feed.norm.weight": (width,),
        f"{name}.feed.norm.bias": (width,),
        f"{name}.upper.weight": (2 * width, width),
        f"{name}.upper.bias": (2 * width,),
        f"{name}.lower.weight": (width, 2 * width),
    }


def feed(params: Params, name: str, h: Tensor) -> Tensor:
    """A token's own layer."""
    inner = norm(params, f"{name}.feed.norm", h)
    upper = F.linear(inner, params[f"{name}.upper.weight"], params[f"{name}.upper.bias"])
    return h + F.linear(F.relu(upper), params[f"{name}.lower.weight"])


def heads_of(h: Tensor, heads: int) -> Tensor:
    """[..., N, D] to [..., H, N, D/H]."""
    found: Tensor = h.unflatten(-1, (heads, -1)).transpose(-2, -3)
    return found


def norm(params: Params, name: str, h: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:], params[f"{name}.weight"], params[f"{name}.bias"])
