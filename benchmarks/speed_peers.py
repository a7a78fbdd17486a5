"""One outer step by others: plain torch in an eager loop over tasks and under `torch.func.vmap`,
and the libraries `higher` and `torchopt` as their own examples use them. Nothing here is metacli's
but the data.

Each function takes (network, episodes, inner steps) and gives the direction by parameter name.
The network is a torch module with `body` and `head`; its normalisation is torch's own.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metacli.types import Episode

INNER_LR = 0.4
Step = Callable[[nn.Module, Episode, int], dict[str, Tensor]]


class Network(nn.Module):
    """Conv4 with stride 2 and batch statistics on inverted pixels, as in Finn et al. 2017."""

    def __init__(self, way: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (1, width, width, width):
            norm = nn.BatchNorm2d(width, track_running_stats=False)
            layers += [nn.Conv2d(channels, width, 3, 2, 1, bias=False), norm, nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(4 * width, way)

    def features(self, x: Tensor) -> Tensor:
        dtype = self.head.weight.dtype
        scale = torch.tensor(-1 / 255).to(dtype)  # rounded as in float32, in float64 too
        found: Tensor = self.body(x.to(dtype) * scale + 1)
        return found

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.features(x))
        return found


def name_of(ours: str) -> str | None:
    """The name in `Network` of a parameter of metacli's conv4; None for what is not trained."""
    _, _, rest = ours.partition("backbone.")
    if ours.startswith("head."):
        return ours
    layer, _, rest = rest.partition(".")
    kind, _, leaf = rest.partition(".")
    if kind not in ("conv", "norm") or leaf in ("mean", "var"):
        return None
    return f"body.{3 * int(layer) + (kind == 'norm')}.{leaf}"


def tasks(episodes: Episode) -> Any:
    """(support x, support y, query x, query y) of one task after the other."""
    support, query = episodes
    return zip(support.x, support.y, query.x, query.y, strict=True)


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.named_parameters())


def collected(network: nn.Module, count: int) -> dict[str, Tensor]:
    """The `.grad`s of a mean over tasks whose losses were added up."""
    return {n: p.grad / count for n, p in parameters(network).items() if p.grad is not None}


def added(sums: list[Tensor], more: Any) -> list[Tensor]:
    return [a + b for a, b in zip(sums, more, strict=True)] if sums else list(more)


def eager(adapts: str = "", first_order: bool = False) -> Step:
    """MAML and what it becomes with other settings, one task after the other."""

    def step(network: nn.Module, episodes: Episode, steps: int) -> dict[str, Tensor]:
        theta, sums = parameters(network), []
        count = len(episodes.query.x)
        for sx, sy, qx, qy in tasks(episodes):
            phi = theta
            for _ in range(steps):
                loss = F.cross_entropy(functional_call(network, phi, (sx,)), sy)
                moved = {name: value for name, value in phi.items() if name.startswith(adapts)}
                grads = torch.autograd.grad(
                    loss, list(moved.values()), create_graph=not first_order
                )
                stepped = {
                    n: v - INNER_LR * g for (n, v), g in zip(moved.items(), grads, strict=True)
                }
                phi = {**phi, **stepped}
            loss = F.cross_entropy(functional_call(network, phi, (qx,)), qy)
            sums = added(sums, torch.autograd.grad(loss / count, list(theta.values())))
        return dict(zip(theta, sums, strict=True))

    return step


def eager_anil(network: Any, episodes: Episode, steps: int) -> dict[str, Tensor]:
    """Only the head moves, so the features of the support are computed once."""
    theta, sums = parameters(network), []
    count = len(episodes.query.x)
    for sx, sy, qx, qy in tasks(episodes):
        support, query = network.features(sx), network.features(qx)
        head = [network.head.weight, network.head.bias]
        for _ in range(steps):
            loss = F.cross_entropy(F.linear(support, *head), sy)
            grads = torch.autograd.grad(loss, head, create_graph=True)
            head = [v - INNER_LR * g for v, g in zip(head, grads, strict=True)]
        loss = F.cross_entropy(F.linear(query, *head), qy)
        sums = added(sums, torch.autograd.grad(loss / count, list(theta.values())))
    return dict(zip(theta, sums, strict=True))


def eager_reptile(network: nn.Module, episodes: Episode, steps: int) -> dict[str, Tensor]:
    """θ − φ after full-batch SGD on support and query, and the query's loss for the record."""
    theta, sums = parameters(network), []
    for sx, sy, qx, qy in tasks(episodes):
        phi = {name: value.detach().requires_grad_() for name, value in theta.items()}
        x, y = torch.cat([sx, qx]), torch.cat([sy, qy])
        for _ in range(steps):
            loss = F.cross_entropy(functional_call(network, phi, (x,)), y)
            grads = torch.autograd.grad(loss, list(phi.values()))
            phi = {
                n: (v - INNER_LR * g).detach().requires_grad_()
                for (n, v), g in zip(phi.items(), grads, strict=True)
            }
        with torch.no_grad():
            F.cross_entropy(functional_call(network, phi, (qx,)), qy)
        sums = added(sums, [(theta[n] - v).detach() for n, v in phi.items()])
    return {n: v / len(episodes.query.x) for n, v in zip(theta, sums, strict=True)}


