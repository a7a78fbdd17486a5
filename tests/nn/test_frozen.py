"""A small network on a frozen encoder: it begins as the encoder, and the encoder never moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from metacli.algorithms.meta.maml import MAML
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.engine.encoders.pretrained import pretrained
from metacli.nn.backbones.frozen import Frozen, Projection
from metacli.nn.backbones.words import Words, WordsNet
from metacli.nn.layers.inputs import PixelOrFeatureInput
from metacli.nn.problem import Problem, make_module
from metacli.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["where is my parcel", "Thanks!", "turn the lights off, please", ""]


@pytest.fixture(scope="module")
def network() -> Problem:
    module, features = Frozen(rank=4, features="h").build((3, 64, 64))
    entrance = PixelOrFeatureInput(3, invert=False)
    return Problem(make_module(entrance, module), features, "classification", head=None)


def test_features_pass_by_the_encoder(network: Problem) -> None:
    params = network.init(0)
    x = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    encoder = network.module.get_submodule("backbone.encoder")
    own = {k.removeprefix("backbone.encoder."): v for k, v in params.items()}
    names = {name for name, _ in encoder.named_buffers()}
    z = torch.func.functional_call(encoder, {k: own[k] for k in names}, (x.float() / 255,))
    torch.testing.assert_close(network.embed(params, x), network.embed(params, z))


def test_the_encoder_is_no_parameter_and_an_inner_loop_leaves_it(network: Problem) -> None:
    assert network.trainable == {
        f"backbone.projection.{name}" for name in ("down", "up", "log_scale")
    }
    params = network.init(0)
    support = Batch(torch.rand(4, 1280), torch.tensor([0, 0, 1, 1]))
    phi = MAML(head="proto", inner_lr=1.0, inner_steps=2).adapt(network, params, support)
    for name, value in params.items():
        assert torch.equal(phi[name], value) == ("projection" not in name), name


def test_a_projection_begins_as_the_identity_up_to_its_scale() -> None:
    projection = Projection(6, 2, 3.0)
    projection.reset_parameters()
    z = torch.randn(5, 6, dtype=torch.float32)
    expected = 3 * z / z.norm(dim=1, keepdim=True)
    torch.testing.assert_close(projection(z), expected)


def words() -> WordsNet:
    module, width = Words(rank=3, scale=1.0).build((16,))
    assert isinstance(module, WordsNet)
    assert width == 256
    for layer in (module, *module.modules()):
        if isinstance(layer, WordsNet | Projection):
            layer.reset_parameters()
    return module


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return pretrained("wordllama", tmp_path_factory.mktemp("cache"))["table"]


def test_an_untrained_network_of_words_is_the_mean_of_their_embeddings(table: torch.Tensor) -> None:
    module = words()
    module.encoder.table = table
    ids = torch.from_numpy(TokenNumbers(length=16).encode(TEXTS))
    mean = StaticText().encode(TEXTS)
    expected = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(module(ids).detach().numpy(), expected, atol=1e-5)


def test_weights_of_tokens_are_those_of_a_loop_over_them(table: torch.Tensor) -> None:
    module = words()
    module.encoder.table = table
    nn.init.normal_(module.log_weight, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(module.projection.up, generator=torch.Generator().manual_seed(2))
    ids = torch.from_numpy(TokenNumbers(length=16).encode(TEXTS[:3]))
    up, down = module.projection.up.double(), module.projection.down.double()
    expected = []
    for row in ids.long().tolist():
        total = torch.zeros(256, dtype=torch.float64)
        for number in (one for one in row if one):
            total += module.log_weight[number - 1].double().exp() * table[number - 1].double()
        z = total / total.norm()
        u = z + up @ (down @ z)
        expected.append(u / u.norm())
    torch.testing.assert_close(module(ids).double(), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_token_numbers_are_cut_and_counted_from_one() -> None:
    reader = TokenNumbers(length=3)
    (row,) = reader.encode(["turn the lights off, please"])
    assert (row[:3] - 1).tolist() == StaticText().tokens(["turn the lights off, please"])[0][:3]
    assert reader.encode([""]).tolist() == [[0, 0, 0]]
    assert TokenNumbers.from_dict(reader.as_dict()) == reader


def test_a_projection_that_was_trained_begins_again_as_the_identity() -> None:
    projection = Projection(64, 8, 10.0)
    with torch.no_grad():
        for value in projection.parameters():
            value.fill_(0.5)
    projection.reset_parameters()
    assert float(projection.up.detach().abs().max()) == 0.0
    assert float(projection.log_scale.detach()) == pytest.approx(np.log(10.0))
    assert 0.08 < float(projection.down.detach().std()) < 0.17  # one by the root of 64
