"""A slow and obvious `TableAttention` of one table: loops over cells, heads, classes and rows, and
a Gaussian process that is solved again without every row.

Shape letters: K streams, N rows of which the first M are the support, C columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from reference_sets import layer_norm
from torch import Tensor

from metacli.nn.tables.attention import TableAttention

Numbers = dict[str, Tensor]
Cell = tuple[float, float]  # value, what it is


class Told(NamedTuple):
    """Of each stream and row that is asked: the last token, and f for each λ."""

    tokens: list[list[Tensor]]
    process: list[list[Tensor]]


def says_the_same(one: Cell, other: Cell, near: bool) -> bool:
    if one[1] == other[1] == 0.0:
        return near
    return one[1] == other[1] and one[0] == other[0]


def column_features(column: list[Cell], support: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Features of each cell, and [N, M]: who says the same, and who differs without two numbers."""
    known = [value for value, what in column[:support] if what == 0.0]
    mean = sum(known) / max(len(known), 1)
    variance = sum((one - mean) ** 2 for one in known) / max(len(known), 1)
    scale = math.sqrt(variance) if variance > 1e-12 * mean**2 + 1e-30 else 1.0
    z = [(value - mean) / scale if what == 0.0 else 0.0 for value, what in column]
    features = []
    same, differ = torch.zeros(2, len(column), support, dtype=torch.float64)
    for i, one in enumerate(column):
        number = float(one[1] == 0.0)
        below = ties = 0.0
        for j in range(support):
            near = abs(z[i] - z[j]) <= 1e-5
            same[i, j] = float(says_the_same(one, column[j], near))
            both = one[1] == column[j][1] == 0.0
            differ[i, j] = float(not both and not same[i, j])
            if column[j][1] == 0.0:
                ties += float(near)
                below += float(z[i] - z[j] > 1e-5)
        place = (below + 0.5 * ties + 0.5) / (len(known) + 1)
        bent = z[i] / math.sqrt(1 + (z[i] / 3) ** 2)
        found = [bent, (2 * place - 1) * number, (bent**2 - 1) * number]
        found += [float(one[1] == 2.0), float(one[1] == 1.0), float(same[i].mean())]
        angles = [speed * bent for speed in (1, 2, 4)]
        angles += [2 * math.pi * turn * place for turn in (0.5, 1, 2)]
        for angle in angles:
            found += [math.sin(angle) * number, math.cos(angle) * number]
        features.append(torch.tensor(found, dtype=torch.float64))
    return features, same, differ


def softmax_mean(scores: list[Tensor], values: list[Tensor]) -> Tensor:
    weights = torch.stack(scores).softmax(0)
    return sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros_like(values[0]))


def part(weight: Tensor, head: int, size: int) -> Tensor:
    return weight[head * size : (head + 1) * size]


def feed(p: Numbers, name: str, h: Tensor, more: Tensor | None = None) -> Tensor:
    inner = layer_norm(p, f"{name}.feed.norm", h)
    upper = p[f"{name}.upper.weight"] @ inner + p[f"{name}.upper.bias"]
    upper = upper if more is None else upper + more
    return h + p[f"{name}.lower.weight"] @ upper.clamp(min=0)


