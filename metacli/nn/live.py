"""A researcher's own `nn.Module` as the network of a `Problem`.

What is computed with is a copy of the module's structure that shares its tensors: no parameter,
buffer or mode of the module itself is ever written to. In the copy

- dropout is off, and whatever else asks for training mode is in evaluation mode;
- batch normalisation (`nn.BatchNorm1d`, `2d`, `3d`, `SyncBatchNorm`) normalises by the batch at
  hand while a learner trains or adapts, and by statistics that are given when it predicts; or
  (`frozen`) by the module's own running statistics everywhere. Neither updates any;
- attention runs by the kernel that is made of matrix products, the one with second derivatives,
  and recurrent networks on a GPU without cuDNN, for the same reason.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import chain
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from metacli.errors import UsageProblem
from metacli.nn.layers.norms import batch_normed, moments
from metacli.types import Params

PREFIX = "net."
LiveStatistics = Literal["batch", "frozen"]


class LiveBatchNorm(nn.Module):
    """`nn.BatchNorm*d` with the names of its parameters and buffers, that never updates them."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor
    under_vmap: bool = True

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__()
        self.eps, self.training = layer.eps, False
        self.register_parameter("weight", layer.weight)
        self.register_parameter("bias", layer.bias)
        like = layer.weight if layer.affine else torch.zeros(layer.num_features)
        mean, var = layer.running_mean, layer.running_var
        if mean is None or var is None:  # not tracked: a place for those of a support
            zeros = torch.zeros_like(like.detach())
            mean, var = zeros, zeros + 1
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", var)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, ...]
        if self.training:
            return batch_normed(x, self.weight, self.bias, self.eps, under_vmap=self.under_vmap)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """What of a batch is stored, by buffer; the variance is the one that normalises, divided
        by the number of values."""
        found = moments(x)
        return {"running_mean": found["mean"], "running_var": found["var"]}


class LiveNet(nn.Module):
    """The copy; the names of its parameters are those of the module under `net.`."""

    def __init__(self, net: nn.Module, statistics: LiveStatistics) -> None:
        super().__init__()
        lazy = [n for n, v in named_tensors(net) if nn.parameter.is_lazy(v)]
        if lazy:
            raise UsageProblem(
                f"{lazy[0]} of the network has no shape yet",
                hint="call the network once, then make the problem",
            )
        self.by_batch = statistics == "batch"
        made = shared_copy(net).eval()
        self.net = prepared(made)
        self.recurrent = any(isinstance(layer, nn.RNNBase) for layer in self.net.modules())

    under_vmap = False

    def train(self, mode: bool = True) -> LiveNet:
        """Batch normalisation by the batch at hand; everything else stays in evaluation mode."""
        self.training = mode
        for layer in self.modules():
            if isinstance(layer, LiveBatchNorm):
                layer.training = mode and self.by_batch
        return self

    @property
    def has_statistics(self) -> bool:
        """Whether a prediction takes statistics from a support."""
        return self.by_batch and any(isinstance(one, LiveBatchNorm) for one in self.modules())

    def right_under_vmap(self) -> AbstractContextManager[object]:
        return RightUnderVmap() if self.under_vmap else nullcontext()

    def forward(self, x: Tensor) -> Tensor:  # [M, ...] -> [M, N], or [M, D]
        with twice_differentiable(x.is_cuda and self.recurrent), self.right_under_vmap():
            out = self.net(x)
        if not isinstance(out, Tensor) or out.dim() == 0 or out.shape[0] != x.shape[0]:
            found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise UsageProblem(
                f"the network made {found} of an input {tuple(x.shape)}; wanted is a tensor with "
                "one row for each example",
                hint="wrap it in a module whose forward returns logits [M, N] or features [M, D]",
            )
        return out[:, None] if out.dim() == 1 else out


