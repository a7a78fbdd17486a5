"""EfficientNet-Lite0 of our own beside timm's: the same numbers from the same weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metacli.nn.backbones.efficientnet_lite0 import (
    EPS,
    EfficientNetLite0,
    Network,
    folded,
    layers,
    missing,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def random_state(network: Network) -> dict[str, torch.Tensor]:
    """Batch normalisation that is far from the identity, under names that say nothing."""
    draw = torch.Generator().manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    for number, (_, layer) in enumerate(layers(network)):
        out, fan = layer.weight.shape[0], layer.weight[0].numel()
        entry = [
            torch.randn(layer.weight.shape, generator=draw) * (2 / fan) ** 0.5,
            1 + 0.2 * torch.randn(out, generator=draw),
            0.5 * torch.randn(out, generator=draw),
            0.1 * torch.randn(out, generator=draw),
            0.5 + torch.rand(out, generator=draw),
            torch.tensor(7),
        ]
        state |= {f"{number}.{place}": value for place, value in enumerate(entry)}
    return state


@pytest.mark.parametrize("size", [1, 4, 5, 7])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_zeros_are_added_and_nothing_is_cut_off(size: int, kernel: int, stride: int) -> None:
    added = missing(size, kernel, stride)
    assert added >= 0
    assert (size + added - kernel) // stride + 1 == -(-size // stride)


@pytest.mark.parametrize("size", [64, 65])
def test_our_network_gives_timms_features_from_the_same_entries_in_order(size: int) -> None:
    timm = pytest.importorskip("timm", reason="timm is in the extra [timm]")
    ours = Network("h").eval()
    state = random_state(ours)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    classifier = [torch.zeros(1000, 1280), torch.zeros(1000)]
    entries = [*state.values(), *classifier]
    names = list(theirs.state_dict())
    assert len(names) == len(entries)
    theirs.load_state_dict(dict(zip(names, entries, strict=True)))
    ours.load_state_dict(folded(state))
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        maps = theirs.forward_features((x - 0.5) / 0.5)
        wanted = theirs.forward_head(maps, pre_logits=True)
        found = ours(x)
    assert wanted.std() > 0.01  # a dead network would agree with anything
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_folding_is_convolution_then_normalisation() -> None:
    network = Network("h")
    state = random_state(network)
    made = folded(state)
    name, layer = next(layers(network))
    weight, gain, bias, mean, var, _ = list(state.values())[:6]
    x = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    slow = F.conv2d(x, weight.double(), stride=2)
    slow = (slow - mean.double()[:, None, None]) / (var.double() + EPS).sqrt()[:, None, None]
    slow = slow * gain.double()[:, None, None] + bias.double()[:, None, None]
    own = F.conv2d(x, made[f"{name}.weight"].double(), made[f"{name}.bias"].double(), stride=2)
    torch.testing.assert_close(own, slow, rtol=0, atol=1e-5)
    assert layer.uneven


def test_a_state_of_another_network_is_refused() -> None:
    state = random_state(Network("h"))
    with pytest.raises(ValueError, match=r"entry 6 of the state dict is not blocks\.0"):
        folded({name: value for name, value in state.items() if not name.startswith("1.")})
    with pytest.raises(ValueError, match="entry 0"):
        folded({})


def test_joined_features_are_both_ends_each_of_length_1() -> None:
    state = folded(random_state(Network("h")))
    x = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(2))  # grey
    found = {}
    for name in ("joined", "h", "b6"):
        module, width = EfficientNetLite0(features=name).build((1, 64, 64))
        module.eval().load_state_dict(state)
        with torch.no_grad():
            found[name] = module(x)
        assert found[name].shape == (2, width)
    both = torch.cat([F.normalize(found["h"]), F.normalize(found["b6"])], 1)
    torch.testing.assert_close(found["joined"], both)
