"""`DenseProblem`: the network of dense tasks without its weights, as `MultiTask` trains it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metacli.nn.dense.sharing import SHARING
from metacli.nn.dense.targets import TASKS, answers, channels, losses
from metacli.nn.layers.fresh import draw_weights
from metacli.nn.sharing.scheme import Block
from metacli.types import Batch, Params

TRUNK = "trunk."
STATISTICS = ("target.mean", "target.scale")


@dataclass(frozen=True)
class DenseProblem:
    """The network of all tasks.

    Args:
        sharing: one of `SHARING`. widths: channels of each stage, the finest first.
        classes: K of the segmentation.
    """

    sharing: str
    widths: tuple[int, ...]
    classes: int

    @property
    def num_tasks(self) -> int:
        return len(TASKS)

    @property
    def copies(self) -> bool:
        """Whether shared parameters may have a leading task axis."""
        return False

    @cached_property
    def module(self) -> nn.Module:
        """The structure; its weights are not used."""
        return SHARING[self.sharing](self.widths, channels(self.classes)).eval()

    def init(self, seed: int) -> Params:
        """Fresh θ, with statistics of the depth that change nothing."""
        module = copy.deepcopy(self.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            draw_weights(module)
        drawn = {name: value.detach().clone() for name, value in module.state_dict().items()}
        return {**drawn, "target.mean": torch.zeros(()), "target.scale": torch.ones(())}

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of what the optimiser sees."""
        return frozenset(name for name, _ in self.module.named_parameters())

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Names of the parameters that all tasks share, first layer first. Norms come first, so
        that the last weight is of a layer."""
        names = [name for name, _ in self.module.named_parameters() if name.startswith(TRUNK)]
        vectors = [name for name in names if self.module.get_parameter(name).dim() < 2]
        return (*vectors, *(name for name in names if name not in vectors))

    @property
    def blocks(self) -> list[Block]:
        """Tasks that share parameters, and the names of these."""
        return [(tuple(range(self.num_tasks)), self.shared)] if self.shared else []

    def outputs(self, params: Params, x: Tensor) -> list[Tensor]:
        """Of uint8 images [M, 3, S, S]: one tensor for each task, [M, C_t, S, S]."""
        own = {name: value for name, value in params.items() if name in self.trainable}
        found: list[Tensor] = functional_call(
            self.module, own, (x.to(params["target.mean"].dtype) / 255 - 0.5,)
        )
        return found

    def predict(self, params: Params, x: Tensor) -> tuple[Tensor, ...]:
        """Logits [M, K, S, S], depths [M, S, S] and unit normals [M, 3, S, S]."""
        mean, scale = params["target.mean"], params["target.scale"]
        return answers(self.outputs(params, x), mean, scale)

    def image_losses(self, params: Params, batch: Batch) -> Tensor:
        """The loss of each task on each image, [T, M]. batch.y: [M, 5, S, S]."""
        mean, scale = params["target.mean"], params["target.scale"]
        return losses(self.outputs(params, batch.x), batch.y, mean, scale)

    def losses(self, params: Params, batch: Batch) -> Tensor:
        """The mean loss of each task, [T]."""
        return self.image_losses(params, batch).mean(1)

    def penalty(self, params: Params) -> Tensor:
        """Nothing pulls at the weights."""
        return next(iter(params.values())).new_zeros(())
