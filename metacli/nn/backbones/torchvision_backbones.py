"""Networks of torchvision by name, without their classifier: the mean over space of the last layer.

torchvision is imported only when one is built. Its batch normalisation is replaced by layers that
no forward pass changes: by default frozen ones, whose statistics stay those of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.errors import RecipeError
from metacli.nn.layers.norms import BatchStatNorm, TaskNorm, make_norm

Arch = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "regnet_y_400mf",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
]
"""Those whose last linear layer reads the mean over space."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which they were made for
PICKLE_NAMES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
PICKLES = (b"\x80", b"PK\x03\x04")  # how a pickle and torch's zip of pickles begin


@dataclass(frozen=True, kw_only=True)
class Torchvision:
    """Options of the backbone.

    Args:
        arch: torchvision's name of the network.
        weights: a `.safetensors` file to begin from, with torchvision's names; those of the
            classifier are left out. None: random weights.
        norm: `frozen` keeps the statistics of the weights; `batch`, `task` and `running` as in
            the other backbones.
    """

    arch: Arch = "resnet18"
    weights: str | None = None
    norm: Literal["frozen", "batch", "task", "running"] = "frozen"

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images, C 1 or 3, and its number of features D. `weights` is
        not read: a model that was trained has its own."""
        network = _network(self.arch)
        for name, layer in list(network.named_modules()):
            if isinstance(layer, nn.BatchNorm2d):
                _put(network, name, _norm(self.norm, layer))
            elif isinstance(layer, nn.Dropout):
                _put(network, name, nn.Identity())
            elif hasattr(layer, "inplace"):
                layer.inplace = False
        name, last = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
        _put(network, name, nn.Identity())
        return Pretrained(network, self.weights), last.in_features

    def check(self) -> None:
        """Whether `weights` can be begun from. Raises RecipeError."""
        if self.weights is not None:
            module, _ = self.build((3, 64, 64))
            assert isinstance(module, Pretrained)
            module.load_weights()


class Pretrained(nn.Module):
    """Pixels 0..1 of one or three channels, normalised as for ImageNet, through the network."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, weights: str | None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])
        self.network = network
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W] -> [M, D]
        features: Tensor = self.network((x - self.mean) / self.std)  # grey becomes three channels
        return features

    def load_weights(self) -> None:
        """Replace all weights by those of the file. Raises RecipeError."""
        if self.weights is None:
            return
        own = self.network.state_dict()
        given = {_renamed(name, own): value for name, value in read(self.weights).items()}
        layers = self.network.named_modules()
        learned = [name for name, layer in layers if isinstance(layer, TaskNorm)]
        optional = {f"{name}.{part}" for name in learned for part in ("size", "scale", "offset")}
        missing = [name for name in own if name not in given and name not in optional]
        wrong = [n for n in own if n in given and given[n].shape != own[n].shape]
        if missing or wrong:
            what = f"{wrong[0]} has another shape" if wrong else f"{missing[0]} is missing"
            raise RecipeError(
                f"the weights are not of this network: {what}",
                code="recipe.weights",
                where=self.weights,
                hint="backbone.arch names the network that the weights are of",
            )
        self.network.load_state_dict({n: given[n] for n in own if n in given}, strict=False)


class FrozenNorm(nn.Module):
    """Batch normalisation whose statistics never change, in training neither; its gain and bias
    are learned."""

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W]
        stored = (self.mean, self.var, self.weight, self.bias)
        return F.batch_norm(x, *stored, training=False, eps=self.eps)


def read(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises RecipeError."""
    if path.lower().endswith(PICKLE_NAMES) or _start(path).startswith(PICKLES):
        raise RecipeError(
            "a pickle can run any code when it is read",
            code="recipe.weights",
            where=path,
            hint="safetensors.torch.save_file(model.state_dict(), 'weights.safetensors') where you "
            "trust it",
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise RecipeError(
            f"not a safetensors file: {error}", code="recipe.weights", where=path
        ) from None


def _start(path: str) -> bytes:
    """The first bytes of a file. Raises RecipeError."""
    if not Path(path).is_file():
        raise RecipeError("no such file of weights", code="recipe.weights", where=path)
    with Path(path).open("rb") as file:
        return file.read(4)


def arch_of(tensors: Mapping[str, Tensor]) -> str | None:
    """torchvision's name of the network that these weights are of, its classifier aside; None where
    no network has all their names and shapes."""
    given = {name: value.shape for name, value in tensors.items()}
    for arch in get_args(Arch):
        network = _without_weights(arch)
        head = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)][-1]
        wanted = {
            name: value.shape
            for name, value in network.state_dict().items()
            if not name.startswith(f"{head}.") and not name.endswith("num_batches_tracked")
        }
        if all(given.get(name) == shape for name, shape in wanted.items()) and (
            len(wanted) >= len([n for n in given if not n.endswith("num_batches_tracked")]) - 2
        ):
            return str(arch)
    return None


def _without_weights(arch: str) -> nn.Module:
    """The network for its names and shapes."""
    try:
        with torch.device("meta"):
            return _network(arch)
    except NotImplementedError:  # RegNet computes its widths by tensors
        return _network(arch)


def _network(arch: str) -> nn.Module:
    """torchvision's network with random weights; the global random state is left as it was."""
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        network: nn.Module = models.get_model(arch, weights=None)
    return network.eval()


def _norm(name: str, old: nn.BatchNorm2d) -> nn.Module:
    if name == "frozen":
        return FrozenNorm(old.num_features, old.eps)
    made = make_norm(name, old.num_features)  # type: ignore[arg-type]
    assert isinstance(made, BatchStatNorm | TaskNorm)
    made.eps = old.eps
    return made


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)


def _renamed(name: str, own: dict[str, Tensor]) -> str:
    """torchvision's name of a statistic as ours."""
    for theirs, ours in (("running_mean", "mean"), ("running_var", "var")):
        changed = name.removesuffix(theirs) + ours
        if name.endswith("." + theirs) and changed in own:
            return changed
    return name
