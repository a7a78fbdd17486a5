"""`TaskProblem`: the network of many tasks without its weights, and what "wrong" means for each.

The first layer standardises x, the last one gives a regression its unit back, with statistics that
are part of θ (`input.*`, `target.*`), so that a saved model needs nothing else. Where a task has
more than two classes, every head has as many outputs as the most classes, K; those that a task does
not use are left out of its loss and its answers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metacli.autodiff import Add, added_up
from metacli.nn.layers.fresh import draw_weights
from metacli.nn.sharing.scheme import Block, Sharing
from metacli.types import Batch, Params

PREFIX = "trunk.encoder."
STATISTICS = ("input.mean", "input.scale", "target.mean", "target.scale")


@dataclass(frozen=True)
class RowShare:
    """The rows that one of several processes computes the losses of.

    Args:
        add: the sum over all processes of what each of them gives.
    """

    rank: int
    size: int
    add: Add

    def of(self, batch: Batch) -> Batch:
        """Every `size`-th row of each task, so that padding, which comes last, is divided too."""
        mine = slice(self.rank, None, self.size)
        mask = None if batch.mask is None else batch.mask[:, mine]
        return Batch(batch.x[..., mine, :], batch.y[:, mine], mask)


def row_counts(batch: Batch) -> Tensor | int:
    """The rows of each task, [T], or their number where no task is padded."""
    return batch.y.shape[1] if batch.mask is None else batch.mask.sum(1).clamp(min=1)


@dataclass(frozen=True)
class TaskProblem:
    """The network of all tasks.

    Args:
        sharing: the scheme (`nn.sharing`).
        sizes: columns D and the trunk's hidden units.
        binary: whether each task is a classification, [T].
        metric_name: by which the tasks together are judged.
        classes: of each task, 0 of a regression; () where every classification has two.
        encoder: what reads an image or a text before the trunk; then sizes[0] are its features.
        columns: D where there is an encoder.
        share: of the rows of a batch, where several processes have the others.
    """

    sharing: Sharing
    sizes: tuple[int, ...]
    binary: tuple[bool, ...]
    metric_name: str = "loss"
    classes: tuple[int, ...] = ()
    encoder: Encoder | None = None
    columns: int = 0
    share: RowShare | None = None

    @property
    def kind(self) -> str:
        """Whether the metric is an error (`regression`) or a success, as `Problem.kind` does."""
        errors = ("loss", "nmse", "rmse")
        return "regression" if self.metric_name in errors else "classification"

    @property
    def num_tasks(self) -> int:
        return len(self.binary)

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of what the optimiser sees."""
        fixed = (*STATISTICS, "penalties", "covariance", "clusters")
        return frozenset(name for name in self.init(0) if not name.endswith(fixed))

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Names of the parameters that all tasks share, first layer first."""
        return self.sharing.shared(tuple(self.init(0)))

    @cached_property
    def blocks(self) -> list[Block]:
        """Tasks that share parameters, and the names of these."""
        return self.sharing.blocks(tuple(self.init(0)), self.num_tasks)

    @cached_property
    def is_binary(self) -> Tensor:
        return torch.tensor(self.binary)

    @property
    def outputs(self) -> int:
        """K: of each head."""
        return max((*self.classes, 1)) if max((*self.classes, 0)) > 2 else 1

    @cached_property
    def used(self) -> Tensor:
        """Which outputs are classes of each task, [T, K]."""
        counts = torch.tensor(self.classes)
        return torch.arange(self.outputs) < counts[:, None]

    def init(self, seed: int) -> Params:
        """Fresh θ; statistics that change nothing, to be replaced by those of the training
        rows."""
        rng = torch.Generator().manual_seed(seed)
        params = self.sharing.init(self.sizes, self.num_tasks, rng)
        if self.outputs > 1:
            params |= wide_heads(params, self.outputs, rng, alike=self.apart)
        if self.encoder is not None:
            params |= self.encoder.init(seed, self.num_tasks, each=self.apart)
        dtype = next(iter(params.values())).dtype
        columns, tasks = self.columns or self.sizes[0], self.num_tasks
        return {
            **params,
            "input.mean": torch.zeros(columns, dtype=dtype),
            "input.scale": torch.ones(columns, dtype=dtype),
            "target.mean": torch.zeros(tasks, dtype=dtype),
            "target.scale": torch.ones(tasks, dtype=dtype),
        }

    def inputs(self, params: Params, x: Tensor) -> Tensor:
        """x as the network sees it. Texts may come packed, as places and weights; these are not
        standardised."""
        size = params["input.mean"].shape[0]
        if x.shape[-1] != size:
            if self.sharing.sparse:
                return as_sparse(x.to(params["input.mean"].dtype), size)
            x = unpacked(x, size)
        return (x.to(params["input.mean"].dtype) - params["input.mean"]) / params["input.scale"]

    @property
    def apart(self) -> bool:
        """Whether each task has a network of its own."""
        return self.sharing.apart

    @property
    def copies(self) -> bool:
        """Whether `losses` also takes shared parameters with a leading task axis."""
        return self.sharing.copies and self.encoder is None

    @property
    def one_network(self) -> bool:
        """Whether a new task can begin with a network of theirs."""
        return self.sharing.one_network

    def forward(self, params: Params, x: Tensor) -> Tensor:
        """Standardised values or logits [T, M], or [T, M, K], of standardised x."""
        if self.encoder is not None:
            x = self.encoder.forward(params, x, each=self.apart)
        return self.sharing.forward(params, x)

    def predict(self, params: Params, x: Tensor) -> Tensor:
        """[T, M]: values in the target's unit, or the probability of class 1. With more classes
        [T, M, K]: the probability of every class, or the value and nothing."""
        out = self.forward(params, self.inputs(params, x))
        lead = (slice(None),) + (None,) * (out.dim() - 1)
        values = out * params["target.scale"][lead] + params["target.mean"][lead]
        chances = torch.sigmoid(out) if self.outputs == 1 else torch.softmax(self.logits(out), -1)
        if self.outputs > 1:
            values = torch.cat([values[..., :1], torch.zeros_like(values[..., 1:])], -1)
        return torch.where(self.is_binary.to(out.device)[lead], chances, values)

    def logits(self, out: Tensor) -> Tensor:
        """Logits over the classes of each task, [T, M, K]: the classes that it lacks are out."""
        return out.masked_fill(~self.used.to(out.device)[:, None], -torch.inf)

    def standardised(self, params: Params, batch: Batch) -> Batch:
        """The batch with x and y as the losses see them."""
        y = batch.y.to(params["target.mean"].dtype)
        y = (y - params["target.mean"][:, None]) / params["target.scale"][:, None]
        return Batch(self.inputs(params, batch.x), y, batch.mask)

    def losses(self, params: Params, batch: Batch) -> Tensor:
        """The mean loss of each task, [T]: squared error of standardised targets, or
        cross-entropy."""
        if self.share is not None:
            part, counts = self.share.of(batch), row_counts(batch)
            mean = lambda theta: self.loss_sums(theta, part) / counts  # noqa: E731
            return added_up(mean, params, self.share.add)
        seen = self.standardised(params, batch)
        each = self.row_losses(self.forward(params, seen.x), seen.y)
        if seen.mask is None:
            return each.mean(1)
        return torch.where(seen.mask, each, 0).sum(1) / seen.mask.sum(1).clamp(min=1)

    def loss_sums(self, params: Params, batch: Batch) -> Tensor:
        """The sum of each task's losses over its rows, [T]."""
        seen = self.standardised(params, batch)
        each = self.row_losses(self.forward(params, seen.x), seen.y)
        return each.sum(1) if seen.mask is None else torch.where(seen.mask, each, 0).sum(1)

    def row_losses(self, out: Tensor, y: Tensor) -> Tensor:
        """[T, M]; y as `standardised` gives it."""
        values = out if self.outputs == 1 else out[..., 0]
        squared = (values - y).square()
        if not any(self.binary):
            return squared
        if self.outputs == 1:
            crossed = F.binary_cross_entropy_with_logits(out, y, reduction="none")
        else:
            # A regression's row of logits has no class at all: any finite number will do there.
            logits = torch.where(self.is_binary.to(out.device)[:, None, None], self.logits(out), 0)
            label = torch.where(self.is_binary.to(out.device)[:, None], y, 0).long()
            crossed = F.cross_entropy(logits.movedim(-1, 1), label, reduction="none")
        return torch.where(self.is_binary[:, None].to(out.device), crossed, squared)

    def penalty(self, params: Params) -> Tensor:
        return self.sharing.penalty(params)


