"""`Problem`: a network without its weights, and what "wrong" means. The only door from algorithms
to networks."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.nn.layers.norms import WITH_STATISTICS, BatchStatNorm
from metacli.nn.layers.products import as_products
from metacli.types import Batch, Params

Statistics = Literal["none", "support", "running"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Problem:
    """A stateless network with its loss and metric.

    Args:
        module: `input` and `backbone` in sequence; [M, ...] -> features [M, D].
        features: D.
        kind: classification or regression.
        head: outputs of the linear head in θ; None for learners that build their head from the
        support. statistics: where the normalisation statistics of a prediction come from.
        chunk: tasks computed together by `torch.vmap`; 1 is a plain loop.
        compiled: whether a learner that can have its gradient compiled is to have that.
        precision: of the backbone's products while a learner trains; weights, features and losses
        stay what they are.
        way: classes of the task, where labels are not to be looked at for it; None: they are.
        unit: of a regression's targets in the units of the user; the metric is told in those.
    """

    module: nn.Module
    features: int
    kind: Literal["classification", "regression"]
    head: int | None
    statistics: Statistics = "none"
    chunk: int = 1
    compiled: bool = False
    precision: Precision = "float32"
    way: int | None = None
    unit: float = 1.0

    def with_way(self, way: int) -> Problem:
        """The same problem for tasks of so many classes. The modules are shared, not copied: while
        a graph is traced, none can be made."""
        told = replace(self, way=way)
        vars(told)["training_module"] = self.training_module  # where cached_property keeps it
        return told

    @cached_property
    def training_module(self) -> nn.Module:
        """The same network with layers that normalise by the batch they are given."""
        module = copy.deepcopy(self.module).train()
        for layer in module.modules():
            if isinstance(layer, BatchStatNorm):
                layer.under_vmap = self.chunk > 1
        return module

    @cached_property
    def in_products(self) -> Problem:
        """The same problem with the layers that a compiler makes the best of; for training."""
        made = replace(self, compiled=False)
        vars(made)["training_module"] = as_products(copy.deepcopy(self.module).train())
        return made

    @cached_property
    def programs(self) -> dict[Any, Any]:
        """Compiled gradients of this problem, by what they are of (`compiled.mean_gradient`)."""
        return {}

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of the network's parameters (not its buffers) in θ."""
        names = {name for name, _ in self.module.named_parameters()}
        return frozenset(names if self.head is None else names | {"head.weight", "head.bias"})

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh θ, with the weights of a file where the backbone names one. The global random
        state is left as it was."""
        module = copy.deepcopy(self.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for layer in module.modules():
                if callable(reset := getattr(layer, "reset_parameters", None)):
                    reset()
            for layer in module.modules():
                if callable(given := getattr(layer, "load_weights", None)):
                    given()
            params = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            if self.head is not None:
                head = nn.Linear(self.features, self.head)
                params |= {"head.weight": head.weight, "head.bias": head.bias}
        return {name: value.detach().clone().to(dtype) for name, value in params.items()}

    def embed(self, params: Params, x: Tensor, *, together: bool = False) -> Tensor:
        """Features [M, D]. `together`: normalise by the statistics of this very batch."""
        module = self._module_here(together)
        own = {name: value for name, value in params.items() if name in self._module_names}
        if not together:
            return torch.func.functional_call(module, own, (x,), tie_weights=False)
        if self.chunk == 1:
            x = channels_last(x)
        half = self.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            features: Tensor = torch.func.functional_call(module, own, (x,), tie_weights=False)
        return features.float() if half else features

    def _module_here(self, together: bool) -> nn.Module:
        """The module for this thread: `functional_call` puts the parameters into a module for as
        long as it runs, so no two threads may use the same one."""
        module = self.training_module if together else self.module
        if threading.current_thread() is threading.main_thread():
            return module
        key = (threading.get_ident(), together)
        if key not in self._copies:
            # Its own tensors are never used, and none can be copied inside `torch.func.grad`.
            tensors = chain(module.parameters(), module.buffers())
            self._copies[key] = copy.deepcopy(module, {id(value): value for value in tensors})
        return self._copies[key]

    @cached_property
    def _copies(self) -> dict[tuple[int, bool], nn.Module]:
        return {}

    @cached_property
    def _module_names(self) -> frozenset[str]:
        # Not `state_dict`, whose detached copies a tracer would take for constants.
        own = chain(self.module.named_parameters(), self.module.named_buffers())
        return frozenset(name for name, _ in own)

    def predict(self, params: Params, x: Tensor, *, together: bool = False) -> Tensor:
        """Logits [M, N] or values [M, outputs]; row by row unless `together`."""
        return self.read_out(params, self.embed(params, x, together=together))

    def read_out(self, params: Params, features: Tensor) -> Tensor:
        """The linear head: features [M, D] to logits [M, N] or values [M, outputs]."""
        return F.linear(features, params["head.weight"], params["head.bias"])

    def loss(self, prediction: Tensor, batch: Batch) -> Tensor:
        """L, a scalar. Classification: the mean over classes of each class's mean cross-entropy,
        so that a class with many examples does not outweigh the others; the plain mean where
        classes are balanced."""
        if self.kind == "regression":
            return masked_mean(squared_error(prediction, batch.y), batch.mask)
        return class_mean(cross_entropy(prediction, batch.y), batch, prediction.shape[-1])

    def loss_on(self, params: Params, batch: Batch) -> Tensor:
        """L(f_θ(x), y) on a batch that is normalised by its own statistics, as in the inner
        loop."""
        return self.loss(self.predict(params, batch.x, together=True), batch)

    @property
    def metric_name(self) -> str:
        return "mse" if self.kind == "regression" else "accuracy"

    def metric(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Per example, [M]: 1 where the class is right, or the squared error."""
        if self.kind == "classification":
            return hits(prediction, y)
        return self.unit**2 * squared_error(prediction, y)

    def batch_statistics(self, params: Params, x: Tensor) -> Params:
        """What every layer that keeps statistics would store of this batch, under the names of its
        buffers."""
        found: Params = {}

        def remember(name: str) -> Any:
            def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                assert isinstance(layer, WITH_STATISTICS)
                own = layer.statistics(inputs[0].to(layer.weight.dtype))  # not of bfloat16
                found.update({f"{name}.{buffer}": value for buffer, value in own.items()})

            return hook

        modules = self.training_module.named_modules()
        layers = [(name, layer) for name, layer in modules if isinstance(layer, WITH_STATISTICS)]
        handles = [layer.register_forward_pre_hook(remember(name)) for name, layer in layers]
        try:
            with torch.no_grad():
                self.embed(params, x, together=True)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def freeze_statistics(self, params: Params, support: Batch) -> Params:
        """φ with the statistics its predictions will use: the support's, or the running ones that
        are in θ already."""
        if self.statistics != "support":
            return params
        x = support.x if support.mask is None else support.x[support.mask]
        return {**params, **self.batch_statistics(params, x)}


