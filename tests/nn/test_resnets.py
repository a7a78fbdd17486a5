"""ResNet-12 and the wide residual network: sizes of the literature, and a forward pass by hand."""

from __future__ import annotations

import pytest
import torch
import toys
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.algorithms.meta.maml import MAML
from metacli.nn.backbones.table import make_backbone
from metacli.nn.layers.inputs import PixelInput
from metacli.nn.problem import Problem, make_module
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"resnet12": {"widths": [4, 6, 8, 10]}, "wrn28_10": {"depth": 10, "width": 1}}


def problem_of(name: str, *, head: int | None = None, chunk: int = 1, **options: object) -> Problem:
    backbone = make_backbone(name, {**SMALL[name], **options})
    module, features = backbone.build((1, 16, 16))
    statistics = "support" if options.get("norm") == "batch" else "none"
    network = make_module(PixelInput(1, invert=True), module)
    return Problem(network, features, "classification", head, statistics, chunk)  # type: ignore[arg-type]


def normed(params: Params, name: str, x: Tensor, norm: str) -> Tensor:
    if norm == "none":
        return x
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    if norm == "batch":
        return F.batch_norm(x, None, None, weight, bias, training=True)
    groups = max(g for g in range(1, 9) if x.shape[1] % g == 0)
    return F.group_norm(x, groups, weight, bias)


def conv(params: Params, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = params[f"{name}.weight"]
    return F.conv2d(x, weight, params.get(f"{name}.bias"), stride, weight.shape[-1] // 2)


def resnet12(params: Params, x: Tensor, norm: str) -> Tensor:
    for block in range(4):
        at = f"backbone.{block}"
        h = x
        for layer in (1, 2, 3):
            h = normed(params, f"{at}.norm{layer}", conv(params, f"{at}.conv{layer}", h), norm)
            h = F.leaky_relu(h, 0.1) if layer < 3 else h
        beside = normed(params, f"{at}.norm4", conv(params, f"{at}.shortcut", x), norm)
        x = F.max_pool2d(F.leaky_relu(h + beside, 0.1), 2)
    return x.mean((2, 3))


def wrn(params: Params, x: Tensor, norm: str) -> Tensor:
    x = conv(params, "backbone.0", x)
    for group, stride in ((1, 1), (2, 2), (3, 2)):
        at = f"backbone.{group}"
        start = F.relu(normed(params, f"{at}.norm1", x, norm))
        h = conv(params, f"{at}.conv1", start, stride)
        h = conv(params, f"{at}.conv2", F.relu(normed(params, f"{at}.norm2", h, norm)))
        has = f"{at}.shortcut.weight" in params
        x = h + (conv(params, f"{at}.shortcut", start, stride) if has else x)
    return F.relu(normed(params, "backbone.4", x, norm)).mean((2, 3))


FORWARD = {"resnet12": resnet12, "wrn28_10": wrn}


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("name", list(SMALL))
def test_forward_equals_the_hand_written_one(name: str, norm: str) -> None:
    made = problem_of(name, norm=norm)
    params, x = toys.shaken(made), toys.task(toys.pictures(1)).query.x
    scaled = x * params["input.scale"] + params["input.offset"]
    wanted = FORWARD[name](params, scaled, norm)
    torch.testing.assert_close(made.embed(params, x, together=True), wanted, rtol=0, atol=1e-10)
    assert float(wanted.std()) > 1e-3


def count(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_resnet12_has_the_parameters_of_the_literature() -> None:
    with torch.device("meta"):
        module, features = make_backbone("resnet12", {"norm": "batch"}).build((3, 84, 84))
        assert (count(module), features) == (12_424_320, 640)


def test_wrn_28_10_has_the_36_million_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        module, features = make_backbone("wrn28_10", {"norm": "batch"}).build((3, 32, 32))
    assert features == 640
    assert count(module) + 640 * 10 + 10 == 36_479_194  # with the classifier of CIFAR-10


@pytest.mark.parametrize(
    ("name", "shape", "features"),
    [
        ("resnet12", (3, 84, 84), 10),
        ("resnet12", (1, 17, 31), 10),
        ("resnet12", (1, 16, 15), 0),  # nothing is left after four halvings
        ("wrn28_10", (3, 33, 47), 64),
        ("wrn28_10", (1, 3, 3), 64),
    ],
)
def test_feature_count_is_what_comes_out(name: str, shape: tuple[int, ...], features: int) -> None:
    module, found = make_backbone(name, SMALL[name]).build(shape)
    assert found == features
    if features:
        assert module.eval()(torch.zeros(2, *shape)).shape == (2, features)


@pytest.mark.parametrize("name", list(SMALL))
def test_second_order_maml_is_the_same_in_a_loop_and_in_vmap(name: str) -> None:
    found = []
    for chunk in (1, 2):
        made = problem_of(name, head=2, chunk=chunk)
        params, episodes = toys.shaken(made), toys.pictures(2, way=2, shot=1, query=1)
        learner = MAML(inner_lr=0.1, inner_steps=1)
        found.append(learner.direction(made, params, episodes, {}, toys.rng()).direction)
    toys.assert_same(found[1], found[0])
    assert all(bool((value != 0).any()) for value in found[0].values())
