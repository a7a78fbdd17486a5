"""Networks of timm by name, without their classifier: R. Wightman, "PyTorch Image Models", 2019,
https://github.com/huggingface/pytorch-image-models. timm is imported only when one is built.

The network stays in evaluation mode whatever it is trained for: its normalisation keeps the
statistics of its weights, and nothing is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge, Len
from torch import Tensor, nn

from metacli.errors import EnvironmentProblem, RecipeError

Triple = Annotated[tuple[float, ...], Len(3, 3)]


@dataclass(frozen=True, kw_only=True)
class Timm:
    """Options of the backbone.

    Args:
        arch: timm's name of the network.
        mean, std: of each channel of the images that it was trained on, values 0..1.
        width: features that it gives; 0 asks the network.
    """

    arch: str = "resnet18"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    width: Annotated[int, Ge(0)] = 0

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images with values 0..1, C 1 or 3, and its D.

        Raises:
            EnvironmentProblem: timm is not installed.
            RecipeError: it has no such network.
        """
        network = timm_network(self.arch)
        return TimmNet(network, self.mean, self.std), self.width or width_of(network, input_shape)


class TimmNet(nn.Module):
    """[M, C, H, W] -> [M, D]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Triple, std: Triple) -> None:
        super().__init__()
        self.network = network.eval()
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.num_batches_tracked = None  # a count, which nothing reads
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def train(self, mode: bool = True) -> Self:
        """In evaluation mode, always."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network((x - self.mean) / self.std)  # grey becomes three channels
        return found


def timm_network(arch: str) -> nn.Module:
    """The network with random weights; the global random state is left as it was."""
    try:
        import timm
    except ImportError:
        raise EnvironmentProblem(
            f"{arch} needs timm, which is not installed",
            code="environment.extra_missing",
            hint="pip install 'metacli[timm]'",
        ) from None
    if not timm.is_model(arch):
        raise RecipeError(
            f"timm has no network {arch!r}",
            code="recipe.value",
            where=arch,
            hint="timm.list_models() lists them",
        )
    with torch.random.fork_rng(devices=[]):
        made: nn.Module = timm.create_model(arch, pretrained=False, num_classes=0)
    return made.eval()


def width_of(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    """D, by a look at one blank image."""
    with torch.no_grad():
        return int(network(torch.zeros(1, 3, *input_shape[1:])).shape[1])
