"""Slow and obvious re-implementations of the learners of sets: loops over labels, heads and
queries."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Numbers = dict[str, Tensor]


def waves(x: Tensor, frequencies: int, period: float) -> Tensor:
    angles = [2 * math.pi * 2**k / period * value for value in x for k in range(frequencies)]
    return torch.stack([*x, *(a.sin() for a in angles), *(a.cos() for a in angles)])


def layer_norm(params: Numbers, name: str, h: Tensor) -> Tensor:
    centred = h - h.mean()
    scaled = centred / torch.sqrt((centred**2).mean() + 1e-5)
    return scaled * params[f"{name}.weight"] + params[f"{name}.bias"]


def attention(
    params: Numbers,
    name: str,
    h: Tensor,
    task: int | None,
    keys: list[Tensor],
    tasks: list[int | None],
    heads: int,
) -> Tensor:
    """One query row against a list of rows; `task` None is the null token."""
    size = len(h) // heads
    q = params[f"{name}.q.weight"] @ h
    both = [params[f"{name}.kv.weight"] @ key for key in keys]
    out = []
    for head in range(heads):
        here = slice(head * size, (head + 1) * size)
        scores = []
        for row, other in zip(both, tasks, strict=True):
            score = (q[here] @ row[: len(h)][here]) / math.sqrt(size)
            if task is not None and other == task:
                score = score + params[f"{name}.same"][head]
            scores.append(score)
        weights = [math.exp(float(score) - float(max(scores))) for score in scores]
        total = sum(weights)
        out.append(
            sum(w / total * row[len(h) :][here] for w, row in zip(weights, both, strict=True))
        )
    return params[f"{name}.o.weight"] @ torch.cat(out)


def feed(params: Numbers, name: str, h: Tensor) -> Tensor:
    gate, value = (
        params[f"{name}.gate.weight"] @ layer_norm(params, f"{name}.feed.norm", h)
    ).chunk(2)
    return h + params[f"{name}.down.weight"] @ (gate * torch.sigmoid(gate) * value)


def set_attention(
    params: Numbers,
    labels: list[tuple[Tensor, float, int]],
    query: tuple[Tensor, int],
    roles: list[int],
    sees: Tensor,
    *,
    heads: int,
    blocks: int,
    reads: int,
    frequencies: int,
    period: float,
) -> tuple[float, float]:
    """Mean and variance at one query (x, task) from labels (x, y, task) of one set."""
    rows: list[Tensor] = [params["null"]]
    tasks: list[int | None] = [None]
    for x, y, task in labels:
        seen = torch.cat([waves(x, frequencies, period), torch.tensor([y, y * y], dtype=x.dtype)])
        rows.append(
            params["token.weight"] @ seen + params["token.bias"] + params["token.role"][roles[task]]
        )
        tasks.append(task)
    for i in range(blocks):
        normed = [layer_norm(params, f"self.{i}.attend.norm", row) for row in rows]
        after = []
        for at, row in enumerate(rows):
            own = tasks[at]
            looks = [
                n
                for n, other in enumerate(tasks)
                if other is None or (own is not None and bool(sees[own, other]))
            ]
            found = attention(
                params,
                f"self.{i}",
                normed[at],
                own,
                [normed[n] for n in looks],
                [tasks[n] for n in looks],
                heads,
            )
            after.append(feed(params, f"self.{i}", row + found))
        rows = after
    x, task = query
    h = params["query.weight"] @ waves(x, frequencies, period) + params["query.bias"]
    h = h + params["query.role"][roles[task]]
    looks = [n for n, other in enumerate(tasks) if other is None or bool(sees[task, other])]
    for i in range(reads):
        name = f"read.{i}"
        keys = [layer_norm(params, f"{name}.keys", rows[n]) for n in looks]
        seen = layer_norm(params, f"{name}.attend.norm", h)
        h = feed(
            params,
            name,
            h + attention(params, name, seen, task, keys, [tasks[n] for n in looks], heads),
        )
    mean, raw = params["out.weight"] @ layer_norm(params, "out.norm", h) + params["out.bias"]
    return float(mean), (1e-3 + math.log1p(math.exp(float(raw)))) ** 2


def trunk_output(
    params: Numbers,
    x: Tensor,
    role: int,
    frequencies: int,
    period: float,
    context: tuple[Tensor, ...] = (),
) -> Tensor:
    """One value from a trunk of SiLU layers and the head of a role; x is one row, beside which the
    contexts stand."""
    seen = waves(x, frequencies, period)
    h = torch.cat([4 / period * seen[: len(x)], seen[len(x) :], *context])
    layer = 0
    while f"trunk.{layer}.weight" in params:
        h = params[f"trunk.{layer}.weight"] @ h + params[f"trunk.{layer}.bias"]
        h = h * torch.sigmoid(h)
        layer += 1
    return params["head.weight"][role] @ h + params["head.bias"][role]


Labels = list[list[tuple[Tensor, float]]]
HEADS = ("head.weight", "head.bias")


def mean_losses(
    phi: Numbers, labels: Labels, roles: list[int], frequencies: int, period: float
) -> list[Tensor]:
    """The mean squared error of each task."""
    losses = []
    for task, (points, role) in enumerate(zip(labels, roles, strict=True)):
        context = (phi["context.set"], phi["context.task"][task]) if "context.set" in phi else ()
        outputs = [trunk_output(phi, x, role, frequencies, period, context) for x, _ in points]
        errors = [(out - y) ** 2 for out, (_, y) in zip(outputs, points, strict=True)]
        losses.append(sum(errors) / len(errors))
    return losses


def shared_inner_loop(
    params: Numbers,
    labels: Labels,
    roles: list[int],
    lr: float,
    steps: int,
    frequencies: int,
    period: float,
    moves: tuple[str, ...] = ("",),
) -> Numbers:
    """One trunk, and one context, for all tasks of a set, moved by the mean of their gradients;
    each head and each task's context by its own. Names that do not begin with `moves` stay."""
    phi = {k: v.detach().clone().requires_grad_() for k, v in params.items()}
    for _ in range(steps):
        losses = mean_losses(phi, labels, roles, frequencies, period)
        after = dict(phi)
        for name, value in phi.items():
            if name.startswith(moves):
                own = name in (*HEADS, "context.task")
                loss = sum(losses) if own else sum(losses) / len(losses)
                (slope,) = torch.autograd.grad(loss, [value], retain_graph=True)
                after[name] = (value - lr * slope).detach().requires_grad_()
        phi = after
    return phi
