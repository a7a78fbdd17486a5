"""Slow and obvious re-implementations, to compare with. Nothing here uses metacli's own arithmetic.

Loops over tasks, classes and examples; gradients by `torch.autograd.grad`. The equations are those
of the papers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Numbers = dict[str, Tensor]
EPS = 1e-5


# --- networks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConvNet:
    """Conv4 read off a parameter dict. `frozen`: batch normalisation by the stored statistics."""

    norm: str
    downsample: str = "pool"
    features: str = "flatten"
    frozen: bool = False

    def __call__(self, params: Numbers, x: Tensor) -> Tensor:
        x = x.to(params["input.scale"].dtype) * params["input.scale"] + params["input.offset"]
        for layer in range(4):
            own = {
                name.removeprefix(f"backbone.{layer}."): value
                for name, value in params.items()
                if name.startswith(f"backbone.{layer}.")
            }
            x = convolution(
                x, own["conv.weight"], own.get("conv.bias"), 2 if self.downsample == "stride" else 1
            )
            x = self.normalised(x, own)
            x = positive_part(x)
            if self.downsample == "pool":
                x = largest_of_four(x)
        return x.mean((2, 3)) if self.features == "mean" else x.reshape(len(x), -1)

    def normalised(self, x: Tensor, own: Numbers) -> Tensor:
        if self.norm == "none":
            return x
        if self.norm in ("batch", "running"):
            if self.frozen:
                x = (x - own["norm.mean"][:, None, None]) / torch.sqrt(
                    own["norm.var"][:, None, None] + EPS
                )
            else:
                x = over_batch(x)
        else:
            x = over_groups(x, 1 if self.norm == "layer" else min(8, x.shape[1]))
        return x * own["norm.weight"][:, None, None] + own["norm.bias"][:, None, None]


def mlp(params: Numbers, x: Tensor) -> Tensor:
    """Every layer with a weight, in order."""
    x = x.reshape(len(x), -1)
    places = sorted({int(name.split(".")[1]) for name in params if name.startswith("backbone.")})
    for place in places:
        x = positive_part(
            x @ params[f"backbone.{place}.weight"].T + params[f"backbone.{place}.bias"]
        )
    return x


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """3x3 with one row of zeros around: nine shifted pictures, each times its own matrix."""
    _, _, height, width = x.shape
    around = torch.nn.functional.pad(x, (1, 1, 1, 1))
    total = torch.zeros(())
    for down in range(3):
        for right in range(3):
            seen = around[:, :, down : down + height : stride, right : right + width : stride]
            total = total + torch.einsum("mchw,dc->mdhw", seen, weight[:, :, down, right])
    return total if bias is None else total + bias[:, None, None]


def over_batch(x: Tensor) -> Tensor:
    """Each channel to mean 0 and variance 1 over all examples and positions."""
    size = x.numel() // x.shape[1]
    mean = x.sum((0, 2, 3), keepdim=True) / size
    variance = ((x - mean) ** 2).sum((0, 2, 3), keepdim=True) / size
    return (x - mean) / torch.sqrt(variance + EPS)


def over_groups(x: Tensor, groups: int) -> Tensor:
    """Each group of neighbouring channels of each example to mean 0 and variance 1."""
    parts = x.unflatten(1, (groups, x.shape[1] // groups))
    size = parts[0, 0].numel()
    mean = parts.sum((2, 3, 4), keepdim=True) / size
    variance = ((parts - mean) ** 2).sum((2, 3, 4), keepdim=True) / size
    return ((parts - mean) / torch.sqrt(variance + EPS)).flatten(1, 2)


def positive_part(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.zeros_like(x))


def largest_of_four(x: Tensor) -> Tensor:
    """The largest of each 2x2 block; an odd last row or column is left out."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    blocks = x[:, :, : 2 * height, : 2 * width].unflatten(3, (width, 2)).unflatten(2, (height, 2))
    return blocks.transpose(3, 4).flatten(4).max(4).values


# --- losses ---------------------------------------------------------------------------------------


def class_averaged(logits: Tensor, y: Tensor) -> Tensor:
    """The mean over the classes present of each class's mean of -log p(right class)."""
    per_class = []
    for label in sorted(set(y.tolist())):
        own = []
        for row, right in zip(logits, y.tolist(), strict=True):
            if right == label:
                own.append(torch.log(torch.exp(row - row.max()).sum()) + row.max() - row[label])
        per_class.append(sum(own[1:], own[0]) / len(own))
    return sum(per_class[1:], per_class[0]) / len(per_class)


def mean_square(prediction: Tensor, y: Tensor) -> Tensor:
    return ((prediction - y) ** 2).sum() / y.numel()


def linear(params: Numbers, features: Tensor) -> Tensor:
    return features @ params["head.weight"].T + params["head.bias"]


def class_means(features: Tensor, y: Tensor) -> Tensor:
    """One mean per class, in the order of the labels."""
    means = []
    for label in sorted(set(y.tolist())):
        own = [row for row, right in zip(features, y.tolist(), strict=True) if right == label]
        means.append(sum(own[1:], own[0]) / len(own))
    return torch.stack(means)


