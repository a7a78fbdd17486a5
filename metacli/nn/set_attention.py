"""Attention over all observed labels of a set of tasks: a network whose weights are a dict.

A token is one observed label: x, sines and cosines of x, y, y^2 and the role of its task. Blocks of
self-attention pass over the tokens of a set, then blocks of cross-attention read them at the query
points (x, role). One learned null token, which sees itself alone, is there to be looked at where
nothing else helps. Which tasks see each other is a mask [B, T, T]: tasks that do not see each other
change nothing about each other's answers.

Shape letters: B sets, T tasks, M support points, Q query points, N tokens, D inputs, C width, H
heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.types import Batch, Params, SetEpisode

NULL = -1  # the task of the null token
LEAST_SCALE = 1e-3  # of a predicted standard deviation


class Gaussian(NamedTuple):
    """A predictive distribution for every query: mean and variance, both [B, T, Q]."""

    mean: Tensor
    variance: Tensor


class Tokens(NamedTuple):
    """Observed labels: features [B, N, 2 + D + ...], tasks int64 [B, N], valid [B, N]; kin, int64
    [B, N], is equal where two labels are of the same class, negative where there is none."""

    features: Tensor
    tasks: Tensor
    valid: Tensor
    kin: Tensor | None = None


class Pairs(NamedTuple):
    """For L tokens or queries and all tokens, all [B, 1, L, 1+N]: 0 where one may look at the other
    and -inf where not; 1 where they are of the same task; 1 where they are of the same class."""

    barred: Tensor
    same: Tensor
    kin: Tensor | None = None


@dataclass(frozen=True)
class SetAttention:
    """The network of `mtnp`.

    Args:
        inputs: D. roles: named tasks of the source, 0 where tasks have no names.
        blocks: of self-attention; `reads` of cross-attention.
        frequencies: octaves of sines and cosines of each input, the lowest with period `period`.
        kin: whether labels may be classes, so that attention adds a learned number where two are of
        the same one.
    """

    inputs: int
    roles: int
    width: int = 64
    heads: int = 4
    blocks: int = 4
    reads: int = 2
    frequencies: int = 4
    period: float = 20.0
    kin: bool = False

    @property
    def coordinates(self) -> int:
        """Features of x alone."""
        return self.inputs * (1 + 2 * self.frequencies)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every parameter."""
        wide, hidden = self.width, 2 * self.width
        found: dict[str, tuple[int, ...]] = {
            "token.weight": (wide, self.coordinates + 2),
            "token.bias": (wide,),
            "query.weight": (wide, self.coordinates),
            "query.bias": (wide,),
            "null": (wide,),
            "out.norm.weight": (wide,),
            "out.norm.bias": (wide,),
            "out.weight": (2, wide),
            "out.bias": (2,),
        }
        if self.roles:
            found |= {"token.role": (self.roles, wide), "query.role": (self.roles, wide)}
        names = [f"self.{i}" for i in range(self.blocks)] + [f"read.{i}" for i in range(self.reads)]
        for name in names:
            for norm in ("attend.norm", "feed.norm"):
                found |= {f"{name}.{norm}.weight": (wide,), f"{name}.{norm}.bias": (wide,)}
            found |= {
                f"{name}.same": (self.heads,),
                f"{name}.q.weight": (wide, wide),
                f"{name}.kv.weight": (2 * wide, wide),
                f"{name}.o.weight": (wide, wide),
                f"{name}.gate.weight": (2 * hidden, wide),
                f"{name}.down.weight": (wide, hidden),
            }
        if self.kin:
            found |= {f"self.{i}.kin": (self.heads,) for i in range(self.blocks)}
        for i in range(self.reads):
            found |= {f"read.{i}.keys.weight": (wide,), f"read.{i}.keys.bias": (wide,)}
        return found

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh weights: normal with variance 1 / inputs, what is added to the stream smaller."""
        rng = torch.Generator().manual_seed(seed)
        params: Params = {}
        smaller = (2 * (self.blocks + self.reads)) ** -0.5
        for name, shape in self.shapes.items():
            if "norm" in name or ".keys." in name:
                value = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
            elif name.endswith((".bias", ".same", ".kin")):
                value = torch.zeros(shape)
            elif name.endswith("role") or name == "null":
                value = torch.randn(shape, generator=rng) * 0.5
            else:
                scale = smaller if name.endswith(("o.weight", "down.weight")) else 1.0
                value = torch.randn(shape, generator=rng) * scale * shape[-1] ** -0.5
            params[name] = value.to(dtype)
        return params

    def forward(self, params: Params, episodes: SetEpisode, sees: Tensor) -> Gaussian:
        """What every task of every set says at its query points.

        Args:
            sees: bool [B, T, T], whether task t may look at the labels of task s; an equivalence.
        """
        tokens = self.encode(params, episodes.support, episodes.roles, sees)
        return self.read(params, tokens, episodes.query.x, episodes.roles, sees)

    def encode(self, params: Params, support: Batch, roles: Tensor, sees: Tensor) -> Encoded:
        """The tokens of a set after self-attention, the null token first."""
        return self.self_attend(params, self.observed(support), roles, sees)

    def self_attend(self, params: Params, tokens: Tokens, roles: Tensor, sees: Tensor) -> Encoded:
        """Blocks of self-attention over tokens."""
        h = F.linear(tokens.features, params["token.weight"], params["token.bias"])
        h = h + self.role(params, "token.role", roles).gather(1, spread(tokens.tasks, self.width))
        null = params["null"].expand(len(h), 1, -1)
        h = torch.cat([null, h], 1)  # [B, 1+N, C]
        first = torch.full_like(tokens.tasks[:, :1], NULL)
        pairs = self.pairs(tokens, torch.cat([first, tokens.tasks], 1), sees, h.dtype)
        if tokens.kin is not None:
            pairs = pairs._replace(kin=kinship(tokens.kin, h.dtype))
        for i in range(self.blocks):
            h = self.block(params, f"self.{i}", h, None, pairs)
        return Encoded(h, tokens)

    def read(
        self, params: Params, encoded: Encoded, x: Tensor, roles: Tensor, sees: Tensor
    ) -> Gaussian:
        """Cross-attention from the query points x [B, T, Q, D]."""
        h = self.looked(params, encoded, x, roles, sees)  # [B, T, Q, C]
        out = F.linear(norm(params, "out.norm", h), params["out.weight"], params["out.bias"])
        mean, raw = out.unbind(-1)
        return Gaussian(mean, (LEAST_SCALE + F.softplus(raw)).square())

    def looked(
        self, params: Params, encoded: Encoded, x: Tensor, roles: Tensor, sees: Tensor
    ) -> Tensor:
        """The query points after cross-attention, [B, T, Q, C]."""
        sets, tasks, points = x.shape[:3]
        h = F.linear(self.waves(x), params["query.weight"], params["query.bias"])
        h = (h + self.role(params, "query.role", roles)[:, :, None]).flatten(1, 2)  # [B, T*Q, C]
        asked = torch.arange(tasks, device=x.device).repeat_interleave(points).expand(sets, -1)
        pairs = self.pairs(encoded.tokens, asked, sees, h.dtype)
        for i in range(self.reads):
            name = f"read.{i}"
            keys = norm(params, f"{name}.keys", encoded.values)
            h = self.block(params, name, h, keys, pairs)
        result: Tensor = h.unflatten(1, (tasks, points))
        return result

    def observed(self, support: Batch, kin: Tensor | None = None) -> Tokens:
        """The labels that are known, gathered to the front; kin as `Tokens`', but [B, T, M]."""
        mask = (
            torch.ones_like(support.y, dtype=torch.bool) if support.mask is None else support.mask
        )
        flat = mask.flatten(1)  # [B, T*M]
        most = int(flat.sum(1).max())
        at = torch.argsort(~flat, dim=1, stable=True)[:, :most]  # [B, N]
        x = support.x.flatten(1, 2).gather(1, spread(at, self.inputs))
        y = support.y.flatten(1).gather(1, at)[..., None]
        valid = flat.gather(1, at)
        features = torch.cat([self.waves(x), y, y.square()], -1)
        tasks = at // support.y.shape[-1]
        alike = None if kin is None else kin.flatten(1).gather(1, at)
        return Tokens(torch.where(valid[..., None], features, 0), tasks, valid, alike)

    def pairs(self, tokens: Tokens, asked: Tensor, sees: Tensor, dtype: torch.dtype) -> Pairs:
        """How tokens or queries of the tasks `asked` [B, L] stand to all tokens, the null token
        first. The null token itself (`NULL`) looks at nothing else."""
        rows = sees.gather(1, spread(asked.clamp(min=0), sees.shape[-1]))  # [B, L, T]
        columns = tokens.tasks[:, None].expand(-1, asked.shape[1], -1)  # [B, L, N]
        allowed = rows.gather(2, columns) & tokens.valid[:, None] & (asked != NULL)[..., None]
        same = columns == asked[..., None]
        first = torch.ones_like(allowed[..., :1])
        barred = torch.zeros(*asked.shape, 1 + columns.shape[-1], device=sees.device, dtype=dtype)
        barred.masked_fill_(~torch.cat([first, allowed], 2), -math.inf)
        return Pairs(barred[:, None], torch.cat([~first, same], 2)[:, None].to(dtype))

    def block(
        self,
        params: Params,
        name: str,
        h: Tensor,
        keys: Tensor | None,
        pairs: Pairs,
    ) -> Tensor:
        """One pre-norm block: attention to `keys` or to itself, then SwiGLU."""
        seen = norm(params, f"{name}.attend.norm", h)
        h = h + self.attend(params, name, seen, seen if keys is None else keys, pairs)
        gate, value = F.linear(
            norm(params, f"{name}.feed.norm", h), params[f"{name}.gate.weight"]
        ).chunk(2, -1)
        return h + F.linear(F.silu(gate) * value, params[f"{name}.down.weight"])

    def attend(self, params: Params, name: str, h: Tensor, keys: Tensor, pairs: Pairs) -> Tensor:
        """Multi-head attention with a learned number per head, added where a token is of the same
        task."""
        q = F.linear(h, params[f"{name}.q.weight"]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        kv = F.linear(keys, params[f"{name}.kv.weight"]).unflatten(-1, (2, self.heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4)
        bias = params[f"{name}.same"][:, None, None]
        scores = torch.addcmul(pairs.barred, pairs.same, bias)  # [B, H, L, 1+N]
        if pairs.kin is not None:
            scores = scores + pairs.kin * params[f"{name}.kin"][:, None, None]
        scores = scores + (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        found = torch.softmax(scores, -1) @ v  # [B, H, L, C/H]
        return F.linear(found.transpose(1, 2).flatten(2), params[f"{name}.o.weight"])

    def waves(self, x: Tensor) -> Tensor:
        """x [..., D] with its sines and cosines, [..., D (1 + 2 F)]."""
        octaves = 2.0 ** torch.arange(self.frequencies, device=x.device, dtype=x.dtype)
        angles = (2 * math.pi / self.period * octaves * x[..., None]).flatten(-2)
        return torch.cat([x, angles.sin(), angles.cos()], -1)

    def role(self, params: Params, name: str, roles: Tensor) -> Tensor:
        """What is added for the role of each task, [B, T, C]; nothing for a task without one."""
        if not self.roles:
            return params["null"].new_zeros(*roles.shape, self.width)
        return params[name][roles.clamp(min=0)] * (roles >= 0)[..., None]


class Encoded(NamedTuple):
    """A set after self-attention: values [B, 1+N, C] and the tokens they began as."""

    values: Tensor
    tokens: Tokens


def kinship(kin: Tensor, dtype: torch.dtype) -> Tensor:
    """1 where two labels [B, N] are of the same class, [B, 1, 1+N, 1+N] with the null token."""
    alike = (kin[:, :, None] == kin[:, None]) & (kin >= 0)[..., None]
    return F.pad(alike.to(dtype), (1, 0, 1, 0))[:, None]


def norm(params: Params, name: str, h: Tensor) -> Tensor:
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    return F.layer_norm(h, h.shape[-1:], weight, bias)


def spread(at: Tensor, size: int) -> Tensor:
    """Indices [B, N] for a gather of rows of `size`: [B, N, size]."""
    return at[..., None].expand(*at.shape, size)