def eager_protonet(network: Any, episodes: Episode, steps: int) -> dict[str, Tensor]:
    """Support and query normalised apart, as in metacli."""
    theta = {n: v for n, v in parameters(network).items() if n.startswith("body.")}
    sums: list[Tensor] = []
    for sx, sy, qx, qy in tasks(episodes):
        support, query = network.features(sx), network.features(qx)
        way = int(sy.max()) + 1
        means = torch.stack([support[sy == n].mean(0) for n in range(way)])
        logits = -(query[:, None] - means).square().sum(-1)
        loss = F.cross_entropy(logits, qy) / len(episodes.query.x)
        sums = added(sums, torch.autograd.grad(loss, list(theta.values())))
    return dict(zip(theta, sums, strict=True))


def with_higher(network: nn.Module, episodes: Episode, steps: int) -> dict[str, Tensor]:
    """MAML with `higher` (Grefenstette et al. 2019)."""
    import higher

    network.zero_grad()
    optimizer = torch.optim.SGD(network.parameters(), lr=INNER_LR)
    for sx, sy, qx, qy in tasks(episodes):
        with higher.innerloop_ctx(network, optimizer, copy_initial_weights=False) as (phi, inner):
            for _ in range(steps):
                inner.step(F.cross_entropy(phi(sx), sy))
            F.cross_entropy(phi(qx), qy).backward()
    return collected(network, len(episodes.query.x))


def with_torchopt(network: nn.Module, episodes: Episode, steps: int) -> dict[str, Tensor]:
    """MAML with `torchopt` (Ren et al. 2023)."""
    import torchopt

    network.zero_grad()
    inner = torchopt.MetaSGD(network, lr=INNER_LR)
    start = torchopt.extract_state_dict(network, by="reference")
    inner_start = torchopt.extract_state_dict(inner, by="reference")
    for sx, sy, qx, qy in tasks(episodes):
        for _ in range(steps):
            inner.step(F.cross_entropy(network(sx), sy))
        F.cross_entropy(network(qx), qy).backward()
        torchopt.recover_state_dict(network, start)
        torchopt.recover_state_dict(inner, inner_start)
    return collected(network, len(episodes.query.x))


class BatchStatistics(nn.Module):
    """`nn.BatchNorm2d` without running statistics, of simple operations. Under `torch.vmap` the
    second derivative of torch's own is wrong (torch 2.14: the direction of MAML differs by 2e-2 in
    float64, without vmap by nothing), so whoever batches MAML has to write it out."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean((0, 2, 3), keepdim=True)
        scale = torch.rsqrt(centred.square().mean((0, 2, 3), keepdim=True) + self.eps)
        found: Tensor = centred * scale * self.weight[:, None, None] + self.bias[:, None, None]
        return found


def written_out(network: Any) -> nn.Module:
    """The network with `BatchStatistics`, its parameters and their names the same."""
    if network not in WRITTEN_OUT:
        made = copy.copy(network)
        made._modules = dict(network._modules)
        norms = (BatchStatistics(m) if isinstance(m, nn.BatchNorm2d) else m for m in network.body)
        made.body = nn.Sequential(*norms)
        WRITTEN_OUT[network] = made
    return WRITTEN_OUT[network]


WRITTEN_OUT: weakref.WeakKeyDictionary[nn.Module, nn.Module] = weakref.WeakKeyDictionary()

TaskLoss = Callable[..., Tensor]
"""(θ by name, support x and y, query x and y) -> the query's loss of one task, differentiable."""


def batched(task_loss: Callable[[nn.Module, int], TaskLoss], chunk: int | None = None) -> Step:
    """The gradient of the mean over tasks by `torch.func.vmap`, all tasks at a time or in chunks,
    each of which is differentiated by itself."""

    def step(network: nn.Module, episodes: Episode, steps: int) -> dict[str, Tensor]:
        theta = {name: value.detach() for name, value in parameters(network).items()}
        loss, count = task_loss(written_out(network), steps), len(episodes.query.x)
        data = [value for half in episodes for value in (half.x, half.y)]
        found: dict[str, Tensor] = {}
        for at in range(0, count, chunk or count):
            part = [value[at : at + (chunk or count)] for value in data]

            def total(theta: dict[str, Tensor], part: list[Tensor] = part) -> Tensor:
                each: Tensor = torch.vmap(loss, in_dims=(None, 0, 0, 0, 0))(theta, *part)
                return each.sum() / count

            grads = torch.func.grad(total)(theta)
            found = {n: found[n] + g if found else g for n, g in grads.items()}
        return found

    return step