def channels_last(x: Tensor) -> Tensor:
    """The same pictures [M, C, H, W] with their channels side by side in memory: convolutions and
    max-pooling of that layout are twice as fast on CPUs. Anything else is returned as it is.
    (`contiguous` would leave pictures of one channel as they are.)"""
    if x.dim() != 4:
        return x
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def make_module(inputs: nn.Module, backbone: nn.Module) -> nn.Module:
    """The network in evaluation mode; parameter names start with `input.` and `backbone.`."""
    return nn.Sequential(OrderedDict(input=inputs, backbone=backbone)).eval()


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:  # [M, N], [M] -> [M]
    return F.cross_entropy(logits, y, reduction="none")


def squared_error(prediction: Tensor, y: Tensor) -> Tensor:  # [M, outputs] twice -> [M]
    return (prediction - y).square().flatten(1).mean(1)


def hits(logits: Tensor, y: Tensor) -> Tensor:  # [M, N], [M] -> [M]
    return (logits.argmax(-1) == y).to(logits.dtype)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:  # [M] -> []
    if mask is None:
        return values.mean()
    return torch.where(mask, values, 0).sum() / mask.sum()


def membership(y: Tensor, way: int, mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    """1 where example m belongs to class n, [M, N]; rows that are masked out are zero.
    (`F.one_hot` fails in vmap.)"""
    member = y[:, None] == torch.arange(way, device=y.device)
    if mask is not None:
        member = member & mask[:, None]
    return member.to(dtype)


def class_mean(values: Tensor, batch: Batch, way: int) -> Tensor:  # [M] -> []
    """The mean over the classes present of each class's mean."""
    member = membership(batch.y, way, batch.mask, values.dtype)  # [M, N]
    counts = member.sum(0)  # [N]
    weights = (member / counts.clamp(min=1)).sum(1) / (counts > 0).sum()  # [M]
    return (values * weights).sum()
