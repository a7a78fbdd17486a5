"""Conv4 and the MLP: sizes of the literature, and the numbers of a hand-written forward pass."""

from __future__ import annotations

import pytest
import reference
import torch
import toys
from pydantic import ValidationError

from metacli.nn.backbones.table import BACKBONES, make_backbone

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("shape", "options", "features"),
    [
        ((1, 28, 28), {}, 64),  # Snell et al. 2017: Omniglot to 64 numbers
        ((3, 84, 84), {}, 1600),  # and miniImageNet to 1600
        ((1, 28, 28), {"downsample": "stride"}, 256),  # 28, 14, 7, 4, 2
        ((1, 28, 28), {"downsample": "stride", "features": "mean"}, 64),
        ((3, 32, 32), {"width": 16}, 64),
        ((1, 31, 45), {"width": 8}, 16),  # 31, 15, 7, 3, 1 and 45, 22, 11, 5, 2
        ((3, 32, 32), {"norm": "task"}, 256),
        ((3, 85, 33), {"width": 8, "downsample": "stride"}, 8 * 6 * 3),
        ((1, 1, 1), {"width": 8, "downsample": "stride"}, 8),
        ((1, 16, 16), {"width": 8, "features": "mean"}, 8),
    ],
)
def test_feature_count_is_what_the_literature_has_and_what_comes_out(
    shape: tuple[int, ...], options: dict, features: int
) -> None:
    module, count = make_backbone("conv4", options).build(shape)
    assert count == features
    assert module.eval()(torch.zeros(2, *shape)).shape == (2, features)


@pytest.mark.parametrize("features", ["flatten", "mean"])
def test_nothing_is_left_of_a_image_that_cannot_be_halved_four_times(features: str) -> None:
    for shape in ((1, 15, 16), (1, 16, 15), (3, 8, 8)):
        _, count = make_backbone("conv4", {"features": features}).build(shape)
        assert count == 0  # a recipe with it is refused


def test_parameter_count_of_the_omniglot_network() -> None:
    module, _ = make_backbone("conv4", {"norm": "batch"}).build((1, 28, 28))
    # 64·9 + 3·64·64·9 weights without biases, and a gain and a bias for each of 4·64 channels.
    assert sum(value.numel() for value in module.parameters()) == 576 + 110_592 + 512


@pytest.mark.parametrize("features", ["flatten", "mean"])
@pytest.mark.parametrize("downsample", ["pool", "stride"])
@pytest.mark.parametrize("norm", ["batch", "group", "layer", "none"])
def test_forward_equals_the_hand_written_one(norm: str, downsample: str, features: str) -> None:
    made = toys.conv_problem(None, norm=norm, side=21, downsample=downsample, features=features)
    params, x = toys.shaken(made), toys.task(toys.pictures(1, side=21)).query.x
    wanted = reference.ConvNet(norm, downsample, features)(params, x)
    torch.testing.assert_close(made.embed(params, x, together=True), wanted, rtol=0, atol=1e-10)
    assert float(wanted.std()) > 1e-3


def test_the_reference_convolution_is_four_loops_over_pixels() -> None:
    rng = toys.rng()
    x = torch.randn(1, 2, 5, 4, generator=rng, dtype=torch.float64)
    weight = torch.randn(3, 2, 3, 3, generator=rng, dtype=torch.float64)
    for stride in (1, 2):
        found = reference.convolution(x, weight, None, stride)
        wanted = torch.zeros_like(found)
        for channel in range(3):
            for row in range(found.shape[2]):
                for column in range(found.shape[3]):
                    for down in range(3):
                        for right in range(3):
                            at = (row * stride + down - 1, column * stride + right - 1)
                            if 0 <= at[0] < 5 and 0 <= at[1] < 4:
                                products = x[0, :, at[0], at[1]] * weight[channel, :, down, right]
                                wanted[0, channel, row, column] += products.sum()
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["batch", "running", "group", "layer", "none"])
def test_a_convolution_has_a_bias_only_where_no_normalisation_removes_it(norm: str) -> None:
    module, _ = make_backbone("conv4", {"norm": norm, "width": 8}).build((1, 16, 16))
    biases = [name for name, _ in module.named_parameters() if name.endswith("conv.bias")]
    assert len(biases) == (4 if norm == "none" else 0)


@pytest.mark.parametrize("norm", ["group", "layer", "none"])
def test_without_batch_statistics_examples_do_not_see_each_other(norm: str) -> None:
    made = toys.conv_problem(None, norm=norm)
    params, x = toys.shaken(made), toys.task(toys.pictures(1)).query.x
    whole = made.embed(params, x, together=True)
    alone = torch.cat([made.embed(params, x[i : i + 1], together=True) for i in range(6)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-12)


def test_mlp_is_the_network_of_the_sinusoid_experiments() -> None:
    module, features = make_backbone("mlp", {}).build((1,))
    assert features == 40
    assert sum(value.numel() for value in module.parameters()) == 80 + 1640  # and 41 in the head
    made = toys.wave_problem((40, 40))
    params, x = toys.shaken(made), toys.task(toys.waves(1)).query.x
    torch.testing.assert_close(made.embed(params, x), reference.mlp(params, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_of_the_table_counts_its_own_features(name: str) -> None:
    backbone = make_backbone(name, {})
    assert set(backbone.takes) <= {"image", "numbers", "text"}
    shapes = {"image": (3, 32, 32), "numbers": (4,), "text": (4,)}
    for kind in backbone.takes:
        module, features = backbone.build(shapes[kind])
        assert module.eval()(torch.zeros(2, *shapes[kind])).shape == (2, features)


def test_pixels_are_averaged_over_squares_before_they_are_features() -> None:
    module, features = make_backbone("linear", {"pool": 2}).build((1, 4, 5))
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    assert features == 4
    assert module(x).tolist() == [[3.0, 5.0, 13.0, 15.0]]  # the last column fills no square
    numbers, features = make_backbone("linear", {"pool": 2}).build((3,))
    assert features == 3
    assert numbers(x[0, 0, :, :3]).tolist() == x[0, 0, :, :3].tolist()


@pytest.mark.parametrize("options", [{"width": "8"}, {"width": 8.0}, {"width": True}])
def test_options_of_a_backbone_are_of_their_type_and_not_made_so(options: dict) -> None:
    with pytest.raises(ValidationError, match="width"):
        make_backbone("conv4", options)