class RightUnderVmap(TorchFunctionMode):
    """torch differentiates `F.layer_norm`, `F.instance_norm` and `F.batch_norm` wrongly, silently,
    a second time inside `torch.vmap`, where they have a gain: the same in other operations."""

    def __torch_function__(
        self,
        func: Callable[..., Tensor],
        types: Collection[type],
        args: tuple[Tensor, ...] = (),
        kwargs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        if func in SAFE:
            return SAFE[func](*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`F.layer_norm`; without gain and bias torch's own is right."""
    out = F.layer_norm(x, list(normalized_shape), eps=eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.instance_norm`: group normalisation with a group for each channel."""
    if use_input_stats:
        return F.group_norm(x, x.shape[1], weight, bias, eps)
    return F.batch_norm(x, running_mean, running_var, weight, bias, eps=eps)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm`, which does not update the running statistics it is given."""
    if training:
        return batch_normed(x, weight, bias, eps, under_vmap=True)
    return F.batch_norm(x, running_mean, running_var, weight, bias, eps=eps)


SAFE: dict[Callable[..., Tensor], Callable[..., Tensor]] = {
    F.layer_norm: layer_norm,
    torch.layer_norm: layer_norm,
    F.instance_norm: instance_norm,
    F.batch_norm: batch_norm,
}


def prepared(layer: nn.Module) -> nn.Module:
    """The copy with its batch normalisation replaced, and no fused kernel without derivatives."""
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return LiveBatchNorm(layer)
    for name, child in layer.named_children():
        setattr(layer, name, prepared(child))
    if isinstance(layer, nn.MultiheadAttention):
        layer.dropout, layer.training = 0.0, True  # its fused kernel is for evaluation mode
    if isinstance(layer, nn.TransformerEncoderLayer):
        layer.training = True  # likewise; its dropouts are layers of their own
    return layer


def shared_copy(module: nn.Module) -> nn.Module:
    """The same structure with the same parameters and buffers."""
    tensors = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(value): value for value in tensors})


_elsewhere: WeakKeyDictionary[nn.Module, dict[torch.device, Params]] = WeakKeyDictionary()


def tensors_on(module: nn.Module, device: torch.device) -> Params:
    """The parameters and buffers of a module that nobody changes, copied to a device once."""
    known = _elsewhere.setdefault(module, {})
    if device not in known:
        known[device] = {name: value.detach().to(device) for name, value in named_tensors(module)}
    return known[device]


def named_tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer of a module, once each."""
    yield from net.named_parameters()
    yield from net.named_buffers()


def read(net: nn.Module, known: frozenset[str]) -> Params:
    """Parameters and float buffers as they are now, detached, under `net.`.

    Args:
        known: the names that the copy has.

    Raises:
        UsageProblem: a name that the copy has not, or a parameter of the copy that is gone.
    """
    found = {
        PREFIX + name: value.detach()
        for name, value in named_tensors(net)
        if value.is_floating_point()
    }
    parameters = {PREFIX + name for name, _ in net.named_parameters()}
    changed = (found.keys() - known) | (parameters - known)
    if changed:
        raise UsageProblem(
            f"the network has changed since: {', '.join(sorted(changed))}",
            hint="Problem.from_module(net, ...) again",
        )
    return found


def write_grads(net: nn.Module, gradient: Params, own: Params) -> None:
    """The gradient into `.grad` of the network's parameters and of `own`."""
    theirs = {PREFIX + name: value for name, value in net.named_parameters()} | own
    unknown = sorted(gradient.keys() - theirs.keys())
    if unknown:
        raise UsageProblem(
            f"the gradient has {unknown[0]}, which is not a parameter of the network",
            hint="own=learned, with learned, _ = learner.init(problem, problem.params())",
        )
    for name, value in gradient.items():
        theirs[name].grad = value.detach().clone()


def is_tied(net: nn.Module) -> bool:
    """Whether one parameter has several names."""
    return len(list(net.named_parameters(remove_duplicate=False))) > len(list(net.parameters()))


_lock = threading.Lock()
_inside = 0
_undo = ExitStack()


@contextmanager
def twice_differentiable(without_cudnn: bool) -> Iterator[None]:
    """Inside, attention is made of matrix products. Which kernels are allowed is a setting of the
    process: it is changed by the first thread that enters and restored by the last that leaves."""
    global _inside, _undo
    with _lock:
        if _inside == 0:
            _undo = ExitStack()
            _undo.enter_context(sdpa_kernel(SDPBackend.MATH))
            if without_cudnn:
                _undo.enter_context(torch.backends.cudnn.flags(enabled=False))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _undo.close()