def look_down(
    net: TableAttention, p: Numbers, name: str, h: list, labels: Tensor, same: list[Tensor]
) -> list:
    """What is added to the token of each stream, column and row."""
    rows, support, size = len(h[0][0]), labels.shape[1], net.cell // net.cell_heads
    streams = range(len(h))
    n = [[[layer_norm(p, f"{name}.norm", one) for one in col] for col in s] for s in h]
    wk, wv = p[f"{name}.kv.weight"].chunk(2)
    found = [[[None] * rows for _ in h[0]] for _ in labels]
    for c in range(len(h[0])):
        for i in range(rows):
            outs: list[list[Tensor]] = [[] for _ in labels]
            for head in range(net.cell_heads):
                q = [part(p[f"{name}.q.weight"], head, size) @ n[k][c][i] for k in streams]
                scores, others = [], [j for j in range(support) if j != i]
                for j in others:
                    dots = [q[k] @ (part(wk, head, size) @ n[k][c][j]) for k in streams]
                    bias = p[f"{name}.same"][head] * same[c][i, j]
                    scores.append(sum(dots) / math.sqrt(len(h) * size) + bias)
                none = part(p[f"{name}.none"], head, size)
                scores.append(sum(one @ none for one in q) / math.sqrt(len(h) * size))
                spoken = part(p[f"{name}.label"].T, head, size)  # [size, 2]
                for k, own in enumerate(labels):
                    given = n[k if len(h) > 1 else 0][c]
                    values = [
                        part(wv, head, size) @ given[j]
                        + spoken @ torch.stack([own[j], own[j] ** 2])
                        for j in others
                    ]
                    outs[k].append(softmax_mean(scores, [*values, torch.zeros_like(none)]))
            for k in range(len(labels)):
                found[k][c][i] = p[f"{name}.o.weight"] @ torch.cat(outs[k])
    return found


def look_across(net: TableAttention, p: Numbers, name: str, h: list, asked: int) -> list:
    """What is added to the last `asked` tokens of each stream and row."""
    size, streams = net.cell // net.cell_heads, range(len(h))
    wk, wv = p[f"{name}.kv.weight"].chunk(2)
    n = [[[layer_norm(p, f"{name}.norm", one) for one in col] for col in s] for s in h]
    columns = range(len(h[0]))
    found = [[[None] * len(h[0][0]) for _ in range(asked)] for _ in h]
    for i in range(len(h[0][0])):
        for at, c in enumerate(columns[len(columns) - asked :]):
            outs: list[list[Tensor]] = [[] for _ in h]
            for head in range(net.cell_heads):
                scores = []
                for d in columns:
                    dots = [
                        (part(p[f"{name}.q.weight"], head, size) @ n[k][c][i])
                        @ (part(wk, head, size) @ n[k][d][i])
                        for k in streams
                    ]
                    scores.append(sum(dots) / math.sqrt(len(h) * size))
                for k in streams:
                    values = [part(wv, head, size) @ n[k][d][i] for d in columns]
                    outs[k].append(softmax_mean(scores, values))
            for k in streams:
                found[k][at][i] = p[f"{name}.o.weight"] @ torch.cat(outs[k])
    return found


def process_of(p: Numbers, features: list, differ: list, counts: Tensor, labels: Tensor) -> list:
    """Of each stream and row: f for each λ, and the logarithms of the shares of the variance."""
    rows, support = len(features[0]), labels.shape[1]
    phi = [[p["kernel.weight"] @ one for one in column] for column in features]
    a, b = torch.nn.functional.softplus(p["kernel.parts"])
    t = torch.nn.functional.softplus(p["kernel.differ"])[0]

    def kernel(i: int, j: int) -> Tensor:
        dots = sum(w * phi[c][i] @ phi[c][j] for c, w in enumerate(counts))
        apart = sum(w * (phi[c][i] - phi[c][j]).square().sum() for c, w in enumerate(counts))
        if i != j:
            apart = apart + t * sum(w * differ[c][i, j] for c, w in enumerate(counts))
        return a * dots / counts.sum() + b * torch.exp(-0.5 * apart)

    between = torch.stack(
        [torch.stack([kernel(j, i) for i in range(support)]) for j in range(rows)]
    )
    level = torch.stack([between[i, i] for i in range(support)]).mean()
    found = []
    for y in labels:
        told = []
        for i in range(rows):
            others = [j for j in range(support) if j != i]
            k, values, shares = between[i, others], [], []
            for noise in level * p["kernel.noise"].exp():
                system = between[others][:, others] + noise * torch.eye(len(others))
                values.append(k @ torch.linalg.solve(system, y[others]))
                left = kernel(i, i) - k @ torch.linalg.solve(system, k)
                shares.append((left / kernel(i, i)).clamp(min=1e-4).log())
            told.append(torch.stack([*values, *shares]))
        found.append(told)
    return found