# --- MAML -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MAML:
    """Finn et al. 2017, algorithm 2, with the heads of Triantafillou et al. 2020, section 3.2.
    `lr` may be learned: a function of all numbers, the step and the name."""

    network: Callable[[Numbers, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    lr: float | Callable[[Numbers, int, str], Tensor]
    steps: int
    first_order: bool = False
    head: str = "linear"
    adapts: tuple[str, ...] = ("",)

    def adapted(self, params: Numbers, x: Tensor, y: Tensor, trainable: frozenset[str]) -> Numbers:
        """φ after the last step, differentiable back to `params`."""
        phi = {**params, **self.first_head(params, x, y)}
        moving = [
            n
            for n in phi
            if n.startswith(self.adapts) and (n in trainable or n.startswith("head."))
        ]
        for step in range(self.steps):
            # Views: the gradient by one parameter holds the others, such as a head made from it.
            fast = {name: phi[name].view_as(phi[name]) for name in moving}
            loss = self.loss(linear({**phi, **fast}, self.network({**phi, **fast}, x)), y)
            grads = torch.autograd.grad(
                loss, list(fast.values()), create_graph=True, allow_unused=True
            )
            for name, g in zip(fast, grads, strict=True):
                if g is not None:
                    rate = self.lr(params, step, name) if callable(self.lr) else self.lr
                    phi[name] = phi[name] - rate * (g.detach() if self.first_order else g)
        return phi

    def first_head(self, params: Numbers, x: Tensor, y: Tensor) -> Numbers:
        if self.head == "linear":
            return {}
        way = len(set(y.tolist()))
        if self.head == "shared":
            rows = [params["head.weight"][0] for _ in range(way)]
            return {
                "head.weight": torch.stack(rows),
                "head.bias": torch.stack([params["head.bias"][0] for _ in range(way)]),
            }
        means = class_means(self.network(params, x), y)
        return {
            "head.weight": torch.stack([2 * mean for mean in means]),
            "head.bias": torch.stack([-(mean**2).sum() for mean in means]),
        }

    def task_loss(
        self, params: Numbers, support: tuple, query: tuple, trainable: frozenset[str]
    ) -> Tensor:
        phi = self.adapted(params, support[0], support[1], trainable)
        return self.loss(linear(phi, self.network(phi, query[0])), query[1])


def meta_gradient(
    task_loss: Callable[[Numbers, int], Tensor],
    params: Numbers,
    trainable: frozenset[str],
    tasks: int,
) -> tuple[Numbers, Tensor]:
    """The gradient of the mean loss over tasks by the trainable parameters, and that mean."""
    leaves = {n: v.detach().clone().requires_grad_(n in trainable) for n, v in params.items()}
    losses = [task_loss(leaves, index) for index in range(tasks)]
    mean = sum(losses[1:], losses[0]) / tasks
    names = [name for name in leaves if name in trainable]
    grads = torch.autograd.grad(mean, [leaves[name] for name in names], materialize_grads=True)
    return dict(zip(names, grads, strict=True)), mean.detach()


# --- ProtoNet -------------------------------------------------------------------------------------


def nearest_mean(
    query: Tensor, means: Tensor, distance: str = "euclidean", scale: float = 10.0
) -> Tensor:
    """Snell et al. 2017, equation 2: minus the squared distance, or scale · cosine."""
    rows = []
    for one in query:
        row = []
        for mean in means:
            if distance == "euclidean":
                row.append(-((one - mean) ** 2).sum())
            else:
                row.append(
                    scale
                    * (one * mean).sum()
                    / (torch.sqrt((one**2).sum()) * torch.sqrt((mean**2).sum()))
                )
        rows.append(torch.stack(row))
    return torch.stack(rows)


# --- optimisers -----------------------------------------------------------------------------------


@dataclass
class Adam:
    """Kingma & Ba 2015, algorithm 1; `decoupled`: AdamW's decay (Loshchilov & Hutter 2019)."""

    decay: float = 0.0
    decoupled: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        self.t, self.m, self.v = 0, 0.0, 0.0

    def step(self, value: float, g: float, lr: float) -> float:
        """One number moved along its gradient."""
        if self.decoupled:
            value = value - lr * self.decay * value
        else:
            g = g + self.decay * value
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g * g
        m_hat, v_hat = self.m / (1 - self.beta1**self.t), self.v / (1 - self.beta2**self.t)
        return value - lr * m_hat / (math.sqrt(v_hat) + self.eps)


@dataclass
class Momentum:
    """Gradient descent with momentum, the velocity as torch defines it."""

    momentum: float
    decay: float = 0.0

    def __post_init__(self) -> None:
        self.velocity: float | None = None

    def step(self, value: float, g: float, lr: float) -> float:
        g = g + self.decay * value
        self.velocity = g if self.velocity is None else self.momentum * self.velocity + g
        return value - lr * self.velocity