def unpacked(x: Tensor, features: int) -> Tensor:
    """[..., 2 L], places and then weights, to [..., F]."""
    places, weights = x.chunk(2, -1)
    blank = weights.new_zeros(*x.shape[:-1], features)
    return blank.scatter_add(-1, places.long(), weights)


def as_sparse(x: Tensor, features: int) -> Tensor:
    """[..., 2 L], places and then weights, to sparse [..., F]."""
    places, weights = x.chunk(2, -1)
    at = weights.nonzero(as_tuple=True)
    indices = torch.stack([*at[:-1], places[at].long()])
    size = (*x.shape[:-1], features)
    return torch.sparse_coo_tensor(indices, weights[at], size, check_invariants=True)


def wide_heads(params: Params, outputs: int, rng: torch.Generator, *, alike: bool) -> Params:
    """Heads of several outputs, [T, K, F] and [T, K], in place of those of one.

    Args:
        alike: all tasks begin with the same head.
    """
    found: Params = {}
    for name, weight in params.items():
        prefix, ending, _ = name.partition("heads.weight")
        if not ending:
            continue
        tasks, features = weight.shape
        drawn = 1 if alike else tasks
        drawings = {
            "heads.weight": torch.rand(drawn, outputs, features, generator=rng),
            "heads.bias": torch.rand(drawn, outputs, generator=rng),
        }
        for key, value in drawings.items():
            wide = (2 * value - 1) * features**-0.5
            found[prefix + key] = wide.expand(tasks, *value.shape[1:]).clone()
    return found