def rows_of(net: TableAttention, p: Numbers, cells: Tensor, labels: Tensor, share: Tensor) -> Told:
    """Args:
    cells: [N, C, 2]. labels: [K, M]. share: [K].
    """
    support, columns = labels.shape[1], cells.shape[1]
    read = [column_features([tuple(one) for one in c.tolist()], support) for c in cells.unbind(1)]
    features, same, differ = (list(one) for one in zip(*read, strict=True))
    h = [[[p["cell.weight"] @ f + p["cell.bias"] for f in column] for column in features]]
    same += [torch.zeros(len(cells), support)] * net.tokens
    for at in range(net.cell_blocks):
        added = look_down(net, p, f"cells.{at}.down", h, labels, same)
        h = [
            [[h[k if len(h) > 1 else 0][c][i] + one for i, one in enumerate(col)]
             for c, col in enumerate(stream)]
            for k, stream in enumerate(added)
        ]  # fmt: skip
        if at == 0:
            for k, one in enumerate(share):
                whole = [one, float(len(share) > 1), math.log(support / 30)]
                whole += [math.log(columns / 6), math.log(len(share))]
                told = torch.tensor(whole, dtype=torch.float64)
                made = p["token.weight"] @ told + p["token.bias"]
                h[k] += [[token] * len(cells) for token in made.chunk(net.tokens)]
        asked = net.tokens if at == net.cell_blocks - 1 else len(h[0])
        added = look_across(net, p, f"cells.{at}.across", h, asked)
        h = [
            [[feed(p, f"cells.{at}", kept[i] + more[i]) for i in range(len(cells))]
             for kept, more in zip(stream[-asked:], extra, strict=True)]
            for stream, extra in zip(h, added, strict=True)
        ]  # fmt: skip
        if at == 0:
            w, bias = p["kernel.counts.weight"][0], p["kernel.counts.bias"][0]
            means = [
                torch.stack([w @ s[c][i] + bias for s in h for i in range(support)]).mean()
                for c in range(columns)
            ]
            counts = torch.nn.functional.softplus(torch.stack(means))
    process = process_of(p, features, differ, counts, labels)
    return through_rows(net, p, h, process, labels)


def through_rows(net: TableAttention, p: Numbers, h: list, process: list, labels: Tensor) -> Told:
    """The blocks over rows."""
    support, size = labels.shape[1], net.width // net.heads
    tokens = []
    for k, stream in enumerate(h):
        each = []
        for i in range(len(stream[0])):
            token = torch.cat([one[i] for one in stream]) + p["process.weight"] @ process[k][i]
            if i < support:
                said = torch.stack([labels[k, i], labels[k, i] ** 2])
                token = token + p["label.weight"] @ said + p["label.bias"]
            each.append(token)
        tokens.append(each)
    for at in range(net.blocks):
        name = f"rows.{at}"
        wk, wv = p[f"{name}.kv.weight"].chunk(2)
        looked = []
        for each in tokens:
            n = [layer_norm(p, f"{name}.norm", one) for one in each]
            row = []
            for i, one in enumerate(each):
                outs = []
                for head in range(net.heads):
                    q = part(p[f"{name}.q.weight"], head, size) @ n[i]
                    keys = [part(wk, head, size) @ n[j] for j in range(support)]
                    values = [part(wv, head, size) @ n[j] for j in range(support)]
                    outs.append(softmax_mean([q @ key / math.sqrt(size) for key in keys], values))
                row.append(one + p[f"{name}.o.weight"] @ torch.cat(outs))
            looked.append(row)
        tokens = []
        for each in looked:
            row = []
            for i, one in enumerate(each):
                inner = [layer_norm(p, f"{name}.feed.norm", other[i]) for other in looked]
                mean = torch.stack(inner).mean(0)
                row.append(feed(p, name, one, p[f"{name}.classes.weight"] @ mean))
            tokens.append(row)
    levels = len(process[0][0]) // 2
    return Told(
        [[layer_norm(p, "out.norm", one) for one in each[support:]] for each in tokens],
        [[one[:levels] for one in each[support:]] for each in process],
    )
