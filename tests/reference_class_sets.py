"""Slow and obvious re-implementations of the learners of sets of classifications: loops over
examples, classes and tasks, for an encoder of one hidden layer on rows of numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import reference_sets
import torch
from torch import Tensor

Numbers = dict[str, Tensor]


class Example(NamedTuple):
    x: Tensor
    label: float
    task: int


def features(params: Numbers, x: Tensor) -> Tensor:
    """ReLU(W x + b) of one row."""
    return torch.relu(params["backbone.0.weight"] @ x + params["backbone.0.bias"])


def normalised(h: Tensor) -> Tensor:
    centred = h - h.mean()
    return centred / torch.sqrt((centred**2).mean() + 1e-5)


def attend(
    params: Numbers,
    name: str,
    h: Tensor,
    me: tuple[int, object] | None,
    keys: list[Tensor],
    whose: list[tuple[int, object] | None],
    heads: int,
) -> Tensor:
    """Attention of one row; `me` and `whose` are (task, class), a class of None is none."""
    size = len(h) // heads
    q = params[f"{name}.q.weight"] @ h
    both = [params[f"{name}.kv.weight"] @ key for key in keys]
    out = []
    for head in range(heads):
        here = slice(head * size, (head + 1) * size)
        scores = []
        for row, other in zip(both, whose, strict=True):
            score = (q[here] @ row[: len(h)][here]) / math.sqrt(size)
            if me is not None and other is not None:
                if me[0] == other[0]:
                    score = score + params[f"{name}.same"][head]
                if me[1] is not None and me[1] == other[1]:
                    score = score + params[f"{name}.kin"][head]
            scores.append(score)
        weights = torch.softmax(torch.stack(scores), 0)
        out.append(sum(w * row[len(h) :][here] for w, row in zip(weights, both, strict=True)))
    return params[f"{name}.o.weight"] @ torch.cat(out)


def mtnp_logits(
    params: Numbers,
    examples: list[Example],
    asked: tuple[Tensor, int],
    ways: list[int],
    sees: Tensor,
    *,
    shared: bool,
    heads: int,
    blocks: int,
    reads: int,
) -> list[float]:
    """The logits of one query over the classes of its task; -inf of a class that nobody showed."""
    norm = reference_sets.layer_norm
    whose: list[tuple[int, object] | None] = [None]
    rows = [params["null"]]
    for one in examples:
        classified = ways[one.task] > 0
        y = 0.0 if classified else one.label
        f = torch.cat(
            [normalised(features(params, one.x)), torch.tensor([y, y * y], dtype=torch.float64)]
        )
        rows.append(params["token.weight"] @ f + params["token.bias"])
        kind = (int(one.label) if shared else (one.task, int(one.label))) if classified else None
        whose.append((one.task, kind))
    for i in range(blocks):
        name, seen = f"self.{i}", [norm(params, f"self.{i}.attend.norm", row) for row in rows]
        after = []
        for at, row in enumerate(rows):
            me = whose[at]
            looks = (
                [0]
                if me is None
                else [
                    0,
                    *(k for k in range(1, len(rows)) if sees[me[0], whose[k][0]]),  # type: ignore[index]
                ]
            )
            moved = row + attend(
                params,
                name,
                seen[at],
                me,
                [seen[k] for k in looks],
                [whose[k] for k in looks],
                heads,
            )
            after.append(reference_sets.feed(params, name, moved))
        rows = after
    x, task = asked
    h = params["query.weight"] @ normalised(features(params, x)) + params["query.bias"]
    looks = [0, *(k for k in range(1, len(rows)) if sees[task, whose[k][0]])]  # type: ignore[index]
    for i in range(reads):
        name = f"read.{i}"
        keys = [norm(params, f"{name}.keys", rows[k]) for k in looks]
        moved = h + attend(
            params,
            name,
            norm(params, f"{name}.attend.norm", h),
            (task, None),
            keys,
            [whose[k] for k in looks],
            heads,
        )
        h = reference_sets.feed(params, name, moved)
    query, plain = norm(params, "class.norm", h), normalised(features(params, x))
    found = []
    for n in range(ways[task]):
        total, raw, weight = torch.zeros_like(query), torch.zeros_like(plain), 0.0
        seen = [one for one in examples if shared and bool(sees[task, one.task])]
        same = [one for one in seen if ways[one.task] > 0 and int(one.label) == n]
        others = sum(one.task != task for one in same)
        between = math.exp(float(params["class.between"]))
        for at, one in enumerate(examples, 1):
            allowed = one.task == task or (shared and bool(sees[task, one.task]))
            if allowed and ways[one.task] > 0 and int(one.label) == n:
                share = 1.0 if one.task == task else 1 / (1 + between * others)
                total = total + share * norm(params, "class.norm", rows[at])
                raw = raw + share * normalised(features(params, one.x))
                weight += share
        if weight == 0:
            found.append(-math.inf)
            continue
        after = query @ total / (query.norm() * total.norm())
        before = plain @ raw / (plain.norm() * raw.norm())
        scales = (math.exp(float(params[f"class.{name}"])) for name in ("scale", "raw"))
        found.append(sum(s * float(c) for s, c in zip(scales, (after, before), strict=True)))
    return found


def joint_inner_loop(
    params: Numbers,
    examples: list[Example],
    ways: list[int],
    rate: float,
    steps: int,
    *,
    shared: bool,
) -> Numbers:
    """φ of one set whose tasks all share the trunk: heads from class means, then gradient steps on
    the mean over tasks of the mean over classes of the mean cross-entropy."""
    tasks, most = len(ways), max(ways)
    phi = {k: v.clone() for k, v in params.items() if k.startswith("backbone.")}
    for t in range(tasks):
        for n in range(most):
            own = [e for e in examples if e.task == t and int(e.label) == n and ways[t]]
            if shared:  # the mean over tasks of each task's class mean
                means = []
                for s in range(tasks):
                    some = [e for e in examples if e.task == s and int(e.label) == n]
                    if some:
                        means.append(sum(features(phi, e.x) for e in some) / len(some))
                c = sum(means) / len(means)
            elif own:
                c = sum(features(phi, e.x) for e in own) / len(own)
            else:
                c = torch.zeros_like(features(phi, examples[0].x))
            phi[f"w{t}.{n}"], phi[f"b{t}.{n}"] = 2 * c, -(c @ c)
        if not ways[t]:
            phi[f"w{t}.0"], phi[f"b{t}.0"] = params["value.weight"][0], params["value.bias"][0]
    for _ in range(steps):
        phi = {k: v.detach().requires_grad_() for k, v in phi.items()}
        losses = [
            task_loss(phi, [e for e in examples if e.task == t], t, ways) for t in range(tasks)
        ]
        slopes = dict(
            zip(
                phi,
                torch.autograd.grad(sum(losses), list(phi.values()), allow_unused=True),
                strict=True,
            )
        )
        moved = {}
        for name, value in phi.items():
            slope = slopes[name] if slopes[name] is not None else torch.zeros_like(value)
            if name.startswith("backbone."):
                slope = slope / tasks
            elif shared:
                kind, _, n = name[0], *name[1:].partition(".")[1:]
                same = [slopes[f"{kind}{t}.{n}"] for t in range(tasks)]
                slope = sum(s for s in same if s is not None) / tasks
            moved[name] = value - rate * slope
        phi = moved
    return phi


def logits_of(phi: Numbers, x: Tensor, task: int, classes: list[int]) -> Tensor:
    f = features(phi, x)
    return torch.stack([phi[f"w{task}.{n}"] @ f + phi[f"b{task}.{n}"] for n in classes])


def task_loss(phi: Numbers, examples: list[Example], task: int, ways: list[int]) -> Tensor:
    if not ways[task]:
        errors = [(logits_of(phi, e.x, task, [0])[0] - e.label) ** 2 for e in examples]
        return sum(errors) / len(errors)  # type: ignore[return-value]
    classes = sorted({int(e.label) for e in examples})
    total = torch.zeros((), dtype=torch.float64)
    for n in classes:
        own = [e for e in examples if int(e.label) == n]
        each = [
            -torch.log_softmax(logits_of(phi, e.x, task, classes), 0)[classes.index(n)] for e in own
        ]
        total = total + sum(each) / len(each)
    return total / len(classes)
