"""`Problem`: a network without its weights, and what "wrong" means. The only door from algorithms
to networks."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.autodiff import Part
from metacli.errors import UsageProblem
from metacli.nn.layers.fresh import draw_weights, load_weights
from metacli.nn.layers.inputs import channels_last
from metacli.nn.layers.norms import WITH_STATISTICS, BatchStatNorm
from metacli.nn.layers.products import as_products
from metacli.nn.live import (
    PREFIX,
    LiveBatchNorm,
    LiveNet,
    LiveStatistics,
    is_tied,
    read,
    shared_copy,
    tensors_on,
    write_grads,
)
from metacli.nn.losses import class_mean, cross_entropy, hits, masked_mean, squared_error
from metacli.types import Batch, Objective, Params

Statistics = Literal["none", "support", "running"]
Precision = Literal["float32", "bfloat16", "tf32"]
KEEPS_STATISTICS = (*WITH_STATISTICS, LiveBatchNorm)


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
        objective: the loss of each example, where it is not the usual one of `kind`.
        live: the module of a researcher that `from_module` was given. Its outputs are features,
        and the prediction themselves where no head is built from a support.
        unit: of a regression's targets in the units of the user; the metric is in those.
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
    objective: Objective | None = None
    live: nn.Module | None = None

    @classmethod
    def from_module(
        cls,
        net: nn.Module,
        loss: Literal["cross-entropy", "mse"] | Objective = "cross-entropy",
        *,
        kind: Literal["classification", "regression"] | None = None,
        statistics: LiveStatistics = "batch",
        features: int = 0,
        chunk: int = 1,
        compiled: bool = False,
    ) -> Problem:
        """The problem of any module, whose parameters and float buffers are read at every call of
        `params`. What is computed inside, and that nothing of the module is changed: `nn.live`.

        Args:
            net: [M, ...] -> logits [M, N], values [M, outputs], or features [M, D] for learners
                that build their head from the support (ProtoNet, R2D2, `head="proto"`).
            loss: cross-entropy, each class averaged before the classes; the mean squared error; or
                (prediction [M, ...], y [M, ...]) -> the loss of each example [M], reported as
                `query_loss` alone.
            kind: of the tasks; that of the loss where it is one of the two, else regression.
            statistics: of batch normalisation: `batch`, in training and inner loop those of the
                batch at hand, in predictions those of the support; or `frozen`, the module's own
                running ones.
            features: D, where the learner has learned parameters for a head that it builds.
            chunk: tasks at a time under `torch.vmap`, for networks whose operations allow it.
            compiled: learners that can (`Learner.compiles`) get their gradient from a compiled
                program.

        Raises:
            UsageProblem: the module has parameters without a shape.
        """
        usual = {"cross-entropy": "classification", "mse": "regression"}
        if isinstance(loss, str) and loss not in usual:
            raise UsageProblem(
                f"unknown loss {loss!r}", hint='"cross-entropy", "mse" or a function of your own'
            )
        module = LiveNet(net, statistics).eval()
        given = usual[loss] if isinstance(loss, str) else "regression"
        return cls(
            module=module,
            features=features,
            kind=kind or ("classification" if given == "classification" else "regression"),
            head=None,
            statistics="support" if module.has_statistics else "none",
            chunk=chunk,
            compiled=compiled,
            objective=None if isinstance(loss, str) else loss,
            live=net,
        )

    def params(self) -> Params:
        """θ of a problem that is made of a module: its parameters and float buffers as they are
        now, under their names with `net.` before them. They share the module's memory: an
        optimiser's step changes them, too (`trees.clone` makes copies).

        Raises:
            UsageProblem: there is no module, or it was changed since.
        """
        if self.live is None:
            raise UsageProblem(
                "this problem is of a recipe: it has no module to read", hint="problem.init(seed)"
            )
        return read(self.live, self._module_names)

    def set_grad(self, net: nn.Module, gradient: Params, own: Params | None = None) -> None:
        """Write a gradient into `.grad`, for any optimiser of torch.

        Args:
            net: the module; what it has under other names stays as it is.
            gradient: as `Learner.gradient` gives it.
            own: the learner's own learned parameters, which get their part of it.

        Raises:
            UsageProblem: the gradient has names of neither.
        """
        write_grads(net, gradient, own or {})

    def with_way(self, way: int) -> Problem:
        """The same problem for tasks of so many classes. The modules are shared, not copied: while
        a graph is traced, none can be made."""
        changed = replace(self, way=way)
        vars(changed)["training_module"] = self.training_module  # where cached_property keeps it
        return changed

    @cached_property
    def training_module(self) -> nn.Module:
        """The same network with layers that normalise by the batch they are given."""
        module = (copy.deepcopy if self.live is None else shared_copy)(self.module).train()
        return self._for_chunks(module)

    def _for_chunks(self, module: nn.Module) -> nn.Module:
        """The module, whose layers know whether they run under `torch.vmap`."""
        for layer in module.modules():
            if isinstance(layer, BatchStatNorm | LiveBatchNorm | LiveNet):
                layer.under_vmap = self.chunk > 1
        return module

    @cached_property
    def in_products(self) -> Problem:
        """The same problem with the layers that a compiler makes the best of; for training."""
        made = replace(self, compiled=False)
        module = as_products(copy.deepcopy(self.module).train())
        vars(made)["training_module"] = self._for_chunks(module)
        return made

    @cached_property
    def programs(self) -> dict[Hashable, Callable[[list[Tensor]], Part]]:
        """Compiled gradients and directions of this problem, by what they are of
        (`compiled.Programs`)."""
        return {}

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of the network's parameters (not its buffers) in θ."""
        if self.live is not None:
            learned = (name for name, value in self.live.named_parameters() if value.requires_grad)
            return frozenset(PREFIX + name for name in learned)
        names = {name for name, _ in self.module.named_parameters()}
        return frozenset(names if self.head is None else names | {"head.weight", "head.bias"})

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh θ, with the weights of a file where the backbone names one. The global random
        state is left as it was."""
        module = copy.deepcopy(self.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            draw_weights(module)
            load_weights(module)
            params = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            if self.head is not None:
                head = nn.Linear(self.features, self.head)
                params |= {"head.weight": head.weight, "head.bias": head.bias}
        return {name: value.detach().clone().to(dtype) for name, value in params.items()}

    def embed(self, params: Params, x: Tensor, *, together: bool = False) -> Tensor:
        """Features [M, D]. `together`: normalise by the statistics of this very batch."""
        module = self._module_here(together)
        own = {name: value for name, value in params.items() if name in self._module_names}
        if x.device.type != "cpu" and len(own) < len(self._module_names):
            own = tensors_on(module, x.device) | own  # θ of sets of tasks lacks some
        if not together:
            result: Tensor = torch.func.functional_call(module, own, (x,), tie_weights=self._tied)
            return result
        if self.chunk == 1:
            x = channels_last(x)
        half = self.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            features: Tensor = torch.func.functional_call(module, own, (x,), tie_weights=self._tied)
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
            self._copies[key] = shared_copy(module)
        return self._copies[key]

    @cached_property
    def _copies(self) -> dict[tuple[int, bool], nn.Module]:
        return {}

    @cached_property
    def checked(self) -> set[str]:
        """What was looked at once and found right (`algorithms.checks`)."""
        return set()

    @cached_property
    def _tied(self) -> bool:
        return is_tied(self.module)

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
        if self.live is not None and "head.weight" not in params:
            return features
        return F.linear(features, params["head.weight"], params["head.bias"])

    def loss(self, prediction: Tensor, batch: Batch) -> Tensor:
        """L, a scalar. Classification: the mean over classes of each class's mean cross-entropy,
        so that a class with many examples does not outweigh the others; the plain mean where
        classes are balanced."""
        values = self.row_losses(prediction, batch.y)
        if self.kind == "regression":
            return masked_mean(values, batch.mask)
        return class_mean(values, batch, prediction.shape[-1])

    def row_losses(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The loss of each example, [M]."""
        if self.objective is not None:
            return self.objective(prediction, y)
        if self.kind == "regression" and prediction.shape != y.shape:
            raise UsageProblem(
                f"prediction {tuple(prediction.shape)} and y {tuple(y.shape)} differ in shape",
                hint="y of a regression is [M, outputs]: y[..., None] where there is one output",
            )
        return (squared_error if self.kind == "regression" else cross_entropy)(prediction, y)

    def loss_on(self, params: Params, batch: Batch) -> Tensor:
        """L(f_θ(x), y) on a batch that is normalised by its own statistics, as in the inner
        loop."""
        return self.loss(self.predict(params, batch.x, together=True), batch)

    @property
    def metric_name(self) -> str:
        if self.objective is not None and self.kind == "regression":
            return "loss"
        return "mse" if self.kind == "regression" else "accuracy"

    def metric(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Per example, [M]: 1 where the class is right, or the squared error."""
        if self.kind == "classification":
            return hits(prediction, y)
        if self.objective is not None:
            return self.objective(prediction, y)
        return self.unit**2 * squared_error(prediction, y)

    def batch_statistics(self, params: Params, x: Tensor) -> Params:
        """What every layer that keeps statistics would store of this batch, under the names of its
        buffers."""
        found: Params = {}

        def remember(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                assert isinstance(layer, KEEPS_STATISTICS)
                x = inputs[0]
                own = layer.statistics(x.to(torch.promote_types(x.dtype, torch.float32)))
                found.update({f"{name}.{buffer}": value for buffer, value in own.items()})

            return hook

        modules = self.training_module.named_modules()
        layers = [(name, layer) for name, layer in modules if isinstance(layer, KEEPS_STATISTICS)]
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


def make_module(inputs: nn.Module, backbone: nn.Module) -> nn.Module:
    """The network in evaluation mode; parameter names start with `input.` and `backbone.`."""
    return nn.Sequential(OrderedDict(input=inputs, backbone=backbone)).eval()