@dataclass(frozen=True)
class Encoder:
    """A network that reads one example from a row of D numbers: an image from its pixels.

    Its parameters are `trunk.encoder.*`, [T, ...] where each task has its own.
    """

    module: nn.Module
    shape: tuple[int, ...]

    def init(self, seed: int, tasks: int, *, each: bool) -> Params:
        """Fresh weights; the same for all tasks where each has its own."""
        module = copy.deepcopy(self.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            draw_weights(module)
        found = {PREFIX + name: value.detach() for name, value in module.state_dict().items()}
        if not each:
            return found
        return {name: v.expand(tasks, *v.shape).clone() for name, v in found.items()}

    def forward(self, params: Params, x: Tensor, *, each: bool) -> Tensor:
        """Features of x [M, D] or [T, M, D]: [T, M, F], or [M, F] where all is shared."""
        own = {k.removeprefix(PREFIX): v for k, v in params.items() if k.startswith(PREFIX)}
        if not each:
            found = self.read(own, x.reshape(-1, x.shape[-1]))
            return found.reshape(*x.shape[:-1], -1)
        tasks = len(next(iter(own.values())))
        rows = x.expand(tasks, *x.shape[-2:])
        parts = [self.read({k: v[t] for k, v in own.items()}, rows[t]) for t in range(tasks)]
        return torch.stack(parts)

    def read(self, own: Params, x: Tensor) -> Tensor:  # [M, D] -> [M, F]
        found: Tensor = functional_call(
            self.module, own, (x.reshape(-1, *self.shape),), tie_weights=False
        )
        return found
