"""Networks of torchvision: its own numbers, statistics that stay, weights from a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torchvision
import toys
from safetensors.torch import save_file
from torch import nn

from metacli.algorithms.meta.maml import MAML
from metacli.errors import RecipeError
from metacli.nn.backbones.table import make_backbone
from metacli.nn.backbones.torchvision_backbones import MEAN, STD, Arch, FrozenNorm
from metacli.nn.problem import Problem, Statistics, make_module

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = "shufflenet_v2_x1_0"


def problem_of(
    head: int | None = None, *, chunk: int = 1, side: int = 32, **options: Any
) -> Problem:
    backbone = make_backbone("torchvision", {"arch": TINY, **options})
    module, features = backbone.build((1, side, side))
    found: dict[str, Statistics] = {"batch": "support", "running": "running"}
    statistics = found.get(backbone.norm, "none")
    return Problem(
        make_module(nn.Identity(), module), features, "classification", head, statistics, chunk
    )


def checkpoint(arch: str = TINY, seed: int = 3) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """torchvision's own network with random weights and statistics, and its state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = torchvision.models.get_model(arch, weights=None)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
    return network.eval(), {k: v.contiguous() for k, v in network.state_dict().items()}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    save_file(checkpoint()[1], tmp_path / "w.safetensors")
    return str(tmp_path / "w.safetensors")


def test_features_are_torchvisions_before_its_classifier(weights: str) -> None:
    network, _ = checkpoint()
    network.fc = nn.Identity()
    made = problem_of(weights=weights)
    params = made.init(0, torch.float64)
    x = torch.rand(3, 1, 32, 32, generator=toys.rng(), dtype=torch.float64)
    mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None].double() for v in (MEAN, STD))
    wanted = network.double()((x.expand(-1, 3, -1, -1) - mean) / std)
    torch.testing.assert_close(made.embed(params, x), wanted, rtol=0, atol=1e-10)
    # Frozen: training sees the same statistics, and no example the others.
    torch.testing.assert_close(made.embed(params, x, together=True), wanted, rtol=0, atol=1e-10)


def test_a_model_does_not_need_the_file_that_its_training_began_from(weights: str) -> None:
    made = problem_of(weights=weights)
    params = made.init(0)
    Path(weights).unlink()
    again = problem_of(weights=weights)
    x = torch.rand(2, 1, 32, 32, generator=toys.rng())
    assert torch.equal(again.embed(params, x), made.embed(params, x))
    with pytest.raises(RecipeError, match="no such file"):
        again.init(0)


def test_without_a_file_weights_are_those_of_the_seed_and_the_global_stream_is_left_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    first = problem_of().init(7)
    assert torch.equal(torch.rand(4), wanted)
    toys.assert_bits(problem_of().init(7), first)


@pytest.mark.parametrize(
    ("name", "hint"), [("w.pth", "save_file"), ("w.PT", "save_file"), ("gone.safetensors", None)]
)
def test_a_pickle_or_no_file_is_refused(tmp_path: Path, name: str, hint: str | None) -> None:
    if hint:
        (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(RecipeError) as caught:
        make_backbone("torchvision", {"arch": TINY, "weights": str(tmp_path / name)}).check()
    assert caught.value.code == "recipe.weights"
    assert (hint or "") in (caught.value.hint or "")


def test_weights_of_another_network_or_damaged_ones_are_refused(
    tmp_path: Path, weights: str
) -> None:
    make_backbone("torchvision", {"arch": TINY, "weights": weights}).check()
    with pytest.raises(RecipeError, match="not of this network"):
        make_backbone("torchvision", {"arch": "mobilenet_v2", "weights": weights}).check()
    state = checkpoint()[1]
    state["conv1.0.weight"] = state["conv1.0.weight"][:, :1].contiguous()
    save_file(state, tmp_path / "grey.safetensors")
    with pytest.raises(RecipeError, match=r"conv1\.0\.weight has another shape"):
        make_backbone(
            "torchvision", {"arch": TINY, "weights": str(tmp_path / "grey.safetensors")}
        ).check()
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(RecipeError, match="not a safetensors file"):
        make_backbone(
            "torchvision", {"arch": TINY, "weights": str(tmp_path / "bad.safetensors")}
        ).check()


def test_an_inner_loop_goes_through_it_the_same_in_a_loop_and_in_vmap() -> None:
    found = []
    for chunk in (1, 2):
        made = problem_of(2, chunk=chunk, side=16)
        params, episodes = toys.shaken(made), toys.pictures(2, way=2, shot=1, query=1)
        episodes = toys.each_tensor(
            lambda v: v.double() / 255 if v.dtype == torch.uint8 else v, episodes
        )
        learner = MAML(inner_lr=0.01, inner_steps=1)
        found.append(learner.direction(made, params, episodes, {}, toys.rng()).direction)
    scale = max(float(value.abs().max()) for value in found[0].values())
    toys.assert_same(found[1], found[0], atol=1e-10 * max(1.0, scale))
    assert not any(name.endswith((".mean", ".var")) for name in found[0])


def test_batch_statistics_can_be_asked_for() -> None:
    made = problem_of(norm="batch")
    layers = {type(layer).__name__ for layer in made.module.modules() if "Norm" in str(type(layer))}
    assert layers == {"BatchStatNorm"}
    params = made.init(0, torch.float64)
    x = torch.rand(3, 1, 32, 32, generator=toys.rng(), dtype=torch.float64)
    two = made.embed(params, x[:2], together=True)
    assert float((made.embed(params, x, together=True)[:2] - two).abs().max()) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("arch", get_args(Arch))
def test_every_network_of_the_list_gives_its_features(arch: str) -> None:
    module, features = make_backbone("torchvision", {"arch": arch}).build((3, 16, 16))
    module = module.train()  # nothing is random or changes in training
    x = torch.rand(2, 3, 16, 16, generator=toys.rng())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    first = module(x)
    assert first.shape == (2, features)
    assert torch.equal(module(x), first)
    toys.assert_bits(dict(module.state_dict()), before)
    assert any(isinstance(layer, FrozenNorm) for layer in module.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


def test_torchvision_is_imported_only_when_a_network_of_it_is_built() -> None:
    code = (
        "import sys, metacli.nn.backbones.torchvision_backbones as m; "
        "from metacli.nn.backbones.table import make_backbone; make_backbone('torchvision', {}); "
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
