"""How dense tasks share a network. Each scheme is a module from images [M, 3, S, S], in 0..1, to
one output [M, C_t, S, S] for each task; parameters under `trunk.` are those that every task's loss
reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metacli.nn.dense.layers import Head, Stages, convolution, doubled, halved


class Hard(nn.Module):
    """One network up to the heads (R. Caruana, "Multitask learning", 1997)."""

    def __init__(self, widths: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.trunk = Stages(3, widths)
        self.heads = nn.ModuleList(Head(widths[0], one) for one in channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = self.trunk(x)
        return [head(features) for head in self.heads]


class Apart(nn.Module):
    """A whole network for each task, which is what sharing is compared with."""

    def __init__(self, widths: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(Stages(3, widths) for _ in channels)
        self.heads = nn.ModuleList(Head(widths[0], one) for one in channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        both = zip(self.heads, self.networks, strict=True)
        return [head(network(x)) for head, network in both]


class Stitched(nn.Module):
    """Networks whose features are mixed after every stage; see `CrossStitch`."""

    def __init__(self, widths: Sequence[int], tasks: int, own: float) -> None:
        super().__init__()
        others = (1 - own) / max(1, tasks - 1)
        start = torch.full((tasks, tasks), others) + (own - others) * torch.eye(tasks)
        stages = 2 * len(widths) - 1
        self.networks = nn.ModuleList(Stages(3, widths) for _ in range(tasks))
        self.stitches = nn.ParameterList(nn.Parameter(start.clone()) for _ in range(stages))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of every pixel for each task."""
        found: list[list[Tensor]] = [[] for _ in self.networks]
        for at, stitch in enumerate(self.stitches):
            features = []
            for network, before in zip(self.networks, found, strict=True):
                assert isinstance(network, Stages)
                features.append(network.stage(at, before, x))
            mixed = torch.einsum("ts,smchw->tmchw", stitch, torch.stack(features))
            for before, one in zip(found, mixed, strict=True):
                before.append(one)
        return [one[-1] for one in found]


class CrossStitch(nn.Module):
    """A network for each task, whose features are mixed after every stage.

    I. Misra et al., "Cross-stitch networks for multi-task learning", CVPR 2016, equation 1: h_t <-
    Σ_s A_ts h_s, with one A [T, T] for each stage, which starts with 0.9 on the diagonal and the
    rest shared evenly.

    Where we differ: A is the same for all channels of a stage; the paper also tries one for each.
    """

    def __init__(self, widths: Sequence[int], channels: Sequence[int], own: float = 0.9) -> None:
        super().__init__()
        self.trunk = Stitched(widths, len(channels), own)
        self.heads = nn.ModuleList(Head(widths[0], one) for one in channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        both = zip(self.heads, self.trunk(x), strict=True)
        return [head(features) for head, features in both]


class Attention(nn.Module):
    """The attention of one task over the stages of the shared network.

    S. Liu, E. Johns, A. Davison, CVPR 2019, equations 1 to 3. At stage j: mask a = σ(h([u;
    f(â_{j-1})])), with u the shared features of the stage and â = a ⊙ p, p what the mask selects
    from; h are two 1 x 1 convolutions with a norm, f a 3 x 3 convolution, after which the image is
    halved or doubled as the shared network does it.

    Where we differ: u and p are the same features, those at the end of the shared stage, since our
    stages are two convolutions short; the paper takes them from its first and its last one.
    """

    def __init__(self, stages: Sequence[int], halves: int) -> None:
        super().__init__()
        before = [0, *stages[:-1]]
        self.masks = nn.ModuleList(
            nn.Sequential(convolution(a + b, b, 1), nn.Conv2d(b, b, 1), nn.Sigmoid())
            for a, b in zip(before, stages, strict=True)
        )
        self.carries = nn.ModuleList(convolution(one, one) for one in stages[:-1])
        self.halves = halves

    def forward(self, shared: Sequence[Tensor]) -> Tensor:
        chosen: Tensor = self.masks[0](shared[0]) * shared[0]
        for at, features in enumerate(shared[1:], 1):
            resized: Callable[[Tensor], Tensor] = halved if at < self.halves else doubled
            carried = resized(self.carries[at - 1](chosen))
            chosen = self.masks[at](torch.cat([features, carried], 1)) * features
        return chosen


class MTAN(nn.Module):
    """One network, from whose stages each task selects by an attention of its own."""

    def __init__(self, widths: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.trunk = Stages(3, widths)
        stages = self.trunk.outputs
        self.attention = nn.ModuleList(Attention(stages, len(widths)) for _ in channels)
        self.heads = nn.ModuleList(Head(widths[0], one) for one in channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        shared: list[Tensor] = []
        for at in range(len(self.trunk)):
            shared.append(self.trunk.stage(at, shared, x))
        both = zip(self.heads, self.attention, strict=True)
        return [head(attention(shared)) for head, attention in both]


Scheme = Callable[[Sequence[int], Sequence[int]], nn.Module]
SHARING: dict[str, Scheme] = {
    "hard": Hard,
    "mtan": MTAN,
    "cross-stitch": CrossStitch,
    "apart": Apart,
}