def maml_loss(adapts: str = "", first_order: bool = False) -> Callable[[nn.Module, int], TaskLoss]:
    """MAML, FOMAML and ANIL as a function of θ and one task."""

    def of(network: nn.Module, steps: int) -> TaskLoss:
        def loss(theta: dict[str, Tensor], sx: Any, sy: Any, qx: Any, qy: Any) -> Tensor:
            phi = theta
            for _ in range(steps):

                def inner(moved: dict[str, Tensor], phi: dict[str, Tensor] = phi) -> Tensor:
                    return F.cross_entropy(functional_call(network, {**phi, **moved}, (sx,)), sy)

                moved = {name: value for name, value in phi.items() if name.startswith(adapts)}
                grads = torch.func.grad(inner)(moved)
                if first_order:
                    grads = {name: value.detach() for name, value in grads.items()}
                phi = {**phi, **{n: moved[n] - INNER_LR * grads[n] for n in moved}}
            return F.cross_entropy(functional_call(network, phi, (qx,)), qy)

        return loss

    return of


def features_under(network: Any, theta: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the body of θ makes of images."""
    body = {n.removeprefix("body."): v for n, v in theta.items() if n.startswith("body.")}
    dtype = theta["head.weight"].dtype
    scale = torch.tensor(-1 / 255).to(dtype)
    found: Tensor = functional_call(network.body, body, (x.to(dtype) * scale + 1,))
    return found


def anil_loss(network: Any, steps: int) -> TaskLoss:
    """ANIL with the support's features computed once."""

    def loss(theta: dict[str, Tensor], sx: Any, sy: Any, qx: Any, qy: Any) -> Tensor:
        support, query = features_under(network, theta, sx), features_under(network, theta, qx)
        head = (theta["head.weight"], theta["head.bias"])
        inner = lambda *head: F.cross_entropy(F.linear(support, *head), sy)  # noqa: E731
        for _ in range(steps):
            grads = torch.func.grad(inner, argnums=(0, 1))(*head)
            head = tuple(v - INNER_LR * g for v, g in zip(head, grads, strict=True))
        return F.cross_entropy(F.linear(query, *head), qy)

    return loss


def protonet_loss(network: Any, steps: int) -> TaskLoss:
    """ProtoNet, support and query normalised apart."""

    def loss(theta: dict[str, Tensor], sx: Any, sy: Any, qx: Any, qy: Any) -> Tensor:
        support, query = features_under(network, theta, sx), features_under(network, theta, qx)
        of_class = (sy == torch.arange(network.head.out_features)[:, None]).to(support.dtype)
        means = of_class @ support / of_class.sum(1, keepdim=True)
        return F.cross_entropy(-(query[:, None] - means).square().sum(-1), qy)

    return loss


def with_torchopt_vmap(network: nn.Module, episodes: Episode, steps: int) -> dict[str, Tensor]:
    """MAML with TorchOpt's functional optimiser under `torch.func.vmap`."""
    import torchopt

    optimizer = torchopt.sgd(lr=INNER_LR)

    def of(network: nn.Module, steps: int) -> TaskLoss:
        def loss(theta: dict[str, Tensor], sx: Any, sy: Any, qx: Any, qy: Any) -> Tensor:
            phi, state = theta, optimizer.init(theta)
            for _ in range(steps):
                inner = lambda phi: F.cross_entropy(functional_call(network, phi, (sx,)), sy)  # noqa: E731
                grads = torch.func.grad(inner)(phi)
                updates, state = optimizer.update(grads, state, inplace=False)
                phi = torchopt.apply_updates(phi, updates, inplace=False)
            return F.cross_entropy(functional_call(network, phi, (qx,)), qy)

        return loss

    return batched(of)(network, episodes, steps)


LOSSES: dict[str, Callable[[nn.Module, int], TaskLoss]] = {
    "maml": maml_loss(),
    "fomaml": maml_loss(first_order=True),
    "anil": anil_loss,
    "protonet": protonet_loss,
}
CHUNKS = (4, 8, 16)  # `peer-vmap-<chunk>`; the best of them, or all tasks at a time, is the peer


def vmapped(algorithm: str, tasks: int) -> dict[str, Step]:
    """The rows `peer-vmap`: what an engineer writes with torch alone, in every chunk."""
    loss = LOSSES.get(algorithm)
    if loss is None:
        return {}
    chunks = {f"peer-vmap-{size}": batched(loss, size) for size in CHUNKS if size < tasks}
    return {"peer-vmap": batched(loss), **chunks}


EAGER: dict[str, Step] = {
    "maml": eager(),
    "fomaml": eager(first_order=True),
    "anil": eager_anil,
    "reptile": eager_reptile,
    "protonet": eager_protonet,
}
PEERS: dict[str, dict[str, Step]] = {
    "maml": {
        "higher": with_higher,
        "torchopt": with_torchopt,
        "torchopt-vmap": with_torchopt_vmap,
    }
}
