"""An encoder of which the last block is trained: the same features, images or rows that passed the
rest, and only that part moves."""

from __future__ import annotations

import pytest
import torch

from metacli.algorithms.transfer.lp_ft import LPFT
from metacli.nn.backbones.efficientnet_lite0 import Network
from metacli.nn.backbones.last_block import LastBlock, Trunk, placed, width_before
from metacli.nn.layers.inputs import PixelOrFeatureInput
from metacli.nn.problem import Problem, make_module
from metacli.types import Batch, Params

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = (3, 64, 64)


@pytest.fixture(scope="module")
def network() -> tuple[Problem, Params, Network]:
    """With the parameters of a whole network."""
    torch.manual_seed(0)
    whole = Network("joined").eval()
    module, features = LastBlock().build(SHAPE)
    problem = Problem(
        make_module(PixelOrFeatureInput(3, invert=False), module),
        *(features, "classification"),
        head=None,
    )
    own = {f"backbone.{name}": one.detach() for name, one in placed(whole.state_dict()).items()}
    state = problem.module.state_dict()
    assert {name for name in state if name.startswith("backbone.")} == own.keys()
    return problem, {**state, **own}, whole


@torch.no_grad()
def test_its_features_are_those_of_the_whole_network(
    network: tuple[Problem, Params, Network],
) -> None:
    problem, params, whole = network
    x = torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8)
    torch.testing.assert_close(problem.embed(params, x), whole(x.float() / 255))


@torch.no_grad()
def test_rows_that_passed_the_encoder_give_the_same(
    network: tuple[Problem, Params, Network],
) -> None:
    problem, params, _ = network
    x = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    encoder = problem.module.get_submodule("backbone.encoder")
    begins = "backbone.encoder."
    own = {k.removeprefix(begins): v for k, v in params.items() if k.startswith(begins)}
    z = torch.func.functional_call(encoder, own, (x.float() / 255,))
    assert z.shape == (2, width_before(SHAPE))
    torch.testing.assert_close(problem.embed(params, z), problem.embed(params, x))


def test_fine_tuning_moves_the_last_block_and_nothing_before_it(
    network: tuple[Problem, Params, Network],
) -> None:
    problem, params, _ = network
    z = torch.rand(4, width_before(SHAPE), generator=torch.Generator().manual_seed(1))
    support = Batch(z, torch.tensor([0, 0, 1, 1]))
    phi = LPFT(lr=1e-3, steps=2).adapt(problem, params, support)
    moved = {name for name, value in params.items() if not torch.equal(phi[name], value)}
    assert moved == problem.trainable
    assert all(name.startswith("backbone.tail.") for name in moved)


@torch.no_grad()
def test_grey_images_are_read_as_three_equal_channels(
    network: tuple[Problem, Params, Network],
) -> None:
    trunk = Trunk(network[2])
    grey = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(trunk(grey), trunk(grey.expand(-1, 3, -1, -1)))
    colour = torch.rand(2, 3, 64, 64)
    assert trunk(colour).shape == trunk(grey).shape
